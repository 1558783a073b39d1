//! What the router decided for one event, and why: the record that answers "what became of it?".

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::EventKey;

/// The decision for one message of the EVENTS stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The event's key.
    pub key: EventKey,
    /// The event's source; empty if it could not be read.
    pub source: String,
    /// The event's id; empty if it could not be read.
    pub id: String,
    /// The event's type, from the subject if it could not be read from the event.
    pub event_type: String,
    /// Where the message stands in the EVENTS stream.
    pub stream_sequence: u64,
    /// How often the message had been delivered when the decision was made; 1 is the first time.
    pub delivery: u64,
    /// When the decision was made, RFC 3339.
    pub decided_at: String,
    /// The version of the catalog that decided; every event is decided by exactly one.
    pub catalog_version: u64,
    /// What was decided.
    pub outcome: Outcome,
    /// Each activity that matched, and at most [`MAX_NEAR_MISSES`] others that listen to this type, with
    /// the reason; at most [`MAX_VERDICTS`], those that matched first.
    pub verdicts: Vec<Verdict>,
    /// How many more activities listen to this type.
    #[serde(default)]
    pub verdicts_left_out: usize,
    /// The dead letter that was redriven as this message, as its place in the DEAD stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive_of: Option<u64>,
}

/// The most activities of which a decision says why they did not match, so that deciding takes no longer
/// where thousands listen to one type. They are the nearest: see [`crate::matching::Index::decide`].
pub const MAX_NEAR_MISSES: usize = 20;

/// The most verdicts that one decision keeps, so that its record stays small.
pub const MAX_VERDICTS: usize = 100;

/// The five things that can become of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Outcome {
    /// It may not come in; it stands whole in the DEAD stream.
    Rejected {
        /// Why, as a code.
        reason: DeadReason,
        /// Why, in words.
        detail: String,
    },
    /// It came in, and no trigger matched.
    Unmatched,
    /// All that it starts had been started by an earlier message with the same source and id.
    Duplicate {
        /// Where the earlier message stands in the EVENTS stream, if that is still known.
        of_sequence: Option<u64>,
    },
    /// Runs were started.
    Started,
    /// It started no run, and goes to instances of stateful activities.
    Signalled,
}

impl Outcome {
    /// The outcome's name, as metrics and tables show it.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Rejected { .. } => "rejected",
            Outcome::Unmatched => "unmatched",
            Outcome::Duplicate { .. } => "duplicate",
            Outcome::Started => "started",
            Outcome::Signalled => "signalled",
        }
    }
}

/// Whether one activity wanted the event, and what became of that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The activity.
    pub activity: String,
    /// Its current revision at that moment.
    pub revision: u32,
    /// Whether a trigger matched.
    pub matched: bool,
    /// By which condition, with the value seen and the value wanted.
    pub because: String,
    /// The run, if one was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The key of the instance that the event goes to, if the activity is a stateful one that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Why an event is dead. Part of the subject `dead.<reason>.<type>`, of metrics and of the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// It is no CloudEvent.
    InvalidEvent,
    /// Its subject does not name its type.
    SubjectMismatch,
    /// It has more bytes than an event may have.
    TooLarge,
    /// Its source may not send its type.
    Unauthorized,
    /// Its signature is wrong, or is not there and has to be.
    BadSignature,
    /// Its data does not meet the schema of its type.
    SchemaViolation,
    /// Too many runs stand between it and the outside world: a loop.
    TooManyHops,
    /// It was delivered too often without being settled: it crashes whoever takes it.
    TooManyDeliveries,
    /// Temporal refuses to start what it should start, for good.
    StartRefused,
    /// A consumer of the stream that is none of the routers' was given it as often as that allows, and gave it up.
    ConsumerGaveUp,
}

impl DeadReason {
    /// All of them.
    pub const ALL: [DeadReason; 10] = [
        DeadReason::InvalidEvent,
        DeadReason::SubjectMismatch,
        DeadReason::TooLarge,
        DeadReason::Unauthorized,
        DeadReason::BadSignature,
        DeadReason::SchemaViolation,
        DeadReason::TooManyHops,
        DeadReason::TooManyDeliveries,
        DeadReason::StartRefused,
        DeadReason::ConsumerGaveUp,
    ];

    /// The code.
    pub fn as_str(self) -> &'static str {
        match self {
            DeadReason::InvalidEvent => "invalid_event",
            DeadReason::SubjectMismatch => "subject_mismatch",
            DeadReason::TooLarge => "too_large",
            DeadReason::Unauthorized => "unauthorized",
            DeadReason::BadSignature => "bad_signature",
            DeadReason::SchemaViolation => "schema_violation",
            DeadReason::TooManyHops => "too_many_hops",
            DeadReason::TooManyDeliveries => "too_many_deliveries",
            DeadReason::StartRefused => "start_refused",
            DeadReason::ConsumerGaveUp => "consumer_gave_up",
        }
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
