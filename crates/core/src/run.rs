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
        /// Where the event stands in the EVENTS stream. Runs of before that was kept have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
    },
    /// A tick of the activity's schedule. The revision is resolved when the tick fires.
    Schedule {
        /// Which of the activity's triggers.
        trigger: usize,
    },
    /// Events of a key, which the rows of the instance hold. Somebody else has opened its run.
    Instance,
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
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

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
    /// A failure of this kind that another attempt would not have helped. A message of more than
    /// [`MAX_MESSAGE_BYTES`] is cut, and says so.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: cut(message.into()), class: FailureClass::NonRetryable }
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

/// The most bytes of a failure's message: it stands in Temporal's history, in rows and in events, each time anew
/// where it is passed on, and an endpoint may answer with any length.
pub const MAX_MESSAGE_BYTES: usize = 2048;

/// How much of a longer message is kept: what passes it on can still say where it comes from.
const KEPT_MESSAGE_BYTES: usize = MAX_MESSAGE_BYTES - 256;

fn cut(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        let end = message.floor_char_boundary(KEPT_MESSAGE_BYTES);
        let rest = message.len() - end;
        message.truncate(end);
        message.push_str(&format!("… ({rest} more bytes)"));
    }
    message
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_once_and_says_so() {
        let check = |message: String, expected: &str| assert_eq!(Failure::new("Long", message).message, expected);
        check("ä".repeat(1024), &"ä".repeat(1024));
        let cut = format!("{}… (98209 more bytes)", "ä".repeat(896));
        check("ä".repeat(50_000) + "x", &cut);
        check(format!("task t: {cut}"), &format!("task t: {cut}"));
    }
}
