//! What an ordered reader of the EVENTS stream makes of events: what instances of stateful activities and tasks
//! that wait are to get, batch by batch, for the one transaction that writes it and moves the position.

mod specs;

use serde_json::Value;
use time::OffsetDateTime;

pub use specs::{SpecError, Specs, WaitSpec, stored_key};

use crate::activity::Instance;
use crate::event::Event;
use crate::expression::Scope;
use crate::words::kind;

/// A stretch of the stream, read in order by one state of catalog and registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The position before: the sequence of the last message that was read.
    pub after: u64,
    /// The position that it moves to.
    pub upto: u64,
    /// The version of the catalog that told the instances.
    pub catalog_version: u64,
    /// The version of the registry that told the waits. While it is not the present one, a spec may be missing.
    pub registry_version: u64,
    /// What is to be written, in stream order. Events that nobody gets are not in here.
    pub items: Vec<Item>,
}

/// One event, and who gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Where it stands in the EVENTS stream.
    pub sequence: u64,
    /// When the stream took it, by the broker's clock.
    pub received_at: OffsetDateTime,
    /// The event.
    pub event: Event,
    /// The stateful activities of which a trigger matches, by name, each once.
    pub instances: Vec<ForInstance>,
    /// The specs that it meets, each once.
    pub waits: Vec<ForWait>,
}

/// A stateful activity of which a trigger matches.
#[derive(Clone, Debug, PartialEq)]
pub struct ForInstance {
    /// The activity.
    pub activity: String,
    /// Its current revision.
    pub revision: u32,
    /// False: it is disabled, and begins no instance.
    pub enabled: bool,
    /// The value of `instance.key`, or why it could not be had.
    pub key: Result<String, String>,
    /// Whether one of the triggers that match begins an instance that is not there yet.
    pub starts: bool,
    /// Whether one of the triggers that match cancels the instance.
    pub cancels: bool,
}

/// A spec that an event meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForWait {
    /// The spec's hash.
    pub spec: String,
    /// The value of its `key`, as [`stored_key`] gives it; `None` if it has none.
    pub key: Option<String>,
}

impl Item {
    /// Whether nobody gets the event.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.waits.is_empty()
    }
}

/// The key of the instance that an event goes to, or in a sentence why there is none. `event` is the event as
/// expressions see it, `config` the operator's values.
pub fn instance_key(instance: &Instance, event: &Event, config: &Value) -> Result<String, String> {
    let scope = Scope::new().with("event", event.to_json()).with("config", config.clone());
    match instance.key.evaluate(&scope) {
        Ok(Value::String(key)) if !key.is_empty() => Ok(key),
        Ok(Value::String(_)) => Err(format!("instance.key `{}` gave an empty text", instance.key.source())),
        Ok(other) => Err(format!("instance.key `{}` gave {}, wanted a text", instance.key.source(), kind(&other))),
        Err(error) => Err(format!("instance.key: {error}")),
    }
}
