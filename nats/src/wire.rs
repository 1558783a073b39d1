//! Events as NATS messages (CloudEvents NATS protocol binding 1.0.2), and what the HTTP binding shares.

mod header;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::str::FromStr;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use serde_json::Value;
use spine_core::event::{Data, Event, EventError, check_attribute_name, check_type};
use spine_core::names::MSG_ID_HEADER;

pub use header::{attributes_of, content_mode};
pub(crate) use header::{decode as decode_value, encode as encode_value};

/// The header that tells the modes apart.
pub const CONTENT_TYPE: &str = "Content-Type";
/// The content type of an event in structured mode.
pub const STRUCTURED_TYPE: &str = "application/cloudevents+json";
/// What headers that carry an attribute start with.
const PREFIX: &str = "ce-";

/// How an event travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it is in the payload, as JSON.
    Structured,
    /// Attributes are headers, data is the payload.
    Binary,
}

/// The headers and the payload that carry `event`, with the `Nats-Msg-Id` that it is deduplicated by.
/// Fails if a name or the type breaks the rules, which no decoded event does.
pub fn encode(event: &Event, mode: Mode) -> Result<(HeaderMap, Bytes), EventError> {
    check_type(&event.event_type)?;
    event.extensions.keys().try_for_each(|name| check_attribute_name(name))?;
    let mut headers = HeaderMap::new();
    headers.insert(MSG_ID_HEADER, event.key().as_str());
    let payload = match mode {
        Mode::Structured => {
            headers.insert(CONTENT_TYPE, STRUCTURED_TYPE);
            event.to_json().to_string().into()
        }
        Mode::Binary => {
            for (name, value) in binary_attributes(event) {
                insert(&mut headers, &header_of(&name), &header::encode(&value));
            }
            body(&event.data)
        }
    };
    Ok((headers, payload))
}

/// The event that a message carries, checked by every rule.
pub fn decode(headers: &HeaderMap, payload: &[u8]) -> Result<Event, EventError> {
    let mut content_types =
        pairs(headers).filter(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE)).map(|(_, value)| value);
    let content_type = content_types.next();
    if content_types.next().is_some() {
        return Err(EventError::new(CONTENT_TYPE, "two of them", "stand once"));
    }
    match content_mode(content_type)? {
        Mode::Structured => Event::from_json(payload),
        Mode::Binary => {
            let attributes = attributes_of(pairs(headers))?;
            // The binding has a header for the media type; publishers also say it in the usual place.
            let media_type = content_type.filter(|_| !attributes.contains_key("datacontenttype"));
            Event::from_parts(attributes, media_type.map(str::to_owned), payload)
        }
    }
}

/// Every header, one pair for each of its values.
pub(crate) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())))
}

/// All attributes as text. JSON data without a media type gets one: only the JSON format implies it.
fn binary_attributes(event: &Event) -> BTreeMap<String, String> {
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut attributes: BTreeMap<_, _> =
        event.attributes().into_iter().map(|(name, value)| (name, text(value))).collect();
    if matches!(event.data, Data::Json(_)) {
        attributes.entry("datacontenttype".into()).or_insert_with(|| "application/json".into());
    }
    attributes
}

fn body(data: &Data) -> Bytes {
    match data {
        Data::None => Bytes::new(),
        Data::Json(value) => value.to_string().into(),
        Data::Text(text) => text.clone().into(),
        Data::Binary(bytes) => bytes.clone().into(),
    }
}

/// The header that carries this attribute in binary mode.
pub(crate) fn header_of(attribute: &str) -> String {
    format!("{PREFIX}{attribute}")
}

/// Inserts a header whose name and value are known to be clean; what is not, is left out, not sent.
pub(crate) fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    match (HeaderName::from_str(name), HeaderValue::from_str(value)) {
        (Ok(name), Ok(value)) => headers.insert(name, value),
        _ => tracing::error!(name, "a header could not be written"),
    }
}
