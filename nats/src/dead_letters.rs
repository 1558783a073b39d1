//! Dead letters: events that could not be processed, whole, with the reason.

use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use async_nats::jetstream;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use spine_core::decision::DeadReason;
use spine_core::names::{DEAD_STREAM, EVENTS_STREAM, MSG_ID_HEADER, ROUTER_CONSUMER, dead_subject};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::consume::Delivery;
use crate::publish::{self, PublishError};
use crate::read::{ReadError, Reader};
use crate::wire::insert;

/// Header: why it is dead, as a code.
pub const REASON: &str = "Spine-Reason";
/// Header: why it is dead, in words; one line, at most 1 KiB.
pub const DETAIL: &str = "Spine-Detail";
/// Header: the subject it was published on.
pub const ORIGINAL_SUBJECT: &str = "Spine-Original-Subject";
/// Header: the `Nats-Msg-Id` it was published with.
pub const ORIGINAL_MSG_ID: &str = "Spine-Original-Msg-Id";
/// Header: where the original stands in the EVENTS stream.
pub const STREAM_SEQUENCE: &str = "Spine-Stream-Sequence";
/// Header: how often it had been delivered.
pub const DELIVERIES: &str = "Spine-Deliveries";
/// Header: when it was declared dead, RFC 3339.
pub const TIME: &str = "Spine-Time";
/// Header: the original is too large to be repeated; it had this many bytes.
pub const TRUNCATED: &str = "Spine-Truncated";

/// The most bytes of [`DETAIL`] and of the last part of the subject.
const MAX_DETAIL: usize = 1024;
const MAX_TYPE: usize = 256;
/// The most dead letters that [`find`] looks at.
const MAX_SCAN: usize = 10_000;

/// Stores the delivery's message as a dead letter and waits until JetStream has it. Doing it again stores
/// nothing. An original that is too large to be repeated stays in EVENTS; its letter says where.
pub async fn bury(
    jetstream: &jetstream::Context,
    delivery: &Delivery,
    event_type: &str,
    reason: DeadReason,
    detail: &str,
) -> Result<(), PublishError> {
    let subject = dead_subject(reason.as_str(), &subject_tokens(event_type));
    let mut letter = letter(delivery, reason, detail);
    let mut whole = letter.clone();
    keep_headers(&mut whole, &delivery.headers);
    let buried = publish::send(jetstream, &subject, whole, delivery.payload.clone()).await;
    let Err(PublishError::TooLarge { bytes, .. }) = buried else { return buried.map(drop) };
    letter.insert(TRUNCATED, bytes.to_string());
    publish::send(jetstream, &subject, letter, Bytes::new()).await.map(drop)
}

/// The dead letter of the message at `sequence` of EVENTS, or `None` if there is none among the first
/// 10,000 on `dead.<reason>.<type>`.
pub async fn find(
    jetstream: &jetstream::Context,
    sequence: u64,
    reason: DeadReason,
    event_type: &str,
) -> Result<Option<StreamMessage>, ReadError> {
    let reader = Reader::open(jetstream, DEAD_STREAM).await?;
    let subject = dead_subject(reason.as_str(), &subject_tokens(event_type));
    let wanted = sequence.to_string();
    let mut from = 1;
    for _ in 0..MAX_SCAN {
        let Some(message) = reader.next(&subject, from).await? else { return Ok(None) };
        if message.headers.get(STREAM_SEQUENCE).is_some_and(|found| found.as_str() == wanted) {
            return Ok(Some(message));
        }
        from = message.sequence + 1;
    }
    Ok(None)
}

/// The headers that are ours.
fn letter(delivery: &Delivery, reason: DeadReason, detail: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let id = format!("dead.{EVENTS_STREAM}.{}.{ROUTER_CONSUMER}", delivery.stream_sequence);
    headers.insert(MSG_ID_HEADER, id);
    headers.insert(REASON, reason.as_str());
    insert(&mut headers, DETAIL, &one_line(detail));
    insert(&mut headers, ORIGINAL_SUBJECT, &delivery.subject);
    headers.insert(STREAM_SEQUENCE, delivery.stream_sequence.to_string());
    headers.insert(DELIVERIES, delivery.deliveries.to_string());
    headers.insert(TIME, OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default());
    headers
}

/// Adds the original's headers, but for those by which JetStream would act on the letter.
fn keep_headers(letter: &mut HeaderMap, original: &HeaderMap) {
    for (name, values) in original.iter() {
        let is_ours = letter.get(name.clone()).is_some();
        let lower: &str = name.as_ref();
        let lower = lower.to_ascii_lowercase();
        let kept_as = if lower == "nats-msg-id" { HeaderName::from_static(ORIGINAL_MSG_ID) } else { name.clone() };
        if lower != "nats-msg-id" && (is_ours || lower.starts_with("nats-")) {
            continue;
        }
        for value in values {
            letter.append(kept_as.clone(), value.clone());
        }
    }
}

fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().map(printable).collect();
    while line.len() > MAX_DETAIL {
        line.pop();
    }
    line
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
    fn details_are_one_short_line() {
        assert_eq!(one_line("a\r\nb\0c"), "a  b c");
        assert!(one_line(&"ü".repeat(2000)).len() <= MAX_DETAIL);
    }

    #[test]
    fn headers_that_jetstream_acts_on_are_not_repeated() {
        let mut original = HeaderMap::new();
        original.insert(MSG_ID_HEADER, "original");
        original.insert("Nats-Expected-Last-Sequence", "7");
        original.insert("Nats-TTL", "1s");
        original.insert("ce-id", "7");
        original.insert(REASON, "forged");
        let mut letter = HeaderMap::new();
        letter.insert(MSG_ID_HEADER, "dead");
        letter.insert(REASON, "invalid_event");
        keep_headers(&mut letter, &original);
        let get = |name: &str| letter.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(get(MSG_ID_HEADER).as_deref(), Some("dead"));
        assert_eq!(get(ORIGINAL_MSG_ID).as_deref(), Some("original"));
        assert_eq!(get("Nats-Expected-Last-Sequence"), None);
        assert_eq!(get("Nats-TTL"), None);
        assert_eq!(get("ce-id").as_deref(), Some("7"));
        assert_eq!(letter.get_all(REASON).count(), 1);
    }
}
