//! Reads and checks a pattern; all problems are reported at once.

use serde_json::{Map, Value};

use super::operator::{Comparison, Operator};
use super::{Field, Pattern};

type Errors = Vec<(String, String)>;

const OPERATORS: &str = "prefix, suffix, equals-ignore-case, anything-but, numeric, exists";

pub(super) fn compile(value: &Value) -> Result<Pattern, Errors> {
    let mut errors = Errors::new();
    let pattern = fields(value, "", &mut errors);
    if errors.is_empty() { Ok(pattern) } else { Err(errors) }
}

fn fields(value: &Value, pointer: &str, errors: &mut Errors) -> Pattern {
    let Value::Object(map) = value else {
        errors.push((pointer.into(), format!("a pattern is an object of fields, not {}", kind(value))));
        return Pattern(Default::default());
    };
    if map.is_empty() {
        errors.push((
            pointer.into(),
            "the pattern has no field; name at least one, e.g. {total: [{numeric: [\">\", 100]}]}".into(),
        ));
    }
    let mut entries = std::collections::BTreeMap::new();
    for (name, value) in map {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        if name == "$or" {
            errors.push((pointer, "`$or` is not supported yet; write one trigger for each alternative".into()));
        } else if let Some(field) = field(value, &pointer, errors) {
            entries.insert(name.clone(), field);
        }
    }
    Pattern(entries)
}

fn field(value: &Value, pointer: &str, errors: &mut Errors) -> Option<Field> {
    match value {
        Value::Object(_) => Some(Field::Fields(fields(value, pointer, errors))),
        Value::Array(items) if items.is_empty() => {
            errors.push((
                pointer.into(),
                "the list of alternatives is empty, so nothing can match; name at least one value".into(),
            ));
            None
        }
        Value::Array(items) => {
            let leaf =
                items.iter().enumerate().filter_map(|(i, item)| alternative(item, &format!("{pointer}/{i}"), errors));
            Some(Field::Leaf(leaf.collect()))
        }
        scalar => {
            errors.push((pointer.into(), format!("a field holds a list of alternatives: write [{scalar}]")));
            None
        }
    }
}

fn alternative(value: &Value, pointer: &str, errors: &mut Errors) -> Option<Operator> {
    let result = match value {
        Value::Object(map) => operator(map),
        Value::Array(_) => Err("an alternative is a value or an operator, not a list".into()),
        literal => Ok(Operator::Literal(literal.clone())),
    };
    result.map_err(|message| errors.push((pointer.into(), message))).ok()
}

fn operator(map: &Map<String, Value>) -> Result<Operator, String> {
    let mut entries = map.iter();
    let (Some((name, value)), None) = (entries.next(), entries.next()) else {
        return Err(format!("an operator has exactly one key, one of {OPERATORS}"));
    };
    match name.as_str() {
        "prefix" => text(name, value).map(Operator::Prefix),
        "suffix" => text(name, value).map(Operator::Suffix),
        "equals-ignore-case" => text(name, value).map(Operator::EqualsIgnoreCase),
        "exists" => value
            .as_bool()
            .map(Operator::Exists)
            .ok_or_else(|| format!("`exists` takes true or false, not {}", kind(value))),
        "anything-but" => anything_but(value),
        "numeric" => numeric(value),
        "wildcard" | "cidr" => {
            Err(format!("operator `{name}` is not supported yet; use one of {OPERATORS}, or `when`"))
        }
        other => Err(format!("unknown operator `{other}`; use one of {OPERATORS}")),
    }
}

fn text(name: &str, value: &Value) -> Result<String, String> {
    match value.as_str() {
        Some("") => Err(format!("`{name}` takes a text that is not empty")),
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("`{name}` takes a text, not {}", kind(value))),
    }
}

fn anything_but(value: &Value) -> Result<Operator, String> {
    let list = match value {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    match list.iter().find(|item| !(item.is_string() || item.is_number())) {
        _ if list.is_empty() => Err("`anything-but` takes at least one value".into()),
        Some(Value::Object(_)) => {
            Err("`anything-but` of an operator is not supported yet; list values, or use `when`".into())
        }
        Some(other) => Err(format!("`anything-but` takes texts and numbers, not {}", kind(other))),
        None => Ok(Operator::AnythingBut(list)),
    }
}

fn numeric(value: &Value) -> Result<Operator, String> {
    const WANTED: &str = "`numeric` takes a comparison and a number, or two such pairs, e.g. [\">=\", 10, \"<\", 20]";
    let items = value.as_array().filter(|items| matches!(items.len(), 2 | 4)).ok_or(WANTED)?;
    let pair = |pair: &[Value]| match pair {
        [Value::String(comparison), Value::Number(bound)] => Some((Comparison::parse(comparison)?, bound.clone())),
        _ => None,
    };
    let pairs: Option<Vec<_>> = items.chunks(2).map(pair).collect();
    pairs.map(Operator::Numeric).ok_or_else(|| WANTED.to_owned())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
