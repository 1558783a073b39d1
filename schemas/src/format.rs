//! The JSON Schema of our own documents, made from the tables that the parser reads.
//!
//! It is for editors: what it refuses, `spine check` refuses as well, with a better message. It knows no
//! expressions, patterns or references between tasks, so much that it takes is refused by `spine check`.

use serde_json::{Map, Value, json};
use spine_core::activity::format::{ACTIVITY, ACTIVITY_TEST, EVENT_TYPE, Key, Object, SOURCE, Shape};

/// The `$id` of the schema.
pub const ID: &str = "urn:spine:schema:v1";

/// The schema of one document: an activity, an event type, a source, or a test of activities.
pub fn json_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Spine: activities, event types, sources and tests of activities",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": ["Activity", "EventType", "Source", "ActivityTest"]}},
        "allOf": [of_kind("Activity", &ACTIVITY), of_kind("EventType", &EVENT_TYPE), of_kind("Source", &SOURCE), of_kind("ActivityTest", &ACTIVITY_TEST)],
        "$defs": {"pattern": pattern()},
    })
}

/// What a document of this kind must be.
fn of_kind(kind: &str, document: &Object) -> Value {
    json!({"if": {"properties": {"kind": {"const": kind}}}, "then": object(document)})
}

fn object(object: &Object) -> Value {
    let properties: Map<String, Value> = object.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": object.free_keys});
    let required: Vec<&str> = object.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !object.one_of.is_empty() {
        schema["oneOf"] = object.one_of.iter().map(|name| json!({"required": [name]})).collect();
    }
    let beside: Map<String, Value> =
        object.keys.iter().filter_map(|key| Some((key.name.to_owned(), json!([key.beside?])))).collect();
    if !beside.is_empty() {
        schema["dependentRequired"] = Value::Object(beside);
    }
    let with = object.keys.iter().find_map(|key| match key.shape {
        Shape::With(kinds) => Some(kinds),
        _ => None,
    });
    if let Some(kinds) = with {
        schema["allOf"] = kinds.iter().map(|(uses, with)| with_of(uses, with)).collect();
    }
    schema
}

/// What `with` must be, if `uses` is this word.
fn with_of(uses: &str, with: &Object) -> Value {
    json!({
        "if": {"required": ["uses"], "properties": {"uses": {"const": uses}}},
        "then": {"properties": {"with": object(with)}},
    })
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.shape);
    let default = match key.default {
        "" => String::new(),
        default => format!(" Default: {default}."),
    };
    schema["description"] = Value::from(format!("{}{default}", key.doc));
    schema
}

fn shape(shape_: &Shape) -> Value {
    match shape_ {
        Shape::Text | Shape::TextTemplate => json!({"type": "string"}),
        Shape::Expression => {
            json!({"type": "string", "minLength": 1, "maxLength": spine_core::expression::MAX_SOURCE_BYTES})
        }
        Shape::Form { pattern, .. } => json!({"type": "string", "pattern": pattern}),
        Shape::Words(words) => json!({"enum": words}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Duration { .. } => {
            json!({"type": "string", "minLength": 2, "pattern": r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"})
        }
        Shape::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Number { least, most } => json!({"type": "number", "minimum": least, "maximum": most}),
        Shape::Template | Shape::Value => json!({}),
        Shape::Pattern => json!({"$ref": "#/$defs/pattern"}),
        Shape::JsonSchema => json!({"type": ["object", "boolean"]}),
        Shape::List { of, least, most } => {
            json!({"type": "array", "items": shape(of), "minItems": least, "maxItems": most})
        }
        Shape::Map { of, most } => {
            json!({"type": "object", "additionalProperties": shape(of), "maxProperties": most})
        }
        Shape::Object(one) => object(one),
        Shape::Any(shapes) => json!({"anyOf": shapes.iter().map(shape).collect::<Vec<_>>()}),
        Shape::With(_) => json!({"type": "object"}),
    }
}

/// A pattern: fields that are patterns, or lists of alternatives.
fn pattern() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "properties": {"$or": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/pattern"}}},
        "additionalProperties": {"anyOf": [
            {"$ref": "#/$defs/pattern"},
            {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean", "null", "object"]}},
        ]},
    })
}
