//! Whether an event would come in now, as routers decide it: with the schemas of the catalog.

use anyhow::Context as _;
use async_nats::jetstream;
use spine_core::activity::{self, Document};
use spine_core::admission::{self, Delivery, Rejection};
use spine_core::decision::DeadReason;
use spine_core::event::Event;
use spine_core::names;
use spine_nats::catalog::Catalog;
use spine_nats::dead_letters::Whole;
use spine_nats::wire::{self, Mode};
use spine_schemas::PayloadSchemas;

/// What an event has to pass.
pub(super) struct Gate(PayloadSchemas);

impl Gate {
    /// What it has to pass now.
    pub(super) async fn open(jetstream: &jetstream::Context) -> anyhow::Result<Self> {
        let catalog = Catalog::new(jetstream.clone());
        let state = catalog.state().await?.context("read the catalog: there is none yet; does a relay run?")?;
        let hashes = state.event_types.iter().map(|entry| entry.hash.clone()).collect();
        let documents = catalog.documents(hashes).await.context("read the event types; if they changed, try again")?;
        let mut schemas = Vec::new();
        for (hash, document) in documents {
            let parsed = activity::parse(&hash, &document.to_string())?;
            schemas.extend(parsed.into_iter().filter_map(|document| match document {
                Document::EventType(definition) => Some((definition.value.name, definition.value.schema)),
                _ => None,
            }));
        }
        Ok(Self(PayloadSchemas::compile(schemas)?))
    }

    /// The event of a letter, if it would come in.
    pub(super) fn admit(&self, whole: &Whole) -> Result<Event, Rejection> {
        let facts = Delivery { subject: &whole.letter.subject, bytes: whole.payload.len(), deliveries: 1 };
        admission::before_decode(&facts)?;
        let event = wire::decode(&whole.headers, &whole.payload)?;
        self.check(&facts, &event)?;
        Ok(event)
    }

    /// Whether an event would come in that is published as it is.
    pub(super) fn admit_event(&self, event: &Event) -> Result<(), Rejection> {
        let (_, payload) = wire::encode(event, Mode::Structured)?;
        let facts = Delivery { subject: &names::event_subject(&event.event_type), bytes: payload.len(), deliveries: 1 };
        admission::before_decode(&facts)?;
        self.check(&facts, event)
    }

    fn check(&self, facts: &Delivery<'_>, event: &Event) -> Result<(), Rejection> {
        admission::after_decode(facts, event)?;
        let schema = self.0.validate(&event.event_type, &event.data);
        schema.map_err(|detail| Rejection::new(DeadReason::SchemaViolation, detail))
    }
}
