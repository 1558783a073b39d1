//! A JSON Schema in a document: an event type's, or a human task's form.

use serde_json::Value;

use super::decoder::{Cursor, Decoder};
use crate::document::NodeValue;

/// Says what is wrong with a JSON Schema. This crate compiles none; whoever parses brings the function.
pub type SchemaCheck = fn(&Value) -> Result<(), SchemaFault>;

/// Why something is no JSON Schema, or none that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// A JSON pointer to the part of it that is wrong; empty for the schema as a whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// The schema that stands here; what is wrong with it is reported at the part that is wrong.
pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>) -> Value {
    let schema = at.node.to_value();
    if !matches!(at.node.value, NodeValue::Map(_) | NodeValue::Bool(_) | NodeValue::Invalid) {
        d.problem(at, format!("a JSON Schema is an object, or true or false; this is {}", at.node.kind()));
    } else if at.node.is_whole()
        && let Err(fault) = (d.check_schema)(&schema)
    {
        let (node, path) = at.node.at_pointer(&at.path, &fault.pointer);
        d.report.add(node.pos, &path, fault.message);
    }
    schema
}
