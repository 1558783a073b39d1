//! The tree holds the value that was written, and knows where it stands.

use proptest::prelude::*;
use serde_json::{Value, json};
use spine_core::document::{self, Node, NodeValue, Pos};

fn read_one(text: &str) -> Node {
    document::read("a.yaml", text).unwrap_or_else(|problems| panic!("{text:?}: {problems}")).remove(0)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[-:#&*!|>%@`'\"{}\\[\\], \n\t0-9a-z<~.]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = prop_oneof![any::<String>(), "[-:#?<0-9a-z ]{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5).prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

/// As Python and others write it: everything beyond ASCII as escapes.
fn ascii(json: &str) -> String {
    let mut out = String::new();
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

proptest! {
    #[test]
    fn json_is_read_as_json(value in any_json()) {
        prop_assert_eq!(&read_one(&value.to_string()).to_value(), &value);
        prop_assert_eq!(&read_one(&serde_json::to_string_pretty(&value).unwrap()).to_value(), &value);
        prop_assert_eq!(&read_one(&ascii(&value.to_string())).to_value(), &value);
    }
}

#[test]
fn long_keys_and_long_lines_are_json_too() {
    let value = json!({"k".repeat(2000): {"a".repeat(1023): ["x".repeat(5000), {"y".repeat(1025): 1}]}});
    assert_eq!(read_one(&value.to_string()).to_value(), value);
}

#[test]
fn values_know_where_they_stand() {
    let text = "a: 1\nb:\n  - x\n  - {c: 'd', \"ä\": [2]}\n---\ne:\n";
    let nodes = document::read("a.yaml", text).unwrap();
    let at = |line, column| Pos { line, column };
    assert_eq!(nodes.iter().map(|node| node.pos).collect::<Vec<_>>(), [at(1, 1), at(6, 1)]);
    assert_eq!(nodes[0].get("a").unwrap().pos, at(1, 4));
    let NodeValue::List(items) = &nodes[0].get("b").unwrap().value else { panic!() };
    assert_eq!((items[0].pos, items[1].pos), (at(3, 5), at(4, 5)));
    assert_eq!(items[1].get("c").unwrap().pos, at(4, 9));
    assert_eq!(items[1].get("ä").unwrap().pos, at(4, 19));
    assert_eq!(nodes[1].get("e").unwrap().pos, at(6, 1));
}

#[test]
fn documents_in_odd_dress() {
    assert_eq!(read_one("\u{feff}a: 1\r\nb: 2\r\n").to_value(), json!({"a": 1, "b": 2}));
    assert_eq!(read_one("%YAML 1.2\n---\na: >\n  x\n  y\n...\n").to_value(), json!({"a": "x y\n"}));
    assert_eq!(read_one("on: yes\n").to_value(), json!({"on": "yes"}));
}
