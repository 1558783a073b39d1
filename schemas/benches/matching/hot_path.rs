//! All that a router does for an event by itself: decode, admit, check the payload, match.

use serde_json::json;
use spine_core::admission::{Delivery, after_decode, before_decode};
use spine_core::event::Event;
use spine_core::matching::Index;
use spine_core::names::event_subject;
use spine_schemas::PayloadSchemas;

use crate::measure::{Table, per_second};
use crate::workload;

struct Message {
    subject: String,
    bytes: Vec<u8>,
}

pub(crate) fn measure(table: &mut Table, index: &Index, types: usize, naive: f64) {
    let messages: Vec<Message> = workload::bytes(workload::COLD, types).into_iter().map(message).collect();
    let schemas = schemas(types);
    let decoded = per_second(&messages, |message| decode(message).id.len());
    table.rate("decode", decoded, naive);
    let admitted = per_second(&messages, |message| admit(message, &schemas).id.len());
    table.rate("decode, admit, payload schema", admitted, naive);
    let matched = per_second(&messages, |message| index.matched(&admit(message, &schemas)).len());
    table.rate(&format!("whole path, matched among {}", index.len()), matched, naive);
    let decided = per_second(&messages, |message| index.decide(&admit(message, &schemas)).len());
    table.rate(&format!("whole path, decided among {}", index.len()), decided, naive);
}

fn message(bytes: Vec<u8>) -> Message {
    Message { subject: event_subject(&Event::from_json(&bytes).unwrap().event_type), bytes }
}

fn decode(message: &Message) -> Event {
    Event::from_json(&message.bytes).unwrap()
}

fn admit(message: &Message, schemas: &PayloadSchemas) -> Event {
    let delivery = Delivery { subject: &message.subject, bytes: message.bytes.len(), deliveries: 1 };
    before_decode(&delivery).unwrap();
    let event = decode(message);
    after_decode(&delivery, &event).unwrap();
    schemas.validate(&event.event_type, &event.data).unwrap();
    event
}

fn schemas(types: usize) -> PayloadSchemas {
    let schema = json!({"type": "object", "required": ["order", "total", "customer", "items"], "properties": {
        "order": {"type": "string", "maxLength": 20}, "total": {"type": "number", "minimum": 0},
        "currency": {"enum": ["EUR", "USD"]}, "channel": {"type": "string"},
        "customer": {"type": "object", "required": ["id"], "properties": {
            "id": {"type": "integer"}, "country": {"type": "string"}, "email": {"type": "string"}}},
        "items": {"type": "array", "maxItems": 100, "items": {"type": "object", "required": ["sku", "qty"],
            "properties": {"sku": {"type": "string"}, "qty": {"type": "integer", "minimum": 1}}}}}});
    PayloadSchemas::compile((0..types).map(|number| (workload::event_type(number), schema.clone()))).unwrap()
}
