//! One dead letter, as it is read.

use async_nats::HeaderMap;
use async_nats::jetstream;
use bytes::Bytes;
use serde::Serialize;
use spine_core::names::{DEAD_STREAM, EVENTS_STREAM, MSG_ID_HEADER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{
    BYTES, DELIVERIES, DETAIL, ID, MSG_ID, REASON, SEQUENCE, SOURCE, SUBJECT, TIME, is_of_broker, is_of_letter, kept,
};
use crate::read::{ReadError, Reader};
use crate::wire;

/// What a dead letter says of the event that died.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Its number: its place in the DEAD stream.
    pub letter: u64,
    /// When it was declared dead.
    #[serde(with = "time::serde::rfc3339")]
    pub died_at: OffsetDateTime,
    /// Why, as a code.
    pub reason: String,
    /// Why, in words.
    pub detail: String,
    /// The event's type, or the one that its subject named; what can't stand in a subject is replaced by `_`.
    pub event_type: String,
    /// The event's source, as far as it could be read.
    pub source: Option<String>,
    /// The event's id, as far as it could be read.
    pub id: Option<String>,
    /// The subject it was published on.
    pub subject: String,
    /// The `Nats-Msg-Id` it was published with.
    pub message_id: Option<String>,
    /// Where the original stands in the EVENTS stream.
    pub stream_sequence: u64,
    /// How often it had been delivered.
    pub deliveries: u64,
    /// The original had so many bytes, too many to be repeated here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out_bytes: Option<u64>,
}

/// A letter with the message that died.
#[derive(Clone, Debug)]
pub struct Whole {
    /// What is said of it.
    pub letter: Letter,
    /// The original's headers, without those that the broker acts on.
    pub headers: HeaderMap,
    /// The original's payload.
    pub payload: Bytes,
    /// Whether headers and payload are there: a message that was too large for its letter is gone once the EVENTS
    /// stream has let it go.
    pub is_there: bool,
}

/// The letter at this place of the DEAD stream, or `None` if there is none (any more).
pub async fn at(jetstream: &jetstream::Context, letter: u64) -> Result<Option<Whole>, ReadError> {
    let Some(message) = Reader::open(jetstream, DEAD_STREAM).await?.at(letter).await? else { return Ok(None) };
    let letter = Letter::read(message.sequence, &message.subject, message.time, &message.headers);
    if letter.left_out_bytes.is_none() {
        let headers = original_headers(&message.headers);
        return Ok(Some(Whole { letter, headers, payload: message.payload, is_there: true }));
    }
    let original = Reader::open(jetstream, EVENTS_STREAM).await?.at(letter.stream_sequence).await?;
    // A stream that was made anew has other messages in the same places.
    let original = original.filter(|found| {
        let id = found.headers.get(MSG_ID_HEADER).map(|id| kept(MSG_ID, id.as_str()));
        found.subject.as_str() == letter.subject && id == letter.message_id
    });
    let is_there = original.is_some();
    let (headers, payload) =
        original.map(|found| (original_headers(&found.headers), found.payload)).unwrap_or_default();
    Ok(Some(Whole { letter, headers, payload, is_there }))
}

impl Letter {
    /// Reads what the headers say. Whatever is missing there is empty: a letter that is not ours must not hide others.
    pub(super) fn read(letter: u64, subject: &str, stored_at: OffsetDateTime, headers: &HeaderMap) -> Self {
        let text = |attribute: &str| {
            let value = headers.get(wire::header_of(attribute).as_str())?.as_str();
            Some(wire::decode_value(attribute, value).unwrap_or_else(|_| value.to_owned()))
        };
        let number = |attribute| text(attribute).and_then(|text| text.parse().ok());
        let (reason, event_type) = parts(subject);
        Self {
            letter,
            died_at: text(TIME).and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok()).unwrap_or(stored_at),
            reason: text(REASON).unwrap_or_else(|| reason.to_owned()),
            detail: text(DETAIL).unwrap_or_default(),
            event_type: event_type.to_owned(),
            source: text(SOURCE),
            id: text(ID),
            subject: text(SUBJECT).unwrap_or_default(),
            message_id: text(MSG_ID),
            stream_sequence: number(SEQUENCE).unwrap_or_default(),
            deliveries: number(DELIVERIES).unwrap_or_default(),
            left_out_bytes: number(BYTES),
        }
    }
}

/// Reason and type in `dead.<reason>.<type>`.
fn parts(subject: &str) -> (&str, &str) {
    let mut parts = subject.splitn(3, '.').skip(1);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn original_headers(headers: &HeaderMap) -> HeaderMap {
    let mut original = HeaderMap::new();
    for (name, values) in headers.iter() {
        let text: &str = name.as_ref();
        if !is_of_broker(text) && !is_of_letter(text) {
            values.iter().for_each(|value| original.append(name.clone(), value.clone()));
        }
    }
    original
}
