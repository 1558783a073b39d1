//! What an event means, decided with what is in memory: no server is asked.

use spine_core::admission::{self, Rejection};
use spine_core::decision::{DeadReason, Verdict};
use spine_core::event::Event;
use spine_core::key::EventKey;
use spine_core::names;
use spine_nats::consume::Delivery;
use spine_nats::wire;

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
    /// How many more activities listen to its type.
    pub(crate) left_out: usize,
}

/// Decides.
pub(crate) fn rule(delivery: &Delivery, snapshot: &Snapshot) -> Ruling {
    let facts = admission::Delivery {
        subject: &delivery.subject,
        bytes: delivery.payload.len(),
        deliveries: delivery.deliveries,
    };
    let catalog_version = snapshot.index.version();
    let subject_type = names::type_of_subject(&delivery.subject).unwrap_or(&delivery.subject);
    if let Err(rejection) = admission::before_decode(&facts) {
        // It is not read again: reading it may be what goes wrong.
        return Ruling {
            identity: Identity::of_message(delivery, subject_type),
            catalog_version,
            result: Err(rejection),
        };
    }
    let event = match wire::decode(&delivery.headers, &delivery.payload) {
        Ok(event) => event,
        Err(error) => {
            let rejection = Rejection { reason: DeadReason::InvalidEvent, detail: error.to_string() };
            let identity = Identity::of_fragments(
                delivery,
                error.event_source(),
                error.event_id(),
                error.event_type().unwrap_or(subject_type),
            );
            return Ruling { identity, catalog_version, result: Err(rejection) };
        }
    };
    let identity = Identity::of_event(&event);
    let result = admit(&facts, &event, snapshot).map(|()| {
        let verdicts = snapshot.index.decide(&event);
        let left_out = snapshot.index.listeners(&event.event_type).saturating_sub(verdicts.len());
        Admitted { event, verdicts, left_out }
    });
    Ruling { identity, catalog_version, result }
}

fn admit(facts: &admission::Delivery<'_>, event: &Event, snapshot: &Snapshot) -> Result<(), Rejection> {
    admission::after_decode(facts, event)?;
    snapshot
        .schemas
        .validate(&event.event_type, &event.data)
        .map_err(|detail| Rejection { reason: DeadReason::SchemaViolation, detail })
}

impl Identity {
    fn of_event(event: &Event) -> Self {
        Self {
            key: event.key(),
            source: event.source.clone(),
            id: event.id.clone(),
            event_type: event.event_type.clone(),
        }
    }

    /// What could be read of an event that is none; where that does not tell it from others, its place in the stream does.
    fn of_fragments(delivery: &Delivery, source: Option<&str>, id: Option<&str>, event_type: &str) -> Self {
        match (source, id) {
            (Some(source), Some(id)) => Self {
                key: EventKey::new(source, id),
                source: source.into(),
                id: id.into(),
                event_type: event_type.into(),
            },
            (source, id) => {
                let place = Self::of_message(delivery, event_type);
                Self { source: source.unwrap_or_default().into(), id: id.map_or(place.id, str::to_owned), ..place }
            }
        }
    }

    /// The identity of a message that is not read: its place in the stream.
    fn of_message(delivery: &Delivery, event_type: &str) -> Self {
        let source = format!("nats:{}", names::EVENTS_STREAM);
        let id = delivery.stream_sequence.to_string();
        Self { key: EventKey::new(&source, &id), source, id, event_type: event_type.to_owned() }
    }
}
