//! One delivery, and the three ways to end it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, AckKind};
use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use crate::pause;

/// How long the server may take to confirm.
const CONFIRM_WAIT: Duration = Duration::from_secs(2);
/// How often it is asked. After that the message is delivered again, which changes nothing.
const ATTEMPTS: usize = 3;

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// All that it must cause is durable elsewhere.
    Done,
    /// It shall be delivered again, not before this time has passed.
    RetryAfter(Duration),
    /// It shall never be delivered again, for this reason. Its dead letter is already stored.
    Dead(&'static str),
}

/// One delivery of one message of the EVENTS stream. Dropped without being settled, it is delivered again
/// after the consumer's `ack_wait`.
#[derive(Debug)]
pub struct Delivery {
    /// The subject it was published on.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its payload.
    pub payload: Bytes,
    /// Where it stands in the stream.
    pub stream_sequence: u64,
    /// How often it has been delivered, this time included.
    pub deliveries: u64,
    /// When the stream took it.
    pub received_at: OffsetDateTime,
    handle: jetstream::Message,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Delivery {
    pub(super) fn new(mut handle: jetstream::Message, slot: Option<OwnedSemaphorePermit>) -> Result<Self, String> {
        let (stream_sequence, deliveries, received_at) = {
            let info = handle.info().map_err(|error| error.to_string())?;
            (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(u64::MAX), info.published)
        };
        Ok(Self {
            subject: handle.subject.to_string(),
            headers: handle.message.headers.take().unwrap_or_default(),
            payload: std::mem::take(&mut handle.message.payload),
            stream_sequence,
            deliveries,
            received_at,
            handle,
            _slot: slot,
        })
    }

    /// Ends the delivery and waits until the server has confirmed it. If it does not, the message is
    /// delivered again, and whoever takes it finds everything done.
    pub async fn settle(self, settlement: Settlement) {
        let answer = match settlement {
            Settlement::Done => AckKind::Ack.into(),
            Settlement::RetryAfter(Duration::ZERO) => AckKind::Nak(None).into(),
            Settlement::RetryAfter(pause) => AckKind::Nak(Some(pause)).into(),
            Settlement::Dead(reason) => Bytes::from(format!("+TERM {reason}")),
        };
        for attempt in 0..ATTEMPTS {
            match self.confirm(answer.clone()).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(sequence = self.stream_sequence, error, "settling again"),
            }
            if attempt + 1 < ATTEMPTS {
                sleep(pause::after(attempt)).await;
            }
        }
        tracing::warn!(
            sequence = self.stream_sequence,
            ?settlement,
            "the broker did not confirm; it will deliver again"
        );
    }

    /// Tells the server that the work goes on, so that it does not deliver the message to somebody else.
    pub async fn progress(&self) {
        if let Err(error) = self.handle.ack_with(AckKind::Progress).await {
            tracing::debug!(sequence = self.stream_sequence, %error, "could not report progress");
        }
    }

    async fn confirm(&self, answer: Bytes) -> Result<(), String> {
        let reply = self.handle.reply.clone().ok_or("the message has no reply subject")?;
        let client = self.handle.context.client();
        match timeout(CONFIRM_WAIT, client.request(reply, answer)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no confirmation".into()),
        }
    }
}
