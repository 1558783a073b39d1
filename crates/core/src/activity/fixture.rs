//! Tests of activities.

use serde_json::Value;

use crate::document::{Node, Pos};
use crate::rehearsal::Given;

/// `kind: ActivityTest`: cases of what becomes of an event.
#[derive(Clone, Debug)]
pub struct ActivityTest {
    /// `metadata.name`.
    pub name: String,
    /// `spec.activity`: the activity that is tested.
    pub activity: String,
    /// Where that name stands.
    pub activity_pos: Pos,
    /// `spec.definitions`, from the test's folder; empty for the folder itself.
    pub definitions: Vec<String>,
    /// `spec.cases`; names are unique.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is so in this case.
    pub name: String,
    /// Where it begins in its file.
    pub pos: Pos,
    /// The event.
    pub event: EventGiven,
    /// Where the event stands, or its file's name.
    pub event_pos: Pos,
    /// What the outside world answers.
    pub given: Given,
    /// What must come of it, with positions; `None` for what the golden file says.
    pub expect: Option<Node>,
}

/// Where a case's event comes from.
#[derive(Clone, Debug)]
pub enum EventGiven {
    /// The JSON event format, in which some attributes may be missing.
    Inline(Value),
    /// A file, from the test's folder.
    File(String),
}
