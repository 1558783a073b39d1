//! `kind: EventType`.

use super::decoder::{Decoder, Fields};
use super::{Document, definition, description, grammar, labels};
use crate::activity::EventType;
use crate::activity::format::{EVENT_TYPE_METADATA, EVENT_TYPE_SPEC};
use crate::document::NodeValue;

pub(super) fn decode(d: &mut Decoder, document: &Fields<'_>) -> Option<Document> {
    let metadata = document.get("metadata").and_then(|at| d.map(&at, &EVENT_TYPE_METADATA));
    let name =
        metadata.as_ref().and_then(|fields| fields.get("name")).and_then(|at| d.parsed(&at, grammar::own_event_type));
    if let Some(fields) = &metadata {
        labels(d, fields);
    }
    let spec = document.get("spec").and_then(|at| d.map(&at, &EVENT_TYPE_SPEC))?;
    let description = description(d, &spec);
    let schema = spec.get("schema")?;
    schema_form(d, &schema);
    let value = EventType { description, schema: schema.node.to_value(), name: name? };
    Some(Document::EventType(Box::new(definition(d, document, value))))
}

/// Whether it has the form of a JSON Schema; whether it is one, `schemas` finds out.
pub(super) fn schema_form(d: &mut Decoder, at: &super::Cursor<'_>) {
    if !matches!(at.node.value, NodeValue::Map(_) | NodeValue::Bool(_) | NodeValue::Invalid) {
        d.problem(at, format!("a JSON Schema is an object, or true or false; this is {}", at.node.kind()));
    }
}
