//! Marks: what people did with dead letters. A letter itself never changes; who deals with one adds a mark, and
//! nothing takes marks away.
//!
//! They stand beside the letters, in JetStream, and not in PostgreSQL: redriving needs the broker anyway, works
//! where there is no database (at the edge, through an outage of it), and a mark is durable in the same place as
//! what it speaks of.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spine_core::names::{DEAD_MARKS_STREAM, MSG_ID_HEADER, dead_mark_subject};
use time::OffsetDateTime;

use super::scan;
use crate::publish::{self, PublishError};
use crate::read::{ReadError, Reader};

/// The header that says what was done, for those who don't read the payload.
const ACTION: &str = "Spine-Action";

/// What was done with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Its event was published again as it was.
    Redriven,
    /// Its event was published again, changed.
    Edited,
    /// Nothing more will be done with it.
    Dropped,
}

impl Action {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Redriven, Self::Edited, Self::Dropped];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Edited => "edited",
            Self::Dropped => "dropped",
        }
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// One thing that somebody did with a letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The letter: its place in the DEAD stream.
    pub letter: u64,
    /// What was done.
    pub action: Action,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// By whom.
    pub by: String,
    /// Why, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Where the event stands in the EVENTS stream since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_sequence: Option<u64>,
    /// The event as it was published, if it was edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
}

/// Adds a mark, and waits until JetStream has it.
pub async fn add(jetstream: &jetstream::Context, mark: &Mark) -> Result<(), PublishError> {
    let subject = dead_mark_subject(mark.letter);
    let mut headers = HeaderMap::new();
    headers.insert(MSG_ID_HEADER, format!("mark.{}.{}", mark.letter, mark.at.unix_timestamp_nanos()));
    headers.insert(ACTION, mark.action.as_str());
    let payload = serde_json::to_vec(mark).map_err(|error| PublishError::Refused {
        subject: subject.clone(),
        code: 0,
        description: error.to_string(),
    })?;
    publish::send(jetstream, &subject, headers, payload.into()).await.map(drop)
}

/// The marks of one letter, the first first.
pub async fn of(jetstream: &jetstream::Context, letter: u64) -> Result<Vec<Mark>, ReadError> {
    let reader = Reader::open(jetstream, DEAD_MARKS_STREAM).await?;
    let (subject, mut from, mut marks) = (dead_mark_subject(letter), 1, Vec::new());
    while let Some(message) = reader.next(&subject, from).await? {
        let decode = |source| ReadError::Decode { stream: DEAD_MARKS_STREAM, sequence: message.sequence, source };
        marks.push(serde_json::from_slice(&message.payload).map_err(decode)?);
        from = message.sequence + 1;
    }
    Ok(marks)
}

/// What was last done with each letter that somebody dealt with.
pub async fn last(jetstream: &jetstream::Context) -> Result<BTreeMap<u64, Action>, ReadError> {
    let config = OrderedConfig {
        // The server wants a filter with this policy.
        filter_subject: "dead_marks.>".into(),
        deliver_policy: DeliverPolicy::LastPerSubject,
        headers_only: true,
        ..OrderedConfig::default()
    };
    let mut last = BTreeMap::new();
    scan::each(jetstream, DEAD_MARKS_STREAM, config, |message| {
        let letter = message.subject.rsplit('.').next().and_then(|number| number.parse().ok());
        let headers = message.headers.unwrap_or_default();
        let action = headers.get(ACTION).and_then(|word| Action::named(word.as_str()));
        match letter.zip(action) {
            Some((letter, action)) => drop(last.insert(letter, action)),
            None => tracing::warn!(sequence = message.sequence, "a mark that is none of ours is left out"),
        }
    })
    .await?;
    Ok(last)
}
