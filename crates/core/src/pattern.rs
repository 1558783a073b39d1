//! Content patterns with the operators of AWS Event Ruler, over an event as JSON.
//!
//! A leaf is a list of alternatives, fields are AND. A path that is missing matches nothing but
//! `exists: false`; a value of another type does not match; of an array any element may match.

mod compile;
mod operator;

use std::collections::BTreeMap;

use serde_json::Value;

pub use operator::Operator;

/// A checked content pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(BTreeMap<String, Field>);

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Leaf(Vec<Operator>),
    Fields(Pattern),
}

/// The first condition of a pattern that an event does not meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The path of the field, e.g. `data.total`.
    pub path: String,
    /// What stands there.
    pub seen: String,
    /// What the pattern wants there.
    pub wanted: String,
}

impl Pattern {
    /// Checks a pattern. Fails with the JSON pointer of each part that is wrong.
    pub fn compile(value: &Value) -> Result<Self, Vec<(String, String)>> {
        compile::compile(value)
    }

    /// Whether `event` (in the JSON event format) meets the pattern; if not, which condition fails.
    pub fn check(&self, event: &Value) -> Result<(), Mismatch> {
        self.check_at(&[event], "")
    }

    fn check_at(&self, values: &[&Value], path: &str) -> Result<(), Mismatch> {
        for (name, field) in &self.0 {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let found: Vec<&Value> =
                values.iter().flat_map(|value| elements(value)).filter_map(|value| value.get(name)).collect();
            match field {
                Field::Fields(pattern) => pattern.check_at(&found, &path)?,
                Field::Leaf(alternatives) => check_leaf(alternatives, &found, path)?,
            }
        }
        Ok(())
    }
}

fn check_leaf(alternatives: &[Operator], found: &[&Value], path: String) -> Result<(), Mismatch> {
    let values: Vec<&Value> = found.iter().flat_map(|value| elements(value)).collect();
    if alternatives.iter().any(|operator| operator.matches(!found.is_empty(), &values)) {
        return Ok(());
    }
    let wanted = alternatives.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    Err(Mismatch { path, seen: describe(found), wanted })
}

/// The elements of an array, or the value itself.
fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        other => std::slice::from_ref(other),
    }
}

fn describe(found: &[&Value]) -> String {
    let text = match found {
        [] => return "missing".into(),
        [one] => one.to_string(),
        several => format!("{several:?}"),
    };
    if text.chars().count() <= 80 { text } else { text.chars().take(80).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(pattern: Value, expected: Result<(), &str>) {
        let event = json!({"type": "a.b", "data": {"total": 80, "country": "DE", "vip": true, "none": null, "a.b": 1,
            "items": [{"sku": "x-1", "tags": ["red", "big"]}, {"sku": "y-2"}], "big": 9_007_199_254_740_993_u64}});
        let got = Pattern::compile(&pattern)
            .unwrap()
            .check(&event)
            .map_err(|m| format!("{} is {}, wanted {}", m.path, m.seen, m.wanted));
        assert_eq!(got.as_ref().map_err(String::as_str).copied(), expected, "{pattern}");
    }

    #[test]
    fn operators() {
        check(json!({"data": {"total": [80]}}), Ok(()));
        check(json!({"data": {"total": [80.0]}}), Ok(()));
        check(json!({"data": {"total": ["80"]}}), Err("data.total is 80, wanted \"80\""));
        check(json!({"data": {"total": [{"numeric": [">=", 500]}]}}), Err("data.total is 80, wanted numeric >= 500"));
        check(json!({"data": {"total": [{"numeric": [">", 0, "<=", 80]}]}}), Ok(()));
        check(
            json!({"data": {"country": [{"anything-but": ["AT", "DE"]}]}}),
            Err("data.country is \"DE\", wanted anything but \"AT\", \"DE\""),
        );
        check(json!({"data": {"coupon": [{"exists": false}]}}), Ok(()));
        check(json!({"data": {"coupon": [{"exists": true}]}}), Err("data.coupon is missing, wanted to exist"));
        check(
            json!({"data": {"coupon": [{"anything-but": "x"}]}}),
            Err("data.coupon is missing, wanted anything but \"x\""),
        );
        check(json!({"data": {"country": [{"prefix": "X"}, {"suffix": "E"}]}}), Ok(()));
        check(json!({"data": {"country": [{"equals-ignore-case": "de"}]}}), Ok(()));
        check(json!({"data": {"none": [null], "vip": [true]}}), Ok(()));
        check(json!({"type": ["a.c", "a.b"]}), Ok(()));
        check(json!({"data": {"a.b": [1]}}), Ok(()));
    }

    #[test]
    fn any_element_of_an_array_may_match() {
        check(json!({"data": {"items": {"sku": ["y-2"], "tags": ["big"]}}}), Ok(()));
        check(
            json!({"data": {"items": {"tags": ["small"]}}}),
            Err("data.items.tags is [\"red\",\"big\"], wanted \"small\""),
        );
    }

    #[test]
    fn large_integers_are_exact() {
        check(json!({"data": {"big": [9_007_199_254_740_993_u64]}}), Ok(()));
        check(
            json!({"data": {"big": [9_007_199_254_740_992_u64]}}),
            Err("data.big is 9007199254740993, wanted 9007199254740992"),
        );
        check(json!({"data": {"big": [{"numeric": [">", 9_007_199_254_740_992_u64]}]}}), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let errors =
            Pattern::compile(&json!({"data": {"a": [], "b": [{"wildcard": "x*"}], "c": [{"prefx": "x"}], "d": 5,
            "e": [{"numeric": ["<"]}], "f": [{"anything-but": []}], "$or": []}}))
            .unwrap_err();
        let lines: Vec<_> = errors.iter().map(|(pointer, message)| format!("{pointer}: {message}")).collect();
        assert_eq!(lines.len(), 7, "{lines:#?}");
        assert!(
            lines.iter().any(|line| line.starts_with("/data/b/0: ") && line.contains("not supported yet")),
            "{lines:#?}"
        );
        assert!(
            lines.iter().any(|line| line.starts_with("/data/c/0: ") && line.contains("unknown operator")),
            "{lines:#?}"
        );
    }
}
