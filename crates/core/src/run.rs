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
    /// A task of another run that uses this activity. The revision is resolved when the run opens.
    Call {
        /// The event that the call stands for.
        event: Box<Event>,
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
    /// Somebody cancelled it.
    Cancelled,
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
    /// It was given up, because its run failed or was cancelled.
    Cancelled,
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

status_text!(RunStatus, Running => "running", Completed => "completed", Failed => "failed", Cancelled => "cancelled");
status_text!(
    TaskStatus,
    Created => "created", Completed => "completed", Failed => "failed", Skipped => "skipped", Cancelled => "cancelled"
);

/// Why something failed, as it stands in rows, events and output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short code, for `retry.nonRetryable` and for people: `HttpStatus`, `Timeout`, `InvalidOrder`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in words, without secrets.
    pub message: String,
    /// Whether it could have been helped by trying again.
    #[serde(default)]
    pub class: FailureClass,
}

/// What kind of end a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Another attempt might have helped, and none was left.
    Retryable,
    /// Another attempt would have failed as well.
    #[default]
    NonRetryable,
    /// The time for one attempt, or the deadline of all, was over.
    TimedOut,
    /// It was given up, because its run failed or was cancelled.
    Cancelled,
}

impl Failure {
    /// A failure of this kind that another attempt would not have helped.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), class: FailureClass::NonRetryable }
    }

    /// The same failure, of this class.
    pub fn of(self, class: FailureClass) -> Self {
        Self { class, ..self }
    }

    /// The deadline of a task is over, which its `onTimeout` answers.
    pub fn deadline(message: impl Into<String>) -> Self {
        Self::new("Deadline", message).of(FailureClass::TimedOut)
    }

    /// Whether this is a deadline that is over.
    pub fn is_deadline(&self) -> bool {
        self.class == FailureClass::TimedOut && self.kind == "Deadline"
    }

    /// The time for one attempt was over.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new("Timeout", message).of(FailureClass::TimedOut)
    }

    /// It was given up.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new("Cancelled", message).of(FailureClass::Cancelled)
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
