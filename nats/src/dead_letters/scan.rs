//! Many dead letters at once, without their payloads.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy};
use futures::StreamExt as _;
use spine_core::names::{DEAD_STREAM, dead_subject};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{Letter, subject_tokens};
use crate::read::ReadError;

/// How long the server may take to send the next message that it says it has.
const NEXT: Duration = Duration::from_secs(10);

/// Which letters: those that meet everything that is given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those that died of one of these; of any if it is empty.
    pub reasons: Vec<String>,
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Only events of this source.
    pub source: Option<String>,
    /// Only events with this id.
    pub id: Option<String>,
    /// Only those that died then or later.
    pub since: Option<OffsetDateTime>,
    /// Only those that died before.
    pub until: Option<OffsetDateTime>,
}

impl Filter {
    /// Whether it lets every letter through.
    pub fn is_empty(&self) -> bool {
        let Self { reasons, event_type, source, id, since, until } = self;
        reasons.is_empty()
            && event_type.is_none()
            && source.is_none()
            && id.is_none()
            && since.is_none()
            && until.is_none()
    }

    fn admits(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        (self.reasons.is_empty() || self.reasons.contains(&letter.reason))
            && is(&self.source, &letter.source)
            && is(&self.id, &letter.id)
            && self.since.is_none_or(|since| letter.died_at >= since)
            && self.until.is_none_or(|until| letter.died_at < until)
    }

    /// What the server can filter by itself.
    fn subject(&self) -> String {
        let reason = match self.reasons.as_slice() {
            [only] => only,
            _ => "*",
        };
        dead_subject(reason, &self.event_type.as_deref().map_or_else(|| ">".to_owned(), subject_tokens))
    }
}

/// The letters that are there now and pass the filter, the first first.
pub async fn scan(jetstream: &jetstream::Context, filter: &Filter) -> Result<Vec<Letter>, ReadError> {
    // A letter says itself when it died: a moment before the stream took it.
    let deliver_policy = match filter.since {
        Some(start_time) => DeliverPolicy::ByStartTime { start_time },
        None => DeliverPolicy::All,
    };
    let config = OrderedConfig {
        filter_subject: filter.subject(),
        deliver_policy,
        headers_only: true,
        ..OrderedConfig::default()
    };
    let mut letters = Vec::new();
    each(jetstream, DEAD_STREAM, config, |message| {
        let headers = message.headers.unwrap_or_default();
        let letter = Letter::read(message.sequence, &message.subject, message.stored_at, &headers);
        letters.extend(Some(letter).filter(|letter| filter.admits(letter)));
    })
    .await?;
    Ok(letters)
}

/// One message without its payload.
pub(super) struct Head {
    pub(super) subject: String,
    pub(super) headers: Option<async_nats::HeaderMap>,
    pub(super) sequence: u64,
    stored_at: OffsetDateTime,
}

/// Shows every message that there is now.
pub(super) async fn each(
    jetstream: &jetstream::Context,
    name: &'static str,
    config: OrderedConfig,
    mut show: impl FnMut(Head),
) -> Result<(), ReadError> {
    let failed = |source: async_nats::Error| ReadError::Scan { stream: name, source };
    let stream = jetstream.get_stream(name).await.map_err(|source| ReadError::Stream { stream: name, source })?;
    let consumer: Consumer<OrderedConfig> =
        stream.create_consumer(config).await.map_err(|error| failed(error.into()))?;
    if consumer.cached_info().num_pending == 0 {
        return Ok(());
    }
    let mut messages = consumer.messages().await.map_err(|error| failed(error.into()))?;
    loop {
        let (head, left) = next(&mut messages).await.map_err(failed)?;
        show(head);
        if left == 0 {
            return Ok(());
        }
    }
}

/// The next message, and how many come after it.
async fn next(messages: &mut Ordered) -> Result<(Head, u64), async_nats::Error> {
    let next = timeout(NEXT, messages.next()).await.map_err(|_| format!("no message within {NEXT:?}"))?;
    let mut message = next.ok_or("it ended")??;
    let (sequence, stored_at, left) = {
        let info = message.info()?;
        (info.stream_sequence, info.published, info.pending)
    };
    let headers = message.message.headers.take();
    Ok((Head { subject: message.subject.to_string(), headers, sequence, stored_at }, left))
}
