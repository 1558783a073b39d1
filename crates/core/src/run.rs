//! One execution of a revision: what starts it and what it tells.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Event;

/// The input of the `RunActivity` workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunInput {
    /// The activity.
    pub activity: String,
    /// What started the run.
    pub trigger: RunTrigger,
}

/// What started a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum RunTrigger {
    /// An event that matched, decided by a router that pinned the revision.
    Event {
        /// The pinned revision.
        revision: u32,
        /// The event.
        event: Box<Event>,
    },
    /// A tick of the activity's schedule. The revision is resolved when the tick fires.
    Schedule {
        /// Which of the activity's triggers.
        trigger: usize,
    },
}

/// What expressions see as `run`.
pub fn variable(id: &str, activity: &str, revision: u32) -> Value {
    let scheduled_for = crate::names::scheduled_time_of(id);
    serde_json::json!({"id": id, "activity": activity, "revision": revision, "scheduledFor": scheduled_for})
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It goes on.
    Running,
    /// All its tasks ended well or were skipped.
    Completed,
    /// A task failed, or its context or an expression did.
    Failed,
}

/// Where a task instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// It was decided and has not ended.
    Created,
    /// It ended well.
    Completed,
    /// All its attempts failed.
    Failed,
    /// It was not decided.
    Skipped,
}

macro_rules! status_text {
    ($type:ty, $($variant:ident => $text:literal),+) => {
        impl $type {
            /// The status as it stands in tables, events and output.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(format!("unknown status {other:?}")),
                }
            }
        }
    };
}

status_text!(RunStatus, Running => "running", Completed => "completed", Failed => "failed");
status_text!(TaskStatus, Created => "created", Completed => "completed", Failed => "failed", Skipped => "skipped");

/// Why something failed, as it stands in rows, events and output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short code, for `retry.nonRetryable` and for people: `HttpStatus`, `Timeout`, `InvalidOrder`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in words, without secrets.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into() }
    }
}

/// How one task instance ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// Its output, or why it failed.
    pub result: Result<Value, Failure>,
}
