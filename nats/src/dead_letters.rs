//! Dead letters: events that could not be processed, whole, with the reason.
//!
//! A letter is the original message with headers added that say what happened: CloudEvents extension attributes,
//! written as the binary mode of the NATS binding writes them. The payload is never touched, so that a signature
//! over it still holds.

mod letter;
pub mod marks;
mod redrive;
mod scan;

use async_nats::HeaderMap;
use async_nats::jetstream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use spine_core::decision::DeadReason;
use spine_core::key::EventKey;
use spine_core::names::{EVENTS_STREAM, MSG_ID_HEADER, ROUTER_CONSUMER, dead_subject};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::consume::Delivery;
use crate::publish::{self, PublishError};
use crate::wire;

pub use letter::{Letter, Whole, at};
pub use redrive::{Redriven, redrive, redrive_of};
pub use scan::{Filter, scan};

/// What the name of every attribute begins with that a dead letter adds.
pub const PREFIX: &str = "spinedead";
/// Attribute: why it is dead, as a code.
pub const REASON: &str = "spinedeadreason";
/// Attribute: why it is dead, in words; one line, at most 1 KiB.
pub const DETAIL: &str = "spinedeaddetail";
/// Attribute: the event's source, as far as it could be read; at most 1 KiB.
pub const SOURCE: &str = "spinedeadsource";
/// Attribute: the event's id, as far as it could be read; at most 1 KiB.
pub const ID: &str = "spinedeadid";
/// Attribute: the subject it was published on.
pub const SUBJECT: &str = "spinedeadsubject";
/// Attribute: the `Nats-Msg-Id` it was published with.
pub const MSG_ID: &str = "spinedeadmsgid";
/// Attribute: where the original stands in the EVENTS stream.
pub const SEQUENCE: &str = "spinedeadsequence";
/// Attribute: how often it had been delivered.
pub const DELIVERIES: &str = "spinedeaddeliveries";
/// Attribute: when it was declared dead, RFC 3339.
pub const TIME: &str = "spinedeadtime";
/// Attribute: the original's headers as they were, in base64, where they are none that can be read.
pub const HEADERS: &str = "spinedeadheaders";
/// Attribute: the original is too large to be repeated; it had this many bytes.
pub const BYTES: &str = "spinedeadbytes";

/// The most bytes of a text in an attribute, and of the last part of the subject.
const MAX_TEXT: usize = 1024;
const MAX_TYPE: usize = 256;

/// Why an event is dead, and what could be read of who it is.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    /// Why, as a code.
    pub reason: DeadReason,
    /// Why, in words.
    pub detail: &'a str,
    /// The event's type, or the one that its subject names.
    pub event_type: &'a str,
    /// The event's source; empty if it is not known.
    pub source: &'a str,
    /// The event's id; empty if it is not known.
    pub id: &'a str,
}

/// A message of the EVENTS stream that is dead.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// The subject it was published on.
    pub subject: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its headers as they are, where they are none that can be read.
    pub raw_headers: Option<&'a [u8]>,
    /// Its payload.
    pub payload: &'a Bytes,
    /// Where it stands in the stream.
    pub stream_sequence: u64,
    /// How often it has been delivered.
    pub deliveries: u64,
    /// The consumer to which.
    pub consumer: &'a str,
}

impl<'a> From<&'a Delivery> for Original<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        let Delivery { subject, headers, payload, stream_sequence, deliveries, .. } = delivery;
        Self {
            subject,
            headers,
            raw_headers: None,
            payload,
            stream_sequence: *stream_sequence,
            deliveries: *deliveries,
            consumer: ROUTER_CONSUMER,
        }
    }
}

/// Stores a message as a dead letter and waits until JetStream has it. Doing it again for the same consumer stores
/// nothing. An original that is too large to be repeated stays in EVENTS; its letter says where.
pub async fn bury<'a>(
    jetstream: &jetstream::Context,
    original: impl Into<Original<'a>>,
    cause: &Cause<'_>,
) -> Result<(), PublishError> {
    let original = original.into();
    let subject = dead_subject(cause.reason.as_str(), &subject_tokens(cause.event_type));
    let mut letter = attributes(&original, cause);
    let mut whole = letter.clone();
    keep_headers(&mut whole, original.headers);
    if let Some(raw) = original.raw_headers {
        wire::insert(&mut whole, &wire::header_of(HEADERS), &STANDARD.encode(raw));
    }
    let buried = publish::send(jetstream, &subject, whole, original.payload.clone()).await;
    let Err(PublishError::TooLarge { bytes, .. }) = buried else { return buried.map(drop) };
    insert(&mut letter, BYTES, &bytes.to_string());
    publish::send(jetstream, &subject, letter, Bytes::new()).await.map(drop)
}

/// The headers that are ours.
fn attributes(original: &Original<'_>, cause: &Cause<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(MSG_ID_HEADER, format!("dead.{EVENTS_STREAM}.{}.{}", original.stream_sequence, original.consumer));
    insert(&mut headers, REASON, cause.reason.as_str());
    insert(&mut headers, DETAIL, cause.detail);
    insert(&mut headers, SUBJECT, original.subject);
    insert(&mut headers, SEQUENCE, &original.stream_sequence.to_string());
    insert(&mut headers, DELIVERIES, &original.deliveries.to_string());
    insert(&mut headers, TIME, &OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default());
    let message_id = original.headers.get(MSG_ID_HEADER).map(|id| id.as_str());
    for (name, value) in [(SOURCE, Some(cause.source)), (ID, Some(cause.id)), (MSG_ID, message_id)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            insert(&mut headers, name, value);
        }
    }
    headers
}

/// Adds an attribute.
fn insert(headers: &mut HeaderMap, attribute: &str, value: &str) {
    wire::insert(headers, &wire::header_of(attribute), &wire::encode_value(&kept(attribute, value)));
}

/// The text that an attribute keeps of a value. One that is too long is cut, an identity that is too long replaced by
/// its hash: a letter must always fit.
fn kept(attribute: &str, value: &str) -> String {
    match attribute {
        MSG_ID if value.len() > MAX_TEXT => EventKey::new("", value).to_string(),
        _ => one_line(value),
    }
}

/// Adds the original's headers, but for those by which JetStream would act on the letter, and forged ones.
fn keep_headers(letter: &mut HeaderMap, original: &HeaderMap) {
    for (name, values) in original.iter() {
        let text: &str = name.as_ref();
        if is_of_broker(text) || is_of_letter(text) {
            continue;
        }
        for value in values {
            letter.append(name.clone(), value.clone());
        }
    }
}

/// Whether JetStream acts on a header of this name, or made it.
fn is_of_broker(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("nats-")
}

/// Whether a header of this name is one that a dead letter adds.
fn is_of_letter(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with(&wire::header_of(PREFIX))
}

fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let end = text.floor_char_boundary(MAX_TEXT);
    text.get(..end).unwrap_or_default().chars().map(printable).collect()
}

/// `event_type` as tokens of a subject, whatever it holds.
fn subject_tokens(event_type: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' };
    let text: String = event_type.chars().take(MAX_TYPE).map(safe).collect();
    let tokens: Vec<&str> = text.split('.').filter(|token| !token.is_empty()).collect();
    if tokens.is_empty() { "unknown".to_owned() } else { tokens.join(".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_type_becomes_tokens() {
        let check = |text: &str, expected: &str| assert_eq!(subject_tokens(text), expected);
        check("com.shop.order", "com.shop.order");
        check("a b.*.>..c", "a_b._._.c");
        check("...", "unknown");
        check("", "unknown");
    }

    #[test]
    fn texts_are_one_short_line() {
        assert_eq!(one_line("a\r\nb\0c"), "a  b c");
        assert!(one_line(&"ü".repeat(2000)).len() <= MAX_TEXT);
    }

    #[test]
    fn an_attribute_is_encoded_and_bounded() {
        let mut headers = HeaderMap::new();
        insert(&mut headers, DETAIL, "data/total: \"ü\"\n");
        insert(&mut headers, MSG_ID, &"x".repeat(100_000));
        let get = |name: &str| headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
        assert_eq!(get("ce-spinedeaddetail"), "data/total:%20%22%C3%BC%22%20");
        assert_eq!(get("ce-spinedeadmsgid").len(), 48);
    }

    #[test]
    fn headers_that_jetstream_acts_on_and_forged_ones_are_not_repeated() {
        let mut original = HeaderMap::new();
        original.insert(MSG_ID_HEADER, "original");
        original.insert("nats-expected-last-sequence", "7");
        original.insert("Nats-TTL", "1s");
        original.insert("ce-id", "7");
        original.insert("Ce-SpineDeadReason", "forged");
        let mut letter = HeaderMap::new();
        letter.insert(MSG_ID_HEADER, "dead");
        letter.insert("ce-spinedeadreason", "invalid_event");
        keep_headers(&mut letter, &original);
        let get = |name: &str| letter.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(get(MSG_ID_HEADER).as_deref(), Some("dead"));
        assert_eq!(get("nats-expected-last-sequence"), None);
        assert_eq!(get("Nats-TTL"), None);
        assert_eq!(get("ce-id").as_deref(), Some("7"));
        assert_eq!(get("ce-spinedeadreason").as_deref(), Some("invalid_event"));
        assert_eq!(get("Ce-SpineDeadReason"), None);
    }
}
