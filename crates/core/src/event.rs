//! The CloudEvent (1.0.2), strict and lossless.

mod decode;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use decode::{EventError, check_attribute_name, check_type};

use crate::key::EventKey;
use crate::names::HOPS_EXTENSION;

/// The most bytes an event's `id` may have.
pub const MAX_ID_BYTES: usize = 1024;
/// The most bytes an event's `source`, `subject`, `type` or `dataschema` may have.
pub const MAX_ATTRIBUTE_BYTES: usize = 2048;
/// The most bytes an event may have on the wire: under NATS' default `max_payload` of 1 MiB, with room
/// for what a dead letter adds.
pub const MAX_EVENT_BYTES: usize = 1_000_000;

/// A CloudEvent. Its identity is (source, id).
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unique within `source`.
    pub id: String,
    /// A URI-reference that names the producer.
    pub source: String,
    /// The type: `[A-Za-z0-9_-]` tokens joined by dots.
    pub event_type: String,
    /// What the event is about, in the producer's terms.
    pub subject: Option<String>,
    /// When it happened, RFC 3339, exactly as it was sent.
    pub time: Option<String>,
    /// The media type of `data`.
    pub datacontenttype: Option<String>,
    /// The schema that the producer says `data` meets.
    pub dataschema: Option<String>,
    /// Extension attributes: strings, integers and booleans.
    pub extensions: BTreeMap<String, Value>,
    /// The payload.
    pub data: Data,
}

/// The payload of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// There is none.
    None,
    /// JSON.
    Json(Value),
    /// Text of a media type that is not JSON.
    Text(String),
    /// Anything else.
    Binary(Vec<u8>),
}

impl Event {
    /// An event with the required attributes and nothing else.
    pub fn new(event_type: impl Into<String>, source: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            source: source.into(),
            event_type: event_type.into(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: BTreeMap::new(),
            data: Data::None,
        }
    }

    /// Parses the JSON event format (CloudEvents JSON format 1.0.2) and checks every rule.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        decode::from_json(bytes)
    }

    /// Builds an event from attributes and the bytes of its data, as the binary mode of a protocol
    /// binding carries them, and checks every rule. Names are without the `ce-` prefix.
    pub fn from_parts(
        attributes: BTreeMap<String, String>,
        datacontenttype: Option<String>,
        data: &[u8],
    ) -> Result<Self, EventError> {
        decode::from_parts(attributes, datacontenttype, data)
    }

    /// The event in the JSON event format: attributes at the top, `data` or `data_base64` below.
    pub fn to_json(&self) -> Value {
        let mut map = self.attributes();
        match &self.data {
            Data::None => {}
            Data::Json(value) => drop(map.insert("data".into(), value.clone())),
            Data::Text(text) => drop(map.insert("data".into(), Value::from(text.as_str()))),
            Data::Binary(bytes) => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                map.insert("data_base64".into(), Value::from(text));
            }
        }
        Value::Object(map)
    }

    /// All context attributes that are set, `specversion` included, without the data.
    pub fn attributes(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("specversion".into(), Value::from("1.0"));
        map.insert("id".into(), Value::from(self.id.as_str()));
        map.insert("source".into(), Value::from(self.source.as_str()));
        map.insert("type".into(), Value::from(self.event_type.as_str()));
        let optional = [
            ("subject", &self.subject),
            ("time", &self.time),
            ("datacontenttype", &self.datacontenttype),
            ("dataschema", &self.dataschema),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                map.insert(name.into(), Value::from(value.as_str()));
            }
        }
        map.extend(self.extensions.clone());
        map
    }

    /// The event's identity as a token.
    pub fn key(&self) -> EventKey {
        EventKey::new(&self.source, &self.id)
    }

    /// How many runs stand between this event and the outside world; 0 for an event from outside.
    pub fn hops(&self) -> u64 {
        match self.extensions.get(HOPS_EXTENSION) {
            Some(Value::Number(n)) => n.as_u64().unwrap_or(u64::MAX),
            Some(Value::String(text)) => text.parse().unwrap_or(u64::MAX),
            Some(_) => u64::MAX,
            None => 0,
        }
    }
}

impl serde::Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        decode::from_value(value).map_err(serde::de::Error::custom)
    }
}
