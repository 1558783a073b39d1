//! Many events at once: sent in order without waiting for each other, acknowledged one by one.

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::context::{PublishAckFuture, PublishError as SendError};
use bytes::Bytes;
use futures::future::join_all;
use spine_core::event::{Event, EventError};
use spine_core::names::event_subject;
use tokio::time::{Instant, sleep, timeout_at};

use super::{ACK_WAIT, ATTEMPTS, Ack, PublishError, classify, no_ack, size, stored};
use crate::pause;
use crate::violations::{Violations, Watch};
use crate::wire::{self, Mode};

/// An event as a message.
#[derive(Clone, Debug)]
pub struct Message {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Message {
    /// The message that carries `event`. Fails if a name or the type breaks the rules, which no decoded event does.
    pub fn of(event: &Event, mode: Mode) -> Result<Self, EventError> {
        let (headers, payload) = wire::encode(event, mode)?;
        Ok(Self { subject: event_subject(&event.event_type), headers, payload })
    }

    /// The subject that it is published on.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The bytes of its payload, as a router counts them.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }
}

/// Publishes `messages` in their order, all on their way at once, and answers what became of each. Gives up after a
/// few seconds; it may be called again, JetStream keeps one of each. Where JetStream failed for one of them and then
/// took it at a later attempt, that one stands behind those after it.
pub async fn publish_all(
    jetstream: &jetstream::Context,
    messages: &[Message],
    violations: &Violations,
) -> Vec<Result<Ack, PublishError>> {
    let mut results = send_all(jetstream, messages.iter(), violations).await;
    for attempt in 1..ATTEMPTS {
        let missing = missing(&results);
        if missing.is_empty() {
            break;
        }
        sleep(pause::after(attempt)).await;
        let again = missing.iter().filter_map(|index| messages.get(*index));
        let again = send_all(jetstream, again, violations).await;
        for (index, result) in missing.into_iter().zip(again) {
            results[index] = result;
        }
    }
    results
}

fn missing(results: &[Result<Ack, PublishError>]) -> Vec<usize> {
    let transient = |(index, result): (usize, &Result<Ack, PublishError>)| {
        result.as_ref().is_err_and(PublishError::is_transient).then_some(index)
    };
    results.iter().enumerate().filter_map(transient).collect()
}

/// One attempt, under one deadline for all: the acks of what was sent first come while the rest is sent.
async fn send_all(
    jetstream: &jetstream::Context,
    messages: impl Iterator<Item = &Message>,
    violations: &Violations,
) -> Vec<Result<Ack, PublishError>> {
    let deadline = Instant::now() + ACK_WAIT;
    let mut acks = Vec::new();
    for message in messages {
        let refusals = violations.watch();
        let Message { subject, headers, payload } = message.clone();
        let sent = timeout_at(deadline, jetstream.publish_with_headers(subject, headers, payload)).await.ok();
        acks.push(settle(message, sent, refusals, deadline));
    }
    join_all(acks).await
}

/// `sent` is `None` if the message could not even be handed to the connection in time.
async fn settle(
    message: &Message,
    sent: Option<Result<PublishAckFuture, SendError>>,
    mut refusals: Watch,
    deadline: Instant,
) -> Result<Ack, PublishError> {
    let subject = &message.subject;
    let ack = async {
        match sent {
            Some(Ok(ack)) => ack.await.map_err(Some),
            Some(Err(error)) => Err(Some(error)),
            None => Err(None),
        }
    };
    tokio::select! {
        biased;
        ack = timeout_at(deadline, ack) => match ack {
            Ok(Ok(ack)) => Ok(stored(ack)),
            Ok(Err(Some(error))) => Err(classify(subject, size(&message.headers, &message.payload), &error)),
            Ok(Err(None)) | Err(_) => Err(no_ack(subject)),
        },
        violation = refusals.about(subject) => {
            Err(PublishError::NotPermitted { subject: subject.clone(), violation })
        }
    }
}
