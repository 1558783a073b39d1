//! Stateful activities: one long-lived run for each key.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::expression::{Expression, Template};

/// One long-lived run for each key instead of one for each event.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Gives a text: events with the same one go to the same instance.
    pub key: Expression,
    /// What an instance remembers, with the values it begins with.
    pub state: BTreeMap<String, Value>,
    /// Changes of the state after each event, in order.
    pub set: Vec<SetState>,
    /// The instance ends when this is true.
    pub complete_when: Option<Expression>,
    /// How long after its first event an instance ends that has not completed.
    pub expire_after: Option<Duration>,
}

/// One change of an instance's state.
#[derive(Clone, Debug)]
pub struct SetState {
    /// Made only if true.
    pub when: Option<Expression>,
    /// The new values, by name; every name is one of the state.
    pub values: BTreeMap<String, Template>,
}
