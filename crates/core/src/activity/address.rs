//! Where an HTTP request goes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::expression::{EvalError, Scope, Template, percent_encode};

/// An address and its query parameters.
#[derive(Clone, Debug)]
pub struct Address {
    /// The address; its host is written out or comes from `config`.
    pub url: Template,
    /// Parameters that are appended to it: a list gives one for each item, null none.
    pub query: BTreeMap<String, Template>,
}

impl Address {
    /// The whole address, every value from data in it percent-encoded. Fails as an expression does, and where
    /// a parameter gives an object.
    pub fn render(&self, scope: &Scope) -> Result<String, EvalError> {
        let url = self.url.render_url(scope)?;
        let mut pairs = Vec::new();
        for (name, value) in &self.query {
            let values = texts(value.render(scope)?).ok_or_else(|| refused(name))?;
            pairs.extend(values.iter().map(|value| format!("{}={}", percent_encode(name), percent_encode(value))));
        }
        Ok(append(url, &pairs.join("&")))
    }

    /// The names of the secrets in it.
    pub fn secrets(&self) -> BTreeSet<String> {
        self.query.values().chain([&self.url]).flat_map(Template::secrets).collect()
    }
}

/// The values of one parameter, if it can have such.
fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.into_iter().map(text).collect(),
        one => text(one).map(|text| vec![text]),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn refused(name: &str) -> EvalError {
    let message = "a query parameter is a text, a number, true or false, null, or a list of such".into();
    EvalError { expression: name.to_owned(), message }
}

fn append(url: String, query: &str) -> String {
    if query.is_empty() {
        return url;
    }
    let (address, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let joint = match address.find('?') {
        None => "?",
        Some(at) if at + 1 == address.len() || address.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{address}{joint}{query}{fragment}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(url: &str, query: Value, expected: Result<&str, &str>) {
        let scope =
            Scope::new().with("event", json!({"data": {"q": "a&b=ü", "list": ["x", 2], "none": null, "o": {}}}));
        let query = query.as_object().unwrap().iter();
        let address = Address {
            url: Template::compile(&json!(url)).unwrap(),
            query: query.map(|(name, value)| (name.clone(), Template::compile(value).unwrap())).collect(),
        };
        let rendered = address.render(&scope).map_err(|error| error.expression);
        assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{url}");
    }

    #[test]
    fn parameters_are_encoded_and_appended() {
        check("http://a/", json!({}), Ok("http://a/"));
        check("http://a/", json!({"q": "${ event.data.q }", "n n": 1}), Ok("http://a/?n%20n=1&q=a%26b%3D%C3%BC"));
        check("http://a/?x=1", json!({"l": "${ event.data.list }"}), Ok("http://a/?x=1&l=x&l=2"));
        check("http://a/?x=1#part", json!({"l": true}), Ok("http://a/?x=1&l=true#part"));
        check("http://a/?", json!({"l": "", "no": "${ event.data.none }"}), Ok("http://a/?l="));
        check("http://a/", json!({"o": "${ event.data.o }"}), Err("o"));
    }
}
