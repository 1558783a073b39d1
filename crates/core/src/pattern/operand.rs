//! Reads one operator and what it takes.

use serde_json::{Map, Value};

use super::net::Net;
use super::operator::{Folded, Literal, Operator, TextTest};
use super::range::Range;
use super::wildcard::Wildcard;
use super::{MAX_ALTERNATIVES, MAX_TEXT_BYTES};
use crate::words;

const OPERATORS: [&str; 8] =
    ["prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr"];
/// Those that `anything-but` takes.
const TEXT_OPERATORS: [&str; 4] = ["prefix", "suffix", "equals-ignore-case", "wildcard"];

/// The operator that this object is.
pub(super) fn operator(map: &Map<String, Value>) -> Result<Operator, String> {
    let (name, value) = only_key(map, &OPERATORS)?;
    match name {
        "exists" => match value.as_bool() {
            Some(wanted) => Ok(Operator::Exists(wanted)),
            None => Err(format!("`exists` takes true or false, not {}", words::kind(value))),
        },
        "anything-but" => anything_but(value),
        "numeric" => numeric(value),
        "cidr" => text(name, value).and_then(Net::parse).map(Operator::Cidr),
        name if TEXT_OPERATORS.contains(&name) => text_test(name, value).map(Operator::Text),
        other => Err(format!("unknown operator `{}`; {}", start(other), words::suggest(other, &OPERATORS))),
    }
}

fn only_key<'v>(map: &'v Map<String, Value>, known: &[&str]) -> Result<(&'v str, &'v Value), String> {
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => Err(format!("an operator has exactly one key, one of {}", known.join(", "))),
    }
}

fn text_test(name: &str, value: &Value) -> Result<TextTest, String> {
    if let (Value::Object(map), "prefix" | "suffix") = (value, name) {
        return folded_affix(name, map);
    }
    let text = text(name, value)?;
    Ok(match name {
        "prefix" => TextTest::Prefix(text.to_owned()),
        "suffix" => TextTest::Suffix(text.to_owned()),
        "equals-ignore-case" => TextTest::Equals(Folded::of(text)),
        _ => TextTest::Wildcard(Wildcard::parse(text)?),
    })
}

/// The object in `{prefix: {equals-ignore-case: x}}`.
fn folded_affix(name: &str, map: &Map<String, Value>) -> Result<TextTest, String> {
    let inner = "equals-ignore-case";
    match map.get(inner) {
        Some(value) if map.len() == 1 => {
            let text = Folded::of(text(inner, value)?);
            Ok(if name == "prefix" { TextTest::PrefixFolded(text) } else { TextTest::SuffixFolded(text) })
        }
        _ => Err(format!("`{name}` takes a text, or {{{inner}: text}}")),
    }
}

fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str, String> {
    match value.as_str() {
        Some("") => Err(format!("`{name}` takes a text that is not empty")),
        Some(text) if text.len() > MAX_TEXT_BYTES => {
            Err(format!("`{name}` takes a text of at most {MAX_TEXT_BYTES} bytes, not {}", text.len()))
        }
        Some(text) => Ok(text),
        None => Err(format!("`{name}` takes a text, not {}", words::kind(value))),
    }
}

fn anything_but(value: &Value) -> Result<Operator, String> {
    if let Value::Object(map) = value {
        return anything_but_text(map).map(Operator::AnythingButText);
    }
    let literals: Result<Vec<_>, _> = list("anything-but", value)?.iter().map(text_or_number).collect();
    literals.map(Operator::AnythingBut)
}

fn text_or_number(value: &Value) -> Result<Literal, String> {
    match Literal::of(value) {
        Some(Literal::Text(text)) if text.len() > MAX_TEXT_BYTES => {
            Err(format!("`anything-but` takes texts of at most {MAX_TEXT_BYTES} bytes, not {}", text.len()))
        }
        Some(literal @ (Literal::Text(_) | Literal::Number(..))) => Ok(literal),
        _ => Err(format!("`anything-but` takes texts and numbers, or one operator, not {}", words::kind(value))),
    }
}

/// The object in `{anything-but: {prefix: [a, b]}}`.
fn anything_but_text(map: &Map<String, Value>) -> Result<Vec<TextTest>, String> {
    let (name, value) = only_key(map, &TEXT_OPERATORS)?;
    if !TEXT_OPERATORS.contains(&name) {
        return Err(format!("`anything-but` takes no `{}`; {}", start(name), words::suggest(name, &TEXT_OPERATORS)));
    }
    list(name, value)?.iter().map(|item| text_test(name, item)).collect()
}

/// One value, or a list of them that is not empty.
fn list<'v>(name: &str, value: &'v Value) -> Result<&'v [Value], String> {
    match value {
        Value::Array(items) if items.is_empty() => Err(format!("`{name}` takes at least one value")),
        Value::Array(items) if items.len() > MAX_ALTERNATIVES => {
            Err(format!("`{name}` takes at most {MAX_ALTERNATIVES} values, not {}", items.len()))
        }
        Value::Array(items) => Ok(items),
        one => Ok(std::slice::from_ref(one)),
    }
}

fn numeric<'v>(value: &'v Value) -> Result<Operator, String> {
    const WANTED: &str = "`numeric` takes a comparison and a number, or two such pairs, e.g. [\">=\", 10, \"<\", 20]";
    let items = value.as_array().filter(|items| matches!(items.len(), 2 | 4)).ok_or(WANTED)?;
    let pair = |pair: &'v [Value]| match pair {
        [Value::String(name), Value::Number(bound)] => Ok((name.as_str(), bound)),
        _ => Err(WANTED),
    };
    let pairs: Vec<_> = items.chunks(2).map(pair).collect::<Result<_, _>>()?;
    Range::of(&pairs).map(Operator::Numeric)
}

/// The start of a name that a user wrote.
fn start(name: &str) -> String {
    name.chars().take(40).collect()
}
