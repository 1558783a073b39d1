//! A message as its stream keeps it, whatever bytes its headers have.
//!
//! The client drops its connection when a message reaches it whose headers are no text, and with it all that is
//! under way. JetStream also tells of a message in JSON, with everything in base64; this reads that.

use std::str::FromStr;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};
use async_nats::jetstream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use spine_core::names::EVENTS_STREAM;

use crate::read::ReadError;

/// A message of the EVENTS stream.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The subject it was published on.
    pub subject: String,
    /// Where it stands in the stream.
    pub sequence: u64,
    /// Its headers; those that can't be read as they are.
    pub headers: Result<HeaderMap, Vec<u8>>,
    /// Its payload.
    pub payload: Bytes,
}

#[derive(Deserialize)]
struct Answer {
    message: Option<Stored>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Stored {
    subject: String,
    seq: u64,
    hdrs: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    err_code: u64,
    description: String,
}

/// JetStream's code for a message that is not there.
const NO_MESSAGE: u64 = 10037;

/// The message at `sequence`, or `None` if it is not there (any more).
pub(crate) async fn at(jetstream: &jetstream::Context, sequence: u64) -> Result<Option<Raw>, ReadError> {
    ask(jetstream, &json!({"seq": sequence})).await
}

/// The first message at `sequence` or after it.
pub(crate) async fn next(jetstream: &jetstream::Context, sequence: u64) -> Result<Option<Raw>, ReadError> {
    ask(jetstream, &json!({"seq": sequence, "next_by_subj": ">"})).await
}

async fn ask(jetstream: &jetstream::Context, question: &Value) -> Result<Option<Raw>, ReadError> {
    let failed = |source: async_nats::Error| ReadError::Scan { stream: EVENTS_STREAM, source };
    let subject = format!("$JS.API.STREAM.MSG.GET.{EVENTS_STREAM}");
    let asked = jetstream.client().request(subject, question.to_string().into()).await;
    let answer = asked.map_err(|error| failed(error.into()))?;
    let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|error| failed(error.into()))?;
    match answer {
        Answer { message: Some(stored), .. } => Ok(Some(stored.read().map_err(|error| failed(error.into()))?)),
        Answer { error: Some(Refusal { err_code: NO_MESSAGE, .. }), .. } => Ok(None),
        Answer { error, .. } => {
            let why = error.map_or_else(|| "an empty answer".to_owned(), |error| error.description);
            Err(failed(why.into()))
        }
    }
}

impl Stored {
    fn read(self) -> Result<Raw, base64::DecodeError> {
        let bytes = |text: Option<String>| text.map(|text| STANDARD.decode(text)).transpose();
        let headers = bytes(self.hdrs)?.unwrap_or_default();
        Ok(Raw {
            subject: self.subject,
            sequence: self.seq,
            headers: parse(&headers).ok_or(headers),
            payload: bytes(self.data)?.unwrap_or_default().into(),
        })
    }
}

/// Headers as the NATS protocol writes them: a line with the version, then one line for each.
fn parse(bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let text = std::str::from_utf8(bytes).ok()?;
    for line in text.split("\r\n").skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.append(HeaderName::from_str(name).ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_or_not_at_all() {
        let get = |bytes: &[u8]| parse(bytes)?.get("a").map(|value| value.as_str().to_owned());
        assert_eq!(get(b"NATS/1.0\r\na: b \r\nc:d\r\n\r\n").as_deref(), Some("b"));
        assert_eq!(parse(b"").map(|headers| headers.len()), Some(0));
        assert!(parse(b"NATS/1.0\r\na: \xff\r\n\r\n").is_none());
        assert!(parse(b"NATS/1.0\r\nno colon\r\n\r\n").is_none());
    }
}
