//! `kind: EventType`.

use super::decoder::{Decoder, Fields};
use super::{Document, definition, description, grammar, labels, schema};
use crate::activity::EventType;
use crate::activity::format::{EVENT_TYPE_METADATA, EVENT_TYPE_SPEC};
use crate::compatibility::Compatibility;

pub(super) fn decode(d: &mut Decoder, document: &Fields<'_>) -> Option<Document> {
    let metadata = document.get("metadata").and_then(|at| d.map(&at, &EVENT_TYPE_METADATA));
    let name =
        metadata.as_ref().and_then(|fields| fields.get("name")).and_then(|at| d.parsed(&at, grammar::own_event_type));
    if let Some(fields) = &metadata {
        labels(d, fields);
    }
    let spec = document.get("spec").and_then(|at| d.map(&at, &EVENT_TYPE_SPEC))?;
    let description = description(d, &spec);
    let schema = schema::decode(d, &spec.get("schema")?);
    let compatibility = Compatibility::of(d.word(&spec, "compatibility").unwrap_or("none"));
    let value = EventType { description, schema, compatibility, name: name? };
    Some(Document::EventType(Box::new(definition(d, document, value))))
}
