//! Compares what came out with what is expected.

use serde_json::Value;
use spine_core::document::{Node, NodeValue};

/// Every difference, each with its place in the test's file. Only what is written is compared: an object may
/// have more keys than are expected, a list not more items. `null` stands for what is not there.
pub(super) fn expected(file: &str, node: &Node, seen: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare(file, "expect", node, Some(seen), &mut differences);
    if let (false, Some(reason), Some(detail)) = (differences.is_empty(), seen.get("reason"), seen.get("detail")) {
        differences.push(format!("the event is rejected: {reason}: {detail}"));
    }
    differences
}

fn compare(file: &str, path: &str, node: &Node, seen: Option<&Value>, differences: &mut Vec<String>) {
    match (&node.value, seen) {
        (NodeValue::Map(entries), Some(Value::Object(seen))) => {
            for entry in entries {
                compare(file, &format!("{path}.{}", entry.key), &entry.value, seen.get(&entry.key), differences);
            }
        }
        (NodeValue::List(items), Some(Value::Array(seen))) if items.len() == seen.len() => {
            for (at, (item, seen)) in items.iter().zip(seen).enumerate() {
                compare(file, &format!("{path}[{at}]"), item, Some(seen), differences);
            }
        }
        _ if same(&node.to_value(), seen.unwrap_or(&Value::Null)) => {}
        _ => {
            let seen = seen.map_or_else(|| "nothing".into(), Value::to_string);
            let (line, column) = (node.pos.line, node.pos.column);
            differences.push(format!("{file}:{line}:{column}: {path} is {seen}, wanted {}", node.to_value()));
        }
    }
}

/// Numbers are the same if they have the same value: 5 is 5.0.
fn same(wanted: &Value, seen: &Value) -> bool {
    match (wanted, seen) {
        (Value::Number(wanted), Value::Number(seen)) => wanted == seen || wanted.as_f64() == seen.as_f64(),
        (wanted, seen) => wanted == seen,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spine_core::document;

    use super::*;

    fn check(wanted: &str, differences: &[&str]) {
        let node = document::read("t", wanted).unwrap().remove(0);
        let seen = json!({"a": {"b": 5, "c": [1, {"d": "x"}]}, "e": "f"});
        assert_eq!(expected("t", &node, &seen), differences, "{wanted}");
    }

    #[test]
    fn only_what_is_written_is_compared() {
        check("{e: f}", &[]);
        check("{a: {b: 5.0}, nothing: null}", &[]);
        check("{a: {c: [1, {d: x}]}}", &[]);
        check("{a: {c: [1, {}]}}", &[]);
    }

    #[test]
    fn each_difference_names_its_place() {
        check("{e: g}", &["t:1:5: expect.e is \"f\", wanted \"g\""]);
        check("a:\n  b: 6\n  x: 1", &["t:2:6: expect.a.b is 5, wanted 6", "t:3:6: expect.a.x is nothing, wanted 1"]);
        check("{a: {c: [1]}}", &["t:1:9: expect.a.c is [1,{\"d\":\"x\"}], wanted [1]"]);
        check("{e: null}", &["t:1:2: expect.e is \"f\", wanted null"]);
    }
}
