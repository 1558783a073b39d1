//! Attributes as header values (CloudEvents HTTP protocol binding 1.0.2, section 3.1.3; the NATS binding's
//! are the same).

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use spine_core::event::EventError;

use super::{CONTENT_TYPE, Mode, PREFIX};

/// What has to be encoded beside all that is not ASCII (HTTP binding, section 3.1.3.2).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The mode that a content type stands for: structured if it starts with `application/cloudevents`, in
/// any case. Batches and formats other than JSON are refused.
pub fn content_mode(content_type: Option<&str>) -> Result<Mode, EventError> {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.strip_prefix("application/cloudevents") {
        None => Ok(Mode::Binary),
        Some("+json") => Ok(Mode::Structured),
        Some(batch) if batch.starts_with("-batch") => {
            Err(EventError::new(CONTENT_TYPE, essence, "be one event: the NATS binding has no batch mode"))
        }
        Some(_) => Err(EventError::new(
            CONTENT_TYPE,
            essence,
            "be application/cloudevents+json: other formats are not supported",
        )),
    }
}

/// The attributes that `ce-` headers carry, by name without the prefix. Refuses one that stands twice.
pub fn attributes_of<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<BTreeMap<String, String>, EventError> {
    let mut attributes = BTreeMap::new();
    for (header, value) in headers {
        let lower = header.to_ascii_lowercase();
        let Some(name) = lower.strip_prefix(PREFIX) else { continue };
        if attributes.insert(name.to_owned(), decode(name, value)?).is_some() {
            return Err(EventError::new(name, "two of them", "stand once"));
        }
    }
    if attributes.is_empty() {
        let rule =
            "be application/cloudevents+json, or ce- headers must carry the attributes (section 3 of the binding)";
        return Err(EventError::new(CONTENT_TYPE, "no ce- header", rule));
    }
    Ok(attributes)
}

/// A text as a header's value.
pub(crate) fn encode(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}

/// The text that the header of this attribute stands for.
pub(crate) fn decode(name: &str, value: &str) -> Result<String, EventError> {
    let value = value.trim();
    let plain = match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unquote(quoted),
        None => value.to_owned(),
    };
    let rule = "be UTF-8 in whole percent-escapes (HTTP binding, section 3.1.3.2)";
    let bytes = plain.as_bytes();
    let is_hex = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_hexdigit);
    if bytes.iter().enumerate().any(|(i, byte)| *byte == b'%' && !(is_hex(i + 1) && is_hex(i + 2))) {
        return Err(EventError::new(name, format_args!("{value:?}"), rule));
    }
    let decoded = percent_decode_str(&plain).decode_utf8();
    decoded.map(Into::into).map_err(|_| EventError::new(name, format_args!("{value:?}"), rule))
}

/// Undoes the backslashes of a quoted string (RFC 7230, section 3.2.6).
fn unquote(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        text.push(if c == '\\' { characters.next().unwrap_or(c) } else { c });
    }
    text
}
