use serde_json::{Value, json};

use super::{Compatibility, check, check_change};

/// What is wrong with a change from `old` to `new` that must be backward compatible; `None` if nothing is.
fn check_backward(old: &Value, new: &Value, expected: Option<&str>) {
    let problems = check(Compatibility::of("backward"), old, new).join("; ");
    match expected {
        None => assert_eq!(problems, "", "{old} -> {new}"),
        Some(part) => assert!(problems.contains(part), "{old} -> {new}: {problems:?}"),
    }
    // What one direction says of a change, the other says of the reverse.
    let reverse = check(Compatibility::of("forward"), new, old);
    assert_eq!(reverse.is_empty(), expected.is_none(), "{new} -> {old}: {reverse:?}");
}

fn order(properties: &Value) -> Value {
    json!({"type": "object", "required": ["id"], "additionalProperties": false, "properties": properties})
}

#[test]
fn what_the_schema_before_allowed_stays_allowed() {
    let old = order(&json!({"id": {"type": "string"}}));
    check_backward(&old, &old, None);
    check_backward(&old, &order(&json!({"id": {"type": ["string", "integer"], "description": "x"}})), None);
    check_backward(&old, &order(&json!({"id": {"type": "string"}, "coupon": {"type": "string"}})), None);
    check_backward(&old, &order(&json!({"id": true})), None);
    check_backward(&old, &order(&json!({})), Some("spec.schema.properties.id: the new schema allows nothing here"));
    check_backward(
        &old,
        &order(&json!({"id": {"type": "integer"}})),
        Some("properties.id: the new schema has no string"),
    );
    let mut more = old.clone();
    more["required"] = json!(["id", "total"]);
    check_backward(&old, &more, Some("spec.schema: the new schema requires `total`, and the old one does not"));
    more["required"] = json!([]);
    check_backward(&old, &more, None);
    // Where others may have any name, one of them may have had another type.
    check_backward(
        &json!({}),
        &json!({"properties": {"a": {"type": "string"}}}),
        Some("properties.a: the new schema has no array"),
    );
    check_backward(
        &json!({"additionalProperties": {"type": "string"}}),
        &json!({"additionalProperties": false}),
        Some("additionalProperties"),
    );
}

#[test]
fn bounds_lists_and_items_are_compared() {
    let number = |bounds: &Value| {
        let mut schema = json!({"type": "number"});
        schema.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
        schema
    };
    for (old, new, expected) in [
        (json!({"minimum": 1}), json!({"minimum": 0}), None),
        (json!({"minimum": 1}), json!({"exclusiveMinimum": 0.5}), None),
        (json!({"minimum": 1}), json!({"exclusiveMinimum": 1}), Some("has the bound 1")),
        (json!({"exclusiveMinimum": 1}), json!({"minimum": 1}), None),
        (json!({"maximum": 9}), json!({"maximum": 8}), Some("has the bound 8")),
        (json!({"maximum": 18446744073709551615u64}), json!({"maximum": 18446744073709551614u64}), Some("bound")),
        (json!({}), json!({"maximum": 8}), Some("goes beyond it")),
    ] {
        check_backward(&number(&old), &number(&new), expected);
    }
    let text = |bound: &Value| json!({"type": "array", "items": {"type": "string", "maxLength": bound}});
    check_backward(&text(&json!(5)), &text(&json!(6)), None);
    check_backward(&text(&json!(5)), &text(&json!(4)), Some("spec.schema.items: the new schema has `maxLength` 4"));
    check_backward(&json!({"minItems": 1}), &json!({"minItems": 2}), Some("`minItems` 2"));
    check_backward(&json!({"type": "string"}), &json!({"minItems": 2, "type": "string"}), None);
    let listed = |values: &Value| json!({"enum": values});
    check_backward(&listed(&json!(["a"])), &listed(&json!(["a", "b"])), None);
    check_backward(&listed(&json!(["a", "b"])), &listed(&json!(["a"])), Some("does not list \"b\""));
    check_backward(&json!({"const": "a"}), &json!({"type": "string"}), None);
    check_backward(&json!({"type": "string"}), &listed(&json!(["a"])), Some("lists its values"));
}

#[test]
fn what_can_not_be_judged_is_refused_by_name() {
    for (old, new, expected) in [
        (json!({"pattern": "a"}), json!({"pattern": "b"}), "`pattern` differs"),
        (json!({}), json!({"format": "date"}), "the new schema has `format`"),
        (json!({"patternProperties": {}}), json!({}), "`patternProperties` can't be judged"),
        (json!({}), json!({"if": true}), "`if` can't be judged"),
        (json!({"$ref": "#/$defs/a", "type": "string", "$defs": {"a": true}}), json!({}), "`$ref` beside"),
        (json!({"$schema": "http://json-schema.org/draft-04/schema#"}), json!({}), "`$schema`"),
        (
            json!({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": true}}),
            json!({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": false}}),
            "`anyOf` differs or refers",
        ),
    ] {
        check_backward(&old, &new, Some(expected));
    }
    check_backward(&json!({"pattern": "a", "anyOf": [true]}), &json!({"anyOf": [true]}), None);
}

#[test]
fn references_are_followed_and_may_be_circular() {
    let tree = |value: &str| {
        let node =
            json!({"type": "object", "properties": {"value": {"type": value}, "next": {"$ref": "#/$defs/node"}}});
        json!({"$ref": "#/$defs/node", "$defs": {"node": node}})
    };
    check_backward(&tree("integer"), &tree("number"), None);
    check_backward(&tree("number"), &tree("integer"), Some("properties.value: the new schema has no fraction"));
    check_backward(&json!({}), &tree("number"), Some("has no array"));
}

#[test]
fn both_modes_count_and_full_is_both() {
    let document = |mode: &str, schema: Value| json!({"spec": {"compatibility": mode, "schema": schema}});
    let (wide, tight) = (json!({"type": ["string", "null"]}), json!({"type": "string"}));
    let changes = |before: &str, after: &str, old: &Value, new: &Value| {
        check_change(&document(before, old.clone()), &document(after, new.clone())).len()
    };
    assert_eq!(changes("none", "none", &wide, &tight), 0);
    assert_eq!(changes("backward", "none", &wide, &tight), 1);
    assert_eq!(changes("none", "backward", &wide, &tight), 1);
    assert_eq!(changes("forward", "forward", &wide, &tight), 0);
    assert_eq!(changes("forward", "forward", &tight, &wide), 1);
    assert_eq!(changes("full", "full", &tight, &wide), 1);
    assert_eq!(changes("full", "full", &wide, &wide), 0);
    assert_eq!(changes("backward", "none", &wide, &wide), 0);
}
