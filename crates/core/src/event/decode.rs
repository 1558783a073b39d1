//! From bytes to an [`Event`], refusing whatever CloudEvents 1.0.2 does not allow.
//!
//! What is refused here is never patched: an event that was admitted says exactly what its producer said.

mod attribute;
mod error;
mod strict;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Data, Event};
use attribute::{Attributes, is_json};
pub use attribute::{check_attribute_name, check_type};
pub use error::EventError;
use error::Problem;

/// The JSON event format (CloudEvents JSON format 1.0.2). Refuses a key that stands twice, at any depth.
pub(super) fn from_json(bytes: &[u8]) -> Result<Event, EventError> {
    let value = strict::parse(bytes).map_err(|problem| EventError::new("event", problem, error::JSON_FORMAT))?;
    from_value(value)
}

/// As [`from_json`], from a value that has been parsed.
pub(super) fn from_value(value: Value) -> Result<Event, EventError> {
    let Value::Object(mut map) = value else {
        return Err(EventError::new("event", kind(&value), "be a JSON object (JSON format, section 2)"));
    };
    let data = map.remove("data");
    let encoded = map.remove("data_base64");
    let mut attributes = Attributes::from_map(map);
    let mut event = attributes.event();
    match json_data(data, encoded, event.datacontenttype.as_deref()) {
        Ok(data) => event.data = data,
        Err(problem) => attributes.refuse(problem),
    }
    attributes.finish(event)
}

/// Attributes and the bytes of the data, as the binary mode of a protocol binding carries them.
pub(super) fn from_parts(
    attributes: BTreeMap<String, String>,
    datacontenttype: Option<String>,
    data: &[u8],
) -> Result<Event, EventError> {
    let stated_twice = datacontenttype.is_some() && attributes.contains_key("datacontenttype");
    let map: Map<String, Value> = attributes
        .into_iter()
        .chain(datacontenttype.map(|media_type| ("datacontenttype".to_owned(), media_type)))
        .map(|(name, text)| (name, Value::String(text)))
        .collect();
    let mut attributes = Attributes::from_map(map);
    if stated_twice {
        attributes.refuse(Problem::new("datacontenttype", "two of them", "stand once"));
    }
    let mut event = attributes.event();
    match bytes_data(data, event.datacontenttype.as_deref()) {
        Ok(data) => event.data = data,
        Err(problem) => attributes.refuse(problem),
    }
    attributes.finish(event)
}

/// `data` and `data_base64` of the JSON format (JSON format 1.0.2, section 3.1).
fn json_data(data: Option<Value>, encoded: Option<Value>, media_type: Option<&str>) -> Result<Data, Problem> {
    match (data, encoded) {
        (Some(_), Some(_)) => {
            Err(Problem::new("data", "data and data_base64", "be one of the two (JSON format, section 3.1)"))
        }
        (None, None) => Ok(Data::None),
        (Some(value), None) if media_type.is_none_or(is_json) => Ok(Data::Json(value)),
        (Some(Value::String(text)), None) => Ok(Data::Text(text)),
        (Some(other), None) => Err(Problem::new(
            "data",
            kind(&other),
            "be a string, because datacontenttype is not JSON (JSON format, section 3.1.1)",
        )),
        (None, Some(encoded)) => base64_data(&encoded, media_type),
    }
}

/// Bytes whose media type says JSON are JSON, however they travelled.
fn base64_data(encoded: &Value, media_type: Option<&str>) -> Result<Data, Problem> {
    let rule = "be a base64 string (JSON format, section 3.1.1)";
    let text = encoded.as_str().ok_or_else(|| Problem::new("data_base64", kind(encoded), rule))?;
    let bytes = STANDARD.decode(text).map_err(|error| Problem::new("data_base64", error, rule))?;
    match media_type {
        Some(media_type) if is_json(media_type) => parse_data(&bytes),
        _ => Ok(Data::Binary(bytes)),
    }
}

fn bytes_data(bytes: &[u8], media_type: Option<&str>) -> Result<Data, Problem> {
    if bytes.is_empty() {
        return Ok(Data::None);
    }
    match media_type {
        Some(media_type) if is_json(media_type) => parse_data(bytes),
        Some(media_type) if attribute::is_utf8_text(media_type) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Data::Text(text.to_owned())),
            Err(_) => Ok(Data::Binary(bytes.to_vec())),
        },
        _ => Ok(Data::Binary(bytes.to_vec())),
    }
}

fn parse_data(bytes: &[u8]) -> Result<Data, Problem> {
    strict::parse(bytes)
        .map(Data::Json)
        .map_err(|seen| Problem::new("data", seen, "be JSON without repeated keys, because datacontenttype says JSON"))
}

/// What kind of JSON value it is, for messages that must not echo it.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
