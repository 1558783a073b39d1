//! What an event means, decided with what is in memory: no server is asked.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use serde_json::Value;
use spine_core::admission::{self, Rejection};
use spine_core::decision::{DeadReason, Verdict};
use spine_core::event::Event;
use spine_core::inbox;
use spine_core::key::EventKey;
use spine_core::names;
use spine_nats::consume::Delivery;
use spine_nats::wire;
use time::OffsetDateTime;

use crate::catalog::Snapshot;

/// The verdict of one state of the catalog on one delivery.
pub(crate) struct Ruling {
    pub(crate) identity: Identity,
    pub(crate) catalog_version: u64,
    pub(crate) result: Result<Admitted, Rejection>,
}

/// What is known of who the event is, also if it is none.
pub(crate) struct Identity {
    pub(crate) key: EventKey,
    pub(crate) source: String,
    pub(crate) id: String,
    pub(crate) event_type: String,
}

/// An event that may come in.
pub(crate) struct Admitted {
    pub(crate) event: Event,
    pub(crate) verdicts: Vec<Verdict>,
    /// The names of those among them that matched and are stateful: the inbox gives them the event.
    pub(crate) stateful: BTreeSet<String>,
    /// How many more activities listen to its type.
    pub(crate) left_out: usize,
}

/// A message of the EVENTS stream, as far as it is ruled on.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) subject: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) payload: &'a [u8],
    pub(crate) sequence: u64,
    pub(crate) deliveries: u64,
    pub(crate) received_at: OffsetDateTime,
}

impl<'a> From<&'a Delivery> for Message<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        let Delivery { subject, headers, payload, .. } = delivery;
        let (sequence, deliveries) = (delivery.stream_sequence, delivery.deliveries);
        Self { subject, headers, payload, sequence, deliveries, received_at: delivery.received_at }
    }
}

/// Decides. `config` has the operator's values.
pub(crate) fn rule(message: Message<'_>, snapshot: &Snapshot, config: &Value) -> Ruling {
    let (identity, result) = admit(message, snapshot);
    let result = result.map(|event| {
        let mut verdicts = snapshot.index.decide(&event);
        let left_out = snapshot.index.listeners(&event.event_type).saturating_sub(verdicts.len());
        let stateful = stateful(&event, snapshot, config, &mut verdicts);
        Admitted { event, verdicts, stateful, left_out }
    });
    Ruling { identity, catalog_version: snapshot.index.version(), result }
}

/// Who the event is, and the event itself if it may come in.
pub(crate) fn admit(message: Message<'_>, snapshot: &Snapshot) -> (Identity, Result<Event, Rejection>) {
    let Message { subject, payload, deliveries, received_at, .. } = message;
    let facts = admission::Delivery { subject, bytes: payload.len(), deliveries };
    let subject_type = names::type_of_subject(subject).unwrap_or(subject);
    if let Err(rejection) = admission::before_decode(&facts) {
        // It is not read again: reading it may be what goes wrong.
        return (Identity::of_message(message, subject_type), Err(rejection));
    }
    let event = match wire::decode(message.headers, payload) {
        Ok(event) => event,
        Err(error) => {
            let rejection = Rejection { reason: DeadReason::InvalidEvent, detail: error.to_string() };
            let identity = Identity::of_fragments(
                message,
                error.event_source(),
                error.event_id(),
                error.event_type().unwrap_or(subject_type),
            );
            return (identity, Err(rejection));
        }
    };
    let identity = Identity::of_event(&event);
    let result = check(&facts, &event, received_at, snapshot).map(|()| event);
    (identity, result)
}

/// The stateful activities that matched, and into their verdicts the key of the instance that gets the event.
fn stateful(event: &Event, snapshot: &Snapshot, config: &Value, verdicts: &mut [Verdict]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for signal in snapshot.index.signals(event) {
        let definition = &signal.entry.definition;
        let Some(instance) = &definition.instance else { continue };
        names.insert(definition.name.clone());
        // One of a disabled activity gets it as well, if it goes on.
        let verdict = verdicts.iter_mut().find(|one| one.activity == definition.name);
        if let Some(verdict) = verdict {
            match inbox::instance_key(instance, event, config) {
                Ok(key) => verdict.instance = Some(key),
                Err(reason) => verdict.because.push_str(&format!("; but no instance gets it: {reason}")),
            }
        }
    }
    names
}

fn check(
    facts: &admission::Delivery<'_>,
    event: &Event,
    received_at: OffsetDateTime,
    snapshot: &Snapshot,
) -> Result<(), Rejection> {
    admission::after_decode(facts, event)?;
    snapshot.sources.check(event, received_at)?;
    snapshot
        .schemas
        .validate(&event.event_type, &event.data)
        .map_err(|detail| Rejection { reason: DeadReason::SchemaViolation, detail })
}

impl Identity {
    pub(crate) fn of_event(event: &Event) -> Self {
        Self {
            key: event.key(),
            source: event.source.clone(),
            id: event.id.clone(),
            event_type: event.event_type.clone(),
        }
    }

    /// What could be read of an event that is none; where that does not tell it from others, its place in the stream does.
    fn of_fragments(message: Message<'_>, source: Option<&str>, id: Option<&str>, event_type: &str) -> Self {
        match (source, id) {
            (Some(source), Some(id)) => Self {
                key: EventKey::new(source, id),
                source: source.into(),
                id: id.into(),
                event_type: event_type.into(),
            },
            (source, id) => {
                let place = Self::of_message(message, event_type);
                Self { source: source.unwrap_or_default().into(), id: id.map_or(place.id, str::to_owned), ..place }
            }
        }
    }

    /// The identity of a message that is not read: its place in the stream.
    fn of_message(message: Message<'_>, event_type: &str) -> Self {
        Self::of_place(message.sequence, event_type)
    }

    /// The same, of the message at this place.
    pub(crate) fn of_place(sequence: u64, event_type: &str) -> Self {
        let source = format!("nats:{}", names::EVENTS_STREAM);
        let id = sequence.to_string();
        Self { key: EventKey::new(&source, &id), source, id, event_type: event_type.to_owned() }
    }
}
