//! What tasks that wait for an event tell the world.

use serde_json::{Value, json};

use super::RunFacts;
use crate::event::{Data, Event};
use crate::run::Failure;

const KIND: &str = "wait";

/// The event that ended a wait.
#[derive(Clone, Copy, Debug)]
pub struct EndedBy<'a> {
    /// The event.
    pub event: &'a Event,
    /// Where it stands in the EVENTS stream.
    pub sequence: u64,
}

impl EndedBy<'_> {
    /// What names the event, and where it stands.
    pub fn to_json(&self) -> Value {
        let Event { event_type, source, id, .. } = self.event;
        json!({"type": event_type, "source": source, "id": id, "sequence": self.sequence})
    }
}

impl RunFacts<'_> {
    /// `com.spine.task.completed` or `com.spine.task.failed`, with the event that ended the wait.
    pub fn wait_ended_by(&self, task: &str, index: u32, by: &EndedBy<'_>, failure: Option<&Failure>) -> Event {
        let mut event = match failure {
            None => self.task_completed(task, index, KIND, 0),
            Some(failure) => self.task_failed(task, index, KIND, failure),
        };
        if let Data::Json(data) = &mut event.data {
            data["event"] = by.to_json();
        }
        event
    }
}
