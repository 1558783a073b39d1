//! What runs and tasks tell the world: `com.spine.*` events and the domain events that tasks emit.
//!
//! Ids are made from the run, the task and the fact, so that a repeated attempt writes nothing new.

mod people;
mod waits;

use serde_json::{Value, json};

pub use waits::EndedBy;

use crate::event::{Data, Event};
use crate::names::{HOPS_EXTENSION, RUN_EXTENSION};
use crate::planning::Outcome;
use crate::run::Failure;

/// The source of events that runs emit: `/spine/activities/<activity>`.
pub fn source(activity: &str) -> String {
    format!("/spine/activities/{activity}")
}

/// The id of the event that a call of another activity stands for.
pub fn call_id(run: &str, task: &str, index: u32, retry: u32) -> String {
    format!("{run}/{task}/{index}{}", crate::names::retry_suffix(retry))
}

/// The output of an `emit` task: what names the event that it emitted.
pub fn emitted_output(event: &Event) -> Value {
    json!({"type": event.event_type, "source": event.source, "id": event.id})
}

/// What all notices of one run share.
#[derive(Clone, Debug)]
pub struct RunFacts<'a> {
    /// The run's id.
    pub run: &'a str,
    /// The activity.
    pub activity: &'a str,
    /// The revision.
    pub revision: u32,
    /// The hops of the event that started the run.
    pub hops: u64,
    /// How often the run had been retried when this came to be; 0 for never.
    pub retry: u32,
    /// Now, RFC 3339.
    pub now: &'a str,
}

impl RunFacts<'_> {
    /// `com.spine.task.created`.
    pub fn task_created(&self, task: &str, index: u32, kind: &str) -> Event {
        let data = json!({"run": self.run, "activity": self.activity, "revision": self.revision,
            "task": task, "index": index, "uses": kind});
        self.notice("task.created", &format!("{}/{task}/{index}/created", self.run), data)
    }

    /// `com.spine.task.completed`.
    pub fn task_completed(&self, task: &str, index: u32, kind: &str, attempts: u32) -> Event {
        let data = json!({"run": self.run, "activity": self.activity, "revision": self.revision,
            "task": task, "index": index, "uses": kind, "attempts": attempts});
        self.notice("task.completed", &format!("{}/{task}/{index}/completed", self.run), data)
    }

    /// `com.spine.task.failed`.
    pub fn task_failed(&self, task: &str, index: u32, kind: &str, failure: &Failure) -> Event {
        let data = json!({"run": self.run, "activity": self.activity, "revision": self.revision,
            "task": task, "index": index, "uses": kind, "error": failure});
        self.notice("task.failed", &format!("{}/{task}/{index}/failed", self.run), data)
    }

    /// `com.spine.task.cancelled`.
    pub fn task_cancelled(&self, task: &str, index: u32, kind: &str, failure: &Failure) -> Event {
        let data = json!({"run": self.run, "activity": self.activity, "revision": self.revision,
            "task": task, "index": index, "uses": kind, "error": failure});
        self.notice("task.cancelled", &format!("{}/{task}/{index}/cancelled", self.run), data)
    }

    /// `com.spine.run.completed`, `com.spine.run.failed` or `com.spine.run.cancelled`. `not_undone` names the task
    /// instances whose undo failed.
    pub fn run_ended(&self, outcome: &Outcome, not_undone: &[String]) -> Event {
        let mut data = json!({"run": self.run, "activity": self.activity, "revision": self.revision});
        if !not_undone.is_empty() {
            data["notUndone"] = json!(not_undone);
        }
        let name = match outcome {
            Outcome::Completed => "run.completed",
            Outcome::Failed(failure) => {
                data["error"] = json!(failure);
                "run.failed"
            }
            Outcome::Cancelled(failure) => {
                data["error"] = json!(failure);
                "run.cancelled"
            }
        };
        self.notice(name, &format!("{}/ended", self.run), data)
    }

    /// The domain event of an `emit` task.
    pub fn emitted(
        &self,
        task: &str,
        index: u32,
        event_type: &str,
        subject: Option<String>,
        data: Option<Value>,
    ) -> Event {
        let mut event = self.event(event_type, &format!("{}/{task}/{index}", self.run));
        event.subject = subject;
        if let Some(data) = data {
            event.datacontenttype = Some("application/json".into());
            event.data = Data::Json(data);
        }
        event
    }

    /// The event that a call of another activity stands for.
    pub fn called(&self, task: &str, index: u32, data: Option<Value>) -> Event {
        let id = format!("{}/{task}/{index}", self.run);
        let mut event = self.event(crate::names::CALL_TYPE, &id);
        event.datacontenttype = Some("application/json".into());
        event.data = Data::Json(data.unwrap_or_default());
        event
    }

    fn notice(&self, name: &str, id: &str, data: Value) -> Event {
        let mut event = self.event(&format!("{}{name}", crate::names::OWN_TYPES), id);
        event.subject = Some(self.run.to_owned());
        event.datacontenttype = Some("application/json".into());
        event.data = Data::Json(data);
        event
    }

    fn event(&self, event_type: &str, id: &str) -> Event {
        let id = format!("{id}{}", crate::names::retry_suffix(self.retry));
        let mut event = Event::new(event_type, source(self.activity), id);
        event.time = Some(self.now.to_owned());
        event.extensions.insert(HOPS_EXTENSION.into(), Value::from((self.hops + 1).to_string()));
        event.extensions.insert(RUN_EXTENSION.into(), Value::from(self.run));
        event
    }
}
