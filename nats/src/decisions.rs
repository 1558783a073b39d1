//! Decisions: written by the router before it settles a delivery, read by whoever asks why.

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::message::StreamMessage;
use spine_core::decision::Decision;
use spine_core::key::EventKey;
use spine_core::names::{DECISIONS_STREAM, EVENTS_STREAM, MSG_ID_HEADER, decision_subject, decision_subject_of_id};

use crate::publish::{self, PublishError};
use crate::read::{ReadError, Reader};

/// The most decisions that one question reads; a subject keeps 16, an id rarely has more than one source.
const MAX_READ: usize = 256;

/// Records a decision. One message of EVENTS has one: recording it again within the duplicate window
/// stores nothing.
pub async fn record(jetstream: &jetstream::Context, decision: &Decision) -> Result<(), PublishError> {
    let mut headers = HeaderMap::new();
    headers.insert(MSG_ID_HEADER, format!("decision.{EVENTS_STREAM}.{}", decision.stream_sequence));
    let subject = decision_subject(&decision.key);
    let payload = serde_json::to_vec(decision).map_err(|error| PublishError::Refused {
        subject: subject.clone(),
        code: 0,
        description: error.to_string(),
    })?;
    publish::send(jetstream, &subject, headers, payload.into()).await?;
    Ok(())
}

/// The decisions for the event with this key, the oldest first; more than one if it came more than once.
pub async fn of_key(jetstream: &jetstream::Context, key: &EventKey) -> Result<Vec<Decision>, ReadError> {
    on(jetstream, &decision_subject(key)).await
}

/// The decisions for all events with this id, whatever their source, the oldest first.
pub async fn of_id(jetstream: &jetstream::Context, id: &str) -> Result<Vec<Decision>, ReadError> {
    on(jetstream, &decision_subject_of_id(id)).await
}

/// The message at `sequence` of the EVENTS stream, or `None` if it is not there any more.
pub async fn event_at(jetstream: &jetstream::Context, sequence: u64) -> Result<Option<StreamMessage>, ReadError> {
    Reader::open(jetstream, EVENTS_STREAM).await?.at(sequence).await
}

async fn on(jetstream: &jetstream::Context, subject: &str) -> Result<Vec<Decision>, ReadError> {
    let reader = Reader::open(jetstream, DECISIONS_STREAM).await?;
    let mut found = Vec::new();
    let mut from = 1;
    while let Some(message) = reader.next(subject, from).await? {
        let decode = |source| ReadError::Decode { stream: DECISIONS_STREAM, sequence: message.sequence, source };
        found.push(serde_json::from_slice(&message.payload).map_err(decode)?);
        from = message.sequence + 1;
        if found.len() == MAX_READ {
            break;
        }
    }
    Ok(found)
}
