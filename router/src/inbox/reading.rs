//! From messages to a batch: what each event means to instances and to those who wait.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use spine_core::inbox::{Batch, ForInstance, Item, instance_key};
use spine_core::matching::Signal;
use spine_nats::tail::Message;

use super::KnownSpecs;
use crate::catalog::Snapshot;
use crate::ruling;

/// What `read`, which follows the position `after`, means by one state of the catalog and of the specs.
pub(super) fn batch(after: u64, read: &[Message], snapshot: &Snapshot, specs: &KnownSpecs, config: &Value) -> Batch {
    let item = |message: &Message| {
        // Whatever makes this panic would do so again: the router dead-letters it, and nobody else gets it.
        let ruled = catch_unwind(AssertUnwindSafe(|| item(message, snapshot, specs, config)));
        ruled.unwrap_or_else(|_| {
            tracing::error!(sequence = message.sequence, "an event makes reading it panic; it is passed over");
            None
        })
    };
    Batch {
        after,
        upto: read.last().map_or(after, |last| last.sequence),
        catalog_version: snapshot.index.version(),
        registry_version: specs.registry_version,
        items: read.iter().filter_map(item).collect(),
    }
}

/// Who gets an event; `None` if nobody does, or if it may not come in.
fn item(message: &Message, snapshot: &Snapshot, specs: &KnownSpecs, config: &Value) -> Option<Item> {
    let facts = ruling::Message {
        subject: &message.subject,
        headers: &message.headers,
        payload: &message.payload,
        sequence: message.sequence,
        deliveries: 1,
        received_at: message.received_at,
    };
    let event = ruling::admit(facts, snapshot).1.ok()?;
    let instance = |signal: Signal<'_>| {
        let definition = &signal.entry.definition;
        Some(ForInstance {
            activity: definition.name.clone(),
            revision: signal.entry.revision,
            enabled: signal.entry.enabled,
            key: instance_key(definition.instance.as_ref()?, &event, config),
            starts: signal.starts,
            cancels: signal.cancels,
        })
    };
    let instances: Vec<ForInstance> = snapshot.index.signals(&event).into_iter().filter_map(instance).collect();
    let waits = specs.specs.matched(&event);
    let item = Item { sequence: message.sequence, received_at: message.received_at, event, instances, waits };
    (!item.is_empty()).then_some(item)
}
