//! The rules of content patterns, word for word, with nothing in common with the code that is tested.

use std::cmp::Ordering;
use std::net::IpAddr;

use serde_json::{Number, Value};

/// Whether any of these triggers (as JSON) lets this event through. `when` is not known here.
pub(crate) fn starts(triggers: &Value, event: &Value) -> bool {
    triggers.as_array().unwrap().iter().any(|trigger| {
        let wanted = trigger["event"].as_str().unwrap();
        let event_type = event["type"].as_str().unwrap();
        let listens = match wanted.strip_suffix('*') {
            Some(prefix) => event_type.starts_with(prefix),
            None => event_type == wanted,
        };
        let source = trigger.get("source").is_none_or(|wanted| {
            let parts: Vec<&str> = wanted.as_str().unwrap().split('*').collect();
            like(&parts, event["source"].as_str().unwrap())
        });
        listens && source && trigger.get("match").is_none_or(|pattern| holds(pattern, event))
    })
}

/// Whether the pattern holds for the event.
pub(crate) fn holds(pattern: &Value, event: &Value) -> bool {
    all_fields(pattern, &[event])
}

fn all_fields(pattern: &Value, places: &[&Value]) -> bool {
    pattern.as_object().unwrap().iter().all(|(name, wanted)| match wanted {
        Value::Array(alternatives) if name == "$or" => alternatives.iter().any(|one| all_fields(one, places)),
        Value::Object(_) => all_fields(wanted, &below(places, name)),
        alternatives => leaf(alternatives.as_array().unwrap(), &below(places, name)),
    })
}

fn below<'v>(places: &[&'v Value], name: &str) -> Vec<&'v Value> {
    flat(places).into_iter().filter_map(|place| place.as_object()?.get(name)).collect()
}

/// The values, and of lists their elements.
fn flat<'v>(values: &[&'v Value]) -> Vec<&'v Value> {
    let mut all = Vec::new();
    for value in values {
        match value {
            Value::Array(items) => all.extend(flat(&items.iter().collect::<Vec<_>>())),
            other => all.push(*other),
        }
    }
    all
}

fn leaf(alternatives: &[Value], found: &[&Value]) -> bool {
    alternatives.iter().any(|wanted| match wanted.get("exists") {
        Some(exists) => exists.as_bool().unwrap() != found.is_empty(),
        None => flat(found).into_iter().any(|value| is_wanted(wanted, value)),
    })
}

fn is_wanted(wanted: &Value, value: &Value) -> bool {
    let Some(operator) = wanted.as_object() else { return same(wanted, value) };
    let (name, operand) = operator.iter().next().unwrap();
    match (name.as_str(), value) {
        ("anything-but", Value::String(_)) => !exceptions(operand).iter().any(|one| is_wanted(one, value)),
        ("anything-but", Value::Number(_)) => {
            !operand.is_object() && !exceptions(operand).iter().any(|one| is_wanted(one, value))
        }
        ("numeric", Value::Number(number)) => {
            let pairs = operand.as_array().unwrap().chunks(2);
            pairs.into_iter().all(|pair| compares(number, pair[0].as_str().unwrap(), &pair[1]))
        }
        ("cidr", Value::String(text)) => in_net(operand.as_str().unwrap(), text),
        (name, Value::String(text)) if name != "numeric" => text_is(name, operand, text),
        _ => false,
    }
}

/// What `anything-but` excludes, each as an alternative.
fn exceptions(operand: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    match operand.as_object().and_then(|map| map.iter().next()) {
        Some((name, operand)) => list(operand).into_iter().map(|one| serde_json::json!({ name: one })).collect(),
        None => list(operand),
    }
}

fn text_is(name: &str, operand: &Value, text: &str) -> bool {
    if let Some(folded) = operand.get("equals-ignore-case") {
        return text_is(name, &any_case(folded.as_str().unwrap()).into(), &any_case(text));
    }
    let wanted = operand.as_str().unwrap();
    match name {
        "prefix" => text.starts_with(wanted),
        "suffix" => text.ends_with(wanted),
        "equals-ignore-case" => any_case(text) == any_case(wanted),
        "wildcard" => wildcard(wanted, text),
        other => panic!("{other}"),
    }
}

fn any_case(text: &str) -> String {
    text.chars().map(|c| c.to_string().to_uppercase().to_lowercase()).collect()
}

fn wildcard(pattern: &str, text: &str) -> bool {
    let marked = pattern.replace("\\\\", "\u{1}").replace("\\*", "\u{2}");
    let parts: Vec<String> = marked.split('*').map(|part| part.replace('\u{1}', "\\").replace('\u{2}', "*")).collect();
    like(&parts.iter().map(String::as_str).collect::<Vec<_>>(), text)
}

/// Tries every place for every part.
fn like(parts: &[&str], text: &str) -> bool {
    match parts {
        [only] => *only == text,
        [first, rest @ ..] => {
            let Some(text) = text.strip_prefix(first) else { return false };
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| like(rest, &text[at..]))
        }
        [] => unreachable!(),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order(a, b) == Ordering::Equal,
        (a, b) => a == b,
    }
}

fn compares(number: &Number, comparison: &str, bound: &Value) -> bool {
    let order = order(number, bound.as_number().unwrap());
    match comparison {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        "=" => order.is_eq(),
        ">=" => order.is_ge(),
        ">" => order.is_gt(),
        other => panic!("{other}"),
    }
}

/// Compares the digits of the decimal expansions, which for a float are finite and exact.
fn order(a: &Number, b: &Number) -> Ordering {
    if let (Ok(a), Ok(b)) = (a.to_string().parse::<i128>(), b.to_string().parse::<i128>()) {
        return a.cmp(&b);
    }
    let digits = |number: &Number| match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => format!("{float:.1100}"),
        None => format!("{number}.{}", "0".repeat(1100)),
    };
    let (a, b) = (digits(a), digits(b));
    let (minus_a, minus_b) = (is_negative(&a), is_negative(&b));
    let magnitude = |text: &str| {
        let text = text.trim_start_matches('-').trim_start_matches('0').to_owned();
        (text.find('.').unwrap(), text)
    };
    match (minus_a, minus_b) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (true, true) => magnitude(&b).cmp(&magnitude(&a)),
        (false, false) => magnitude(&a).cmp(&magnitude(&b)),
    }
}

/// Zero is not negative, however it is written.
fn is_negative(digits: &str) -> bool {
    digits.starts_with('-') && digits.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

fn in_net(net: &str, text: &str) -> bool {
    let (first, length) = net.split_once('/').unwrap();
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().iter().map(|octet| format!("{octet:08b}")).collect::<String>(),
        IpAddr::V6(v6) => v6.octets().iter().map(|octet| format!("{octet:08b}")).collect(),
    };
    let (first, Ok(address)) = (bits(first.parse().unwrap()), text.parse().map(bits)) else { return false };
    let length: usize = length.parse().unwrap();
    first.len() == address.len() && first[..length] == address[..length]
}
