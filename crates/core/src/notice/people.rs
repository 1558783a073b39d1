//! What tasks that people do tell the world.

use serde_json::{Value, json};

use super::RunFacts;
use crate::event::{Data, Event};
use crate::run::Failure;

const KIND: &str = "human";

impl RunFacts<'_> {
    /// `com.spine.task.claimed`: the `count`th time that the task went to somebody.
    pub fn task_claimed(&self, task: &str, index: u32, by: &str, count: u32) -> Event {
        let id = format!("{}/{task}/{index}/claimed/{count}", self.run);
        self.notice("task.claimed", &id, self.of_person(task, index, json!({"by": by})))
    }

    /// `com.spine.task.reassigned`: the `count`th time that the task went to somebody.
    pub fn task_reassigned(&self, task: &str, index: u32, by: &str, assignees: &[String], count: u32) -> Event {
        let id = format!("{}/{task}/{index}/reassigned/{count}", self.run);
        self.notice("task.reassigned", &id, self.of_person(task, index, json!({"by": by, "assignees": assignees})))
    }

    /// `com.spine.task.escalated`.
    pub fn task_escalated(&self, task: &str, index: u32, assignees: &[String]) -> Event {
        let id = format!("{}/{task}/{index}/escalated", self.run);
        self.notice("task.escalated", &id, self.of_person(task, index, json!({"assignees": assignees})))
    }

    /// `com.spine.task.completed` or `com.spine.task.failed`, with the person who did it.
    pub fn task_ended_by(&self, task: &str, index: u32, by: &str, failure: Option<&Failure>) -> Event {
        let mut event = match failure {
            None => self.task_completed(task, index, KIND, 0),
            Some(failure) => self.task_failed(task, index, KIND, failure),
        };
        if let Data::Json(data) = &mut event.data {
            data["by"] = json!(by);
        }
        event
    }

    fn of_person(&self, task: &str, index: u32, more: Value) -> Value {
        let mut data = json!({"run": self.run, "activity": self.activity, "revision": self.revision,
            "task": task, "index": index, "uses": KIND});
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        data
    }
}
