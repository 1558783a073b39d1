//! The EVENTS stream in its order, from a place on.
//!
//! Invariant: messages come in the order of the stream and none that is there is left out; where that can't be
//! kept, reading fails, and the caller opens it again where it stands.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig, OrderedError};
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use spine_core::names::EVENTS_STREAM;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use crate::raw;
use crate::read::ReadError;

/// How long nothing may come before it is looked whether something is there. What is there at two looks and has not
/// come does not come by itself: a message that no client can read breaks the connection, and the reader with it.
const SILENCE: Duration = Duration::from_secs(3);

/// Why the stream can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// JetStream did not answer or refused.
    #[error("{action} of stream {EVENTS_STREAM}")]
    Stream {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: async_nats::Error,
    },
    /// It could not be told whether there is more to read.
    #[error("look for more in stream {EVENTS_STREAM}")]
    Look(#[from] ReadError),
    /// The next message is there, and does not come. Opened again, it may.
    #[error("read message {0} of stream {EVENTS_STREAM}, which is there and does not come")]
    Stalled(u64),
    /// It ended, which no stream does by itself.
    #[error("read stream {EVENTS_STREAM}, which ended")]
    Ended,
    /// A message is not where it should be.
    #[error("read stream {EVENTS_STREAM} in order: message {found} came after {after}")]
    Disorder {
        /// The message before.
        after: u64,
        /// The message.
        found: u64,
    },
}

/// A message of the stream.
#[derive(Debug)]
pub struct Message {
    /// The subject it was published on.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its payload.
    pub payload: Bytes,
    /// Where it stands in the stream.
    pub sequence: u64,
    /// When the stream took it.
    pub received_at: OffsetDateTime,
}

/// What the stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The sequence of its first message; one more than `last` if it holds none.
    pub first: u64,
    /// The sequence of the last message that it was given; 0 for a new stream.
    pub last: u64,
    /// How long it keeps a message; zero for ever.
    pub max_age: Duration,
}

/// What the stream holds now.
pub async fn extent(jetstream: &jetstream::Context) -> Result<Extent, TailError> {
    let stream = jetstream.get_stream(EVENTS_STREAM).await.map_err(|error| failed("get the state", error))?;
    let info = stream.cached_info();
    Ok(Extent { first: info.state.first_sequence, last: info.state.last_sequence, max_age: info.config.max_age })
}

/// Reads the stream.
pub struct Tail {
    jetstream: jetstream::Context,
    messages: Ordered,
    /// When something last came or was last looked for, and what was there then: a caller may cancel a wait any time.
    quiet_since: Instant,
    awaited: Option<u64>,
    after: u64,
}

impl Tail {
    /// Begins with the first message after `after` that is there.
    pub async fn open(jetstream: &jetstream::Context, after: u64) -> Result<Self, TailError> {
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            ..OrderedConfig::default()
        };
        let stream = jetstream.get_stream(EVENTS_STREAM).await.map_err(|error| failed("open the reader", error))?;
        let consumer: Consumer<OrderedConfig> =
            stream.create_consumer(config).await.map_err(|error| failed("open the reader", error))?;
        let messages = consumer.messages().await.map_err(|error| failed("open the reader", error))?;
        Ok(Self { jetstream: jetstream.clone(), messages, quiet_since: Instant::now(), awaited: None, after })
    }

    /// At least one message: those that have come, without waiting for more, at most `most` and about `bytes` in all.
    /// Safe to cancel.
    pub async fn read(&mut self, most: usize, bytes: usize) -> Result<Vec<Message>, TailError> {
        let first = self.first().await?;
        let mut read = vec![self.take(first)?];
        let mut size = read[0].payload.len();
        while read.len() < most && size < bytes {
            let Some(next) = self.messages.next().now_or_never() else { break };
            let message = self.take(next)?;
            size += message.payload.len();
            read.push(message);
        }
        Ok(read)
    }

    /// What comes next, however long it takes.
    async fn first(&mut self) -> Result<Option<Result<jetstream::Message, OrderedError>>, TailError> {
        loop {
            let first = timeout_at(self.quiet_since + SILENCE, self.messages.next()).await;
            if let Ok(first) = first {
                (self.quiet_since, self.awaited) = (Instant::now(), None);
                return Ok(first);
            }
            let there = raw::next(&self.jetstream, self.after + 1).await?.map(|raw| raw.sequence);
            match there {
                Some(sequence) if self.awaited == there => return Err(TailError::Stalled(sequence)),
                _ => (self.quiet_since, self.awaited) = (Instant::now(), there),
            }
        }
    }

    fn take(&mut self, next: Option<Result<jetstream::Message, OrderedError>>) -> Result<Message, TailError> {
        let mut handle = next.ok_or(TailError::Ended)?.map_err(|error| failed("read a message", error))?;
        let (sequence, received_at) = {
            let info = handle.info().map_err(|error| failed("read the place of a message", error))?;
            (info.stream_sequence, info.published)
        };
        if sequence <= self.after {
            return Err(TailError::Disorder { after: self.after, found: sequence });
        }
        self.after = sequence;
        Ok(Message {
            subject: handle.subject.to_string(),
            headers: handle.message.headers.take().unwrap_or_default(),
            payload: std::mem::take(&mut handle.message.payload),
            sequence,
            received_at,
        })
    }
}

fn failed(action: &'static str, error: impl Into<async_nats::Error>) -> TailError {
    TailError::Stream { action, source: error.into() }
}
