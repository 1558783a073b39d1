//! One text per JSON value, so that equal values have equal hashes.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// `sha256:` and 64 hex digits over the canonical text of `value`: keys sorted, no white space.
pub fn hash(value: &Value) -> String {
    format!("sha256:{}", crate::key::hex(&Sha256::digest(text(value))))
}

/// The canonical text of `value`: keys sorted by code point, no white space, as in RFC 8785 but for
/// numbers, which keep serde_json's form.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => write_object(map, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

fn write_object(map: &serde_json::Map<String, Value>, out: &mut String) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    out.push('{');
    for (i, (name, item)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(name.as_str()).to_string());
        out.push(':');
        write(item, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_of_keys_does_not_count_and_order_of_items_does() {
        let a: Value = serde_json::from_str(r#"{"b": [1, {"y": 1, "x": "é\n"}], "a": null}"#).unwrap();
        assert_eq!(text(&a), r#"{"a":null,"b":[1,{"x":"é\n","y":1}]}"#);
        assert_ne!(hash(&json!([1, 2])), hash(&json!([2, 1])));
    }
}
