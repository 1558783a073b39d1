//! What the expressions of a run see. In an instance each event brings a scope of its own: that event, and the state
//! after it.

use std::collections::BTreeMap;

use serde_json::Value;
use spine_core::expression::Scope;
use spine_store::InstanceEvent;

/// The scopes of a run.
#[derive(Debug)]
pub(crate) struct Scopes {
    base: Seen,
    by_event: BTreeMap<u32, Seen>,
}

/// What is seen of an event.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) scope: Scope,
    /// Its hops.
    pub(crate) hops: u64,
}

impl Scopes {
    /// Those of a run in which everything sees the same; `hops` are those of its event.
    pub(crate) fn new(scope: Scope, hops: u64) -> Self {
        Self { base: Seen { scope, hops }, by_event: BTreeMap::new() }
    }

    /// Adds those of events that were folded.
    pub(crate) fn with_events<'a>(mut self, events: impl IntoIterator<Item = &'a InstanceEvent>) -> Self {
        self.extend(events);
        self
    }

    /// Adds those of more events that were folded.
    pub(crate) fn extend<'a>(&mut self, events: impl IntoIterator<Item = &'a InstanceEvent>) {
        for event in events {
            self.add(event, event.state.as_ref().unwrap_or(&Value::Null));
        }
    }

    /// Adds that of an event after which this is the state.
    pub(crate) fn add(&mut self, event: &InstanceEvent, state: &Value) {
        let scope = self.base.scope.clone().with("event", event.event.to_json()).with("state", state.clone());
        self.by_event.insert(event.ordinal, Seen { scope, hops: event.event.hops() });
    }

    /// What this event decided sees this.
    pub(crate) fn seen(&self, ordinal: Option<u32>) -> &Seen {
        ordinal.and_then(|ordinal| self.by_event.get(&ordinal)).unwrap_or(&self.base)
    }

    /// The scope of what this event decided.
    pub(crate) fn of(&self, ordinal: Option<u32>) -> &Scope {
        &self.seen(ordinal).scope
    }
}
