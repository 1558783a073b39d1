//! Publishing: done means that JetStream has it.

mod pipeline;

use std::error::Error as _;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::context::PublishErrorKind;
use bytes::Bytes;
use spine_core::event::{Event, EventError};
use spine_core::names::event_subject;
use tokio::time::{sleep, timeout};

pub use pipeline::{Message, publish_all};

use crate::pause;
use crate::wire::{self, Mode};

/// How long one attempt waits for the ack: many times what a leader election takes to be answered.
const ACK_WAIT: Duration = Duration::from_secs(2);
/// How often it is tried. `Nats-Msg-Id` makes the second attempt of a stored message a duplicate.
const ATTEMPTS: usize = 3;
/// JetStream's code for a message that is larger than its stream allows.
const MESSAGE_EXCEEDS_MAXIMUM: u64 = 10054;
/// JetStream's codes for having no room: the stream's limits or its disk, the server's memory and disk.
const NO_ROOM: [u64; 4] = [10077, 10023, 10028, 10047];

/// Where JetStream keeps what was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The stream.
    pub stream: String,
    /// The place in it.
    pub sequence: u64,
    /// Whether it was there before.
    pub duplicate: bool,
}

/// Why JetStream does not have it.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The event breaks the rules.
    #[error("publish an invalid event")]
    Invalid(#[from] EventError),
    /// It has more bytes than the server or the stream allows.
    #[error("publish to {subject}: {bytes} bytes are too many")]
    TooLarge {
        /// The subject.
        subject: String,
        /// Its size, headers and payload.
        bytes: usize,
    },
    /// JetStream refuses it, and would refuse it again.
    #[error("publish to {subject}: refused with code {code}: {description}")]
    Refused {
        /// The subject.
        subject: String,
        /// JetStream's error code.
        code: u64,
        /// JetStream's words.
        description: String,
    },
    /// The stream has no room for it now: its limits with `discard: new`, or the server's memory and disk.
    #[error("publish to {subject}: the stream can't store it: {description}")]
    NoRoom {
        /// The subject.
        subject: String,
        /// JetStream's words.
        description: String,
    },
    /// The server does not permit the subject to this connection.
    #[error("publish to {subject}: NATS does not permit it: {violation}")]
    NotPermitted {
        /// The subject.
        subject: String,
        /// The server's words.
        violation: String,
    },
    /// There was no answer, or none that is final. Whether it was stored is not known.
    #[error("publish to {subject}: {reason}")]
    Unavailable {
        /// The subject.
        subject: String,
        /// What happened last.
        reason: String,
    },
}

impl PublishError {
    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, PublishError::Unavailable { .. } | PublishError::NoRoom { .. })
    }
}

/// Publishes `event` on the subject of its type and waits until JetStream has it. Gives up after a few
/// seconds; it may be called again, JetStream keeps one.
pub async fn publish(jetstream: &jetstream::Context, event: &Event, mode: Mode) -> Result<Ack, PublishError> {
    let (headers, payload) = wire::encode(event, mode)?;
    send(jetstream, &event_subject(&event.event_type), headers, payload).await
}

/// Publishes a message that has a `Nats-Msg-Id`.
pub(crate) async fn send(
    jetstream: &jetstream::Context,
    subject: &str,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<Ack, PublishError> {
    let mut attempt = 0;
    loop {
        let error = match attempt_once(jetstream, subject, headers.clone(), payload.clone()).await {
            Ok(ack) => return Ok(ack),
            Err(error) => error,
        };
        attempt += 1;
        if !error.is_transient() || attempt == ATTEMPTS {
            return Err(error);
        }
        tracing::debug!(subject, attempt, %error, "publishing again");
        sleep(pause::after(attempt)).await;
    }
}

async fn attempt_once(
    jetstream: &jetstream::Context,
    subject: &str,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<Ack, PublishError> {
    let bytes = size(&headers, &payload);
    let publication = async { jetstream.publish_with_headers(subject.to_owned(), headers, payload).await?.await };
    match timeout(ACK_WAIT, publication).await {
        Ok(Ok(ack)) => Ok(stored(ack)),
        Ok(Err(error)) => Err(classify(subject, bytes, &error)),
        Err(_) => Err(no_ack(subject)),
    }
}

fn stored(ack: jetstream::publish::PublishAck) -> Ack {
    Ack { stream: ack.stream, sequence: ack.sequence, duplicate: ack.duplicate }
}

fn no_ack(subject: &str) -> PublishError {
    let reason = format!("no ack within {ACK_WAIT:?}; NATS is away or does not permit the subject");
    PublishError::Unavailable { subject: subject.to_owned(), reason }
}

/// How many bytes a message has, headers and payload, as its stream counts them: within a few bytes.
pub(crate) fn size(headers: &HeaderMap, payload: &[u8]) -> usize {
    let lines = wire::pairs(headers).map(|(name, value)| name.len() + value.len() + ": \r\n".len());
    lines.sum::<usize>() + payload.len()
}

fn classify(subject: &str, bytes: usize, error: &jetstream::context::PublishError) -> PublishError {
    let subject = subject.to_owned();
    if error.kind() == PublishErrorKind::MaxPayloadExceeded {
        return PublishError::TooLarge { subject, bytes };
    }
    match error.source().and_then(|source| source.downcast_ref::<jetstream::Error>()) {
        Some(answer) if answer.error_code().0 == MESSAGE_EXCEEDS_MAXIMUM => PublishError::TooLarge { subject, bytes },
        Some(answer) if NO_ROOM.contains(&answer.error_code().0) => {
            PublishError::NoRoom { subject, description: answer.to_string() }
        }
        // 5xx: no leader, no quorum. JetStream may take it later.
        Some(answer) if answer.code() < 500 => {
            PublishError::Refused { subject, code: answer.error_code().0, description: answer.to_string() }
        }
        _ => PublishError::Unavailable { subject, reason: error.to_string() },
    }
}
