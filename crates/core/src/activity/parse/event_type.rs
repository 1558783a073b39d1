//! `kind: EventType`.

use super::decoder::{Decoder, Fields, Keys};
use super::{Document, definition, description, grammar, labels};
use crate::activity::EventType;
use crate::document::NodeValue;

const METADATA: Keys = Keys::new(&["name", "labels"]);
const SPEC: Keys = Keys::new(&["description", "schema"]);

pub(super) fn decode(d: &mut Decoder, document: &Fields<'_>) -> Option<Document> {
    let metadata = document.required(d, "metadata").and_then(|at| d.map(&at, "metadata", &METADATA));
    let spec = document.required(d, "spec").and_then(|at| d.map(&at, "a spec", &SPEC));
    let name = metadata
        .as_ref()
        .and_then(|fields| fields.required(d, "name"))
        .and_then(|at| d.parsed(&at, grammar::own_event_type));
    if let Some(fields) = &metadata {
        labels(d, fields);
    }
    let spec = spec?;
    let schema = spec.required(d, "schema");
    let value = EventType { description: description(d, &spec), schema: schema.as_ref()?.node.to_value(), name: name? };
    if let Some(at) =
        schema.filter(|at| !matches!(at.node.value, NodeValue::Map(_) | NodeValue::Bool(_) | NodeValue::Invalid))
    {
        d.problem(&at, format!("a JSON Schema is an object, or true or false; this is {}", at.node.kind()));
    }
    Some(Document::EventType(Box::new(definition(document, value))))
}
