//! Messages that no client can read: their headers are no text.
//!
//! Such a message breaks the connection of whoever takes it, and with it whatever was sent behind it is lost until
//! it is delivered again, behind the same message. So it is looked for where the routers' consumer does not get on,
//! and taken out of the stream once it is a dead letter.

use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use serde_json::json;
use spine_core::names::{EVENTS_STREAM, ROUTER_CONSUMER};

use crate::raw::{self, Raw};
use crate::read::ReadError;

/// The most messages that one look reads. What is left is read by the next.
const WINDOW: u64 = 500;

/// Looks for them, and remembers where it has looked.
#[derive(Debug, Default)]
pub struct Sentry {
    floor: Option<u64>,
    looked_at: u64,
}

impl Sentry {
    /// Those among the messages that were given to routers and are not settled, if the oldest of these is the one that
    /// it was at the last look. Each message is looked at once.
    pub async fn look(&mut self, jetstream: &jetstream::Context) -> Result<Vec<Raw>, ReadError> {
        let failed = |source: async_nats::Error| ReadError::Scan { stream: EVENTS_STREAM, source };
        let consumer: PullConsumer = jetstream
            .get_consumer_from_stream(ROUTER_CONSUMER, EVENTS_STREAM)
            .await
            .map_err(|error| failed(error.into()))?;
        let info = consumer.cached_info();
        let floor = info.ack_floor.stream_sequence;
        if info.num_ack_pending == 0 || self.floor.replace(floor) != Some(floor) {
            return Ok(Vec::new());
        }
        if info.delivered.stream_sequence < self.looked_at {
            // The stream was made anew.
            self.looked_at = 0;
        }
        let first = floor.max(self.looked_at) + 1;
        let last = info.delivered.stream_sequence.min(first + WINDOW);
        let mut found = Vec::new();
        for sequence in first..=last {
            found.extend(raw::at(jetstream, sequence).await?.filter(|raw| raw.headers.is_err()));
            self.looked_at = sequence;
        }
        Ok(found)
    }

    /// Has the next look begin at this message again.
    pub fn look_again_at(&mut self, sequence: u64) {
        self.looked_at = self.looked_at.min(sequence.saturating_sub(1));
    }
}

/// Takes a message out of the EVENTS stream. Doing it again changes nothing.
pub async fn take_out(jetstream: &jetstream::Context, sequence: u64) -> Result<(), ReadError> {
    let failed = |source: async_nats::Error| ReadError::Scan { stream: EVENTS_STREAM, source };
    let request = json!({"seq": sequence, "no_erase": true}).to_string();
    let subject = format!("$JS.API.STREAM.MSG.DELETE.{EVENTS_STREAM}");
    let answer = jetstream.client().request(subject, request.into()).await.map_err(|error| failed(error.into()))?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).map_err(|error| failed(error.into()))?;
    let gone = answer["success"] == true || raw::at(jetstream, sequence).await?.is_none();
    if gone { Ok(()) } else { Err(failed(answer["error"]["description"].to_string().into())) }
}
