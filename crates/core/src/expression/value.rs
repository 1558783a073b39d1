//! JSON to CEL values and back. A whole number becomes an `int`, so that `i.qty * 2` works.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use serde_json::Value;

/// The CEL value of a JSON value.
pub(super) fn from_json(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Number(number) => from_number(number),
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(from_json).collect())),
        Value::Object(map) => {
            let map: HashMap<Key, cel::Value> =
                map.iter().map(|(name, item)| (Key::String(Arc::new(name.clone())), from_json(item))).collect();
            cel::Value::Map(Map { map: Arc::new(map) })
        }
    }
}

fn from_number(number: &serde_json::Number) -> cel::Value {
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => cel::Value::Int(int),
        (None, Some(uint)) => cel::Value::UInt(uint),
        (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// The JSON value of a CEL value. Fails for what JSON can't hold: a type, a non-finite number.
pub(super) fn to_json(value: &cel::Value) -> Result<Value, String> {
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(truth) => Value::from(*truth),
        cel::Value::Int(int) => Value::from(*int),
        cel::Value::UInt(uint) => Value::from(*uint),
        cel::Value::Float(float) => serde_json::Number::from_f64(*float)
            .map(Value::Number)
            .ok_or_else(|| format!("gave {float}, which JSON can't hold"))?,
        cel::Value::String(text) => Value::from(text.as_str()),
        cel::Value::List(items) => Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        cel::Value::Map(map) => {
            let entries = map.map.iter().map(|(key, item)| Ok((key_text(key), to_json(item)?)));
            Value::Object(entries.collect::<Result<_, String>>()?)
        }
        other => return Err(format!("gave a {}, which JSON can't hold", other.type_of())),
    })
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Int(int) => int.to_string(),
        Key::Uint(uint) => uint.to_string(),
        Key::Bool(truth) => truth.to_string(),
        Key::String(text) => text.to_string(),
    }
}
