//! Messages that a consumer was given as often as it allows, and that the server gives to it no more.
//!
//! The server says so once, in an advisory; a stream keeps the advisories until somebody has dealt with them.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use futures::StreamExt as _;
use serde::Deserialize;
use spine_core::names::{GIVEN_UP_STREAM, UNDERTAKER_CONSUMER};

use crate::raw;
use crate::read::ReadError;

pub use raw::Raw;

/// How long one request for an advisory waits.
const EXPIRES: Duration = Duration::from_secs(5);

/// Why there are no advisories.
#[derive(Debug, thiserror::Error)]
#[error("consume stream {GIVEN_UP_STREAM}; is it provisioned?")]
pub struct GivenUpError(#[source] async_nats::Error);

/// One message that one consumer gave up.
#[derive(Debug)]
pub struct GivenUp {
    /// The consumer.
    pub consumer: String,
    /// Where the message stands in the EVENTS stream.
    pub stream_sequence: u64,
    /// How often it had been delivered.
    pub deliveries: u64,
    handle: jetstream::Message,
}

/// What the server says (`io.nats.jetstream.advisory.v1.max_deliver`).
#[derive(Deserialize)]
struct Advisory {
    consumer: String,
    stream_seq: u64,
    deliveries: u64,
}

/// Where they are taken from.
#[derive(Debug)]
pub struct Advisories(PullConsumer);

impl Advisories {
    /// Opens the consumer that all routers share.
    pub async fn open(jetstream: &jetstream::Context) -> Result<Self, GivenUpError> {
        let consumer = jetstream.get_consumer_from_stream(UNDERTAKER_CONSUMER, GIVEN_UP_STREAM).await;
        Ok(Self(consumer.map_err(|error| GivenUpError(error.into()))?))
    }

    /// The next one; `None` if none comes within a few seconds. They are rare: one at a time is fast enough.
    pub async fn next(&self) -> Result<Option<GivenUp>, GivenUpError> {
        let request = self.0.batch().max_messages(1).expires(EXPIRES).messages();
        let mut messages = request.await.map_err(|error| GivenUpError(error.into()))?;
        let Some(message) = messages.next().await else { return Ok(None) };
        let handle = message.map_err(GivenUpError)?;
        match serde_json::from_slice::<Advisory>(&handle.payload) {
            Ok(Advisory { consumer, stream_seq, deliveries }) => {
                Ok(Some(GivenUp { consumer, stream_sequence: stream_seq, deliveries, handle }))
            }
            Err(error) => {
                tracing::error!(%error, subject = %handle.subject, "an advisory that can't be read is passed over");
                handle.ack().await.map_err(GivenUpError)?;
                Ok(None)
            }
        }
    }
}

/// The message as its stream keeps it, or `None` if it is not there any more.
pub async fn message(jetstream: &jetstream::Context, given_up: &GivenUp) -> Result<Option<Raw>, ReadError> {
    raw::at(jetstream, given_up.stream_sequence).await
}

impl GivenUp {
    /// Says that it is dealt with.
    pub async fn done(&self) -> Result<(), GivenUpError> {
        self.handle.ack().await.map_err(GivenUpError)
    }
}
