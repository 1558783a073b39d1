//! What the workflow and its activities say to each other. Part of recorded histories: fields may be
//! added with a default, never renamed or removed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spine_core::run::{Failure, RunInput, TaskResult};

/// The question to `AdvanceRun`. Not recorded in history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AdvanceInput {
    /// What started the run.
    pub(crate) input: RunInput,
    /// How the task instances ended that ended since the last question.
    pub(crate) results: Vec<TaskResult>,
    /// Every task instance that the workflow has started and waits for.
    pub(crate) started: Vec<(String, u32)>,
    /// Why the run was cancelled, if it was.
    #[serde(default)]
    pub(crate) cancelled: Option<String>,
    /// Of an instance: its history is long, so nothing new is to begin until another execution takes over.
    #[serde(default)]
    pub(crate) hold: bool,
}

/// The answer of `AdvanceRun`: one marker in history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub(crate) enum Next {
    /// Start these, and ask again when one of `awaited`, or all, have ended.
    Run {
        /// Task instances to start.
        start: Vec<Start>,
        /// Tasks whose end lets another be decided.
        awaited: Vec<String>,
        /// Instances that the workflow waits for and that have ended without it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ended: Vec<(String, u32)>,
        /// There is more to do at once: ask again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        /// What is under way need not go on, but for what takes work back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stop: bool,
    },
    /// Nothing is under way: another execution takes over, with a history of its own.
    Continue,
    /// The run is over, well.
    Completed,
    /// The run is over, and failed.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// The run is over, because somebody cancelled it.
    Cancelled {
        /// Why.
        failure: Failure,
    },
    /// An earlier run has done this event's work.
    Duplicate {
        /// Its id.
        of: String,
    },
    /// Nothing is to be done: the tick is skipped, or another run stands for it.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// One task instance to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The task's id.
    pub(crate) task: String,
    /// Which instance.
    pub(crate) index: u32,
    /// Set for a task of a foreign worker; else it is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) foreign: Option<Foreign>,
    /// Set for a run of another activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) child: Option<Child>,
    /// Set for a task that nobody performs: time ends it, or somebody outside of Temporal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pause: Option<Pause>,
    /// What our own activity needs to know of the run.
    pub(crate) run: RunRef,
    /// Retry, timeout and deadline.
    pub(crate) limits: Limits,
}

/// An activity of a foreign Temporal worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Foreign {
    pub(crate) task_queue: String,
    pub(crate) activity: String,
    pub(crate) input: Value,
}

/// A run of another activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Child {
    /// Its id.
    pub(crate) run: String,
    /// Its input.
    pub(crate) input: RunInput,
}

impl Start {
    /// Whether nobody performs it, so that another execution can wait for it as well.
    pub(crate) fn is_pause(&self) -> bool {
        self.pause.is_some()
    }
}

/// Time that passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pause {
    /// How long; without it, until somebody ends the task.
    pub(crate) after: Option<Duration>,
    /// Whether the task is complete then; else its deadline is over.
    pub(crate) completes: bool,
}

/// What every notice of a run says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRef {
    pub(crate) activity: String,
    pub(crate) revision: u32,
    pub(crate) hops: u64,
    #[serde(default)]
    pub(crate) retry: u32,
}

/// How often and how long a task instance may be tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) max_attempts: u32,
    pub(crate) initial_interval: Duration,
    pub(crate) backoff: f64,
    pub(crate) max_interval: Duration,
    pub(crate) non_retryable: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Option<Duration>,
}

/// The input of `RunTask`. Recorded in history: small, the request itself stands in the task's row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TaskInput {
    pub(crate) task: String,
    pub(crate) index: u32,
    pub(crate) run: RunRef,
    pub(crate) timeout: Duration,
}

/// The input of `FollowRun`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FollowInput {
    /// The run's id.
    pub(crate) run: String,
}

/// The answer of `FollowRun`: how the run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(crate) enum End {
    /// Well.
    Completed,
    /// It failed or was cancelled.
    Failed {
        /// Why.
        failure: Failure,
    },
}
