//! The ActivityDefinition: what people write, as types that can only hold what is right.

mod parse;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

pub use parse::{Definition, Document, parse};

use crate::expression::{Expression, Template};
use crate::pattern::Pattern;

/// The `apiVersion` of every document.
pub const API_VERSION: &str = "spine/v1";

/// One checked definition: triggers, context, tasks. A revision is one immutable version of it.
#[derive(Clone, Debug)]
pub struct Activity {
    /// `metadata.name`: `[a-z0-9-]{1,63}`, the activity's id for ever.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.description`, empty if there is none.
    pub description: String,
    /// `spec.on`: any of these starts a run. At least one.
    pub triggers: Vec<Trigger>,
    /// `spec.context`, by name.
    pub context: BTreeMap<String, ContextSource>,
    /// `spec.tasks`, in the order written; ids are unique and `needs` has no cycle.
    pub tasks: Vec<Task>,
}

/// What starts a run.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// An event that matches.
    Event(EventTrigger),
    /// A schedule's tick.
    Schedule(ScheduleTrigger),
}

/// A condition on events. All parts must hold.
#[derive(Clone, Debug)]
pub struct EventTrigger {
    /// The type, exact or a prefix.
    pub event_type: TypePattern,
    /// `source`, with `*` standing for any run of characters.
    pub source: Option<String>,
    /// `match`: the content pattern.
    pub pattern: Option<Pattern>,
    /// `when`: CEL over `event`.
    pub when: Option<Expression>,
}

/// An event type, or all types below a prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TypePattern {
    /// This type alone.
    Exact(String),
    /// Every type that starts with this prefix, whose last character is a dot. Written `a.b.*`.
    Prefix(String),
}

/// When a schedule ticks.
#[derive(Clone, Debug)]
pub struct ScheduleTrigger {
    /// The rule.
    pub spec: ScheduleSpec,
    /// IANA time zone name; `UTC` if none is given.
    pub timezone: String,
    /// The most by which a tick is moved, at random.
    pub jitter: Duration,
    /// What happens when a tick comes while a run of an earlier one is going on.
    pub overlap: Overlap,
    /// `input`: becomes `event.data` of the trigger event.
    pub input: Value,
}

/// The rule of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleSpec {
    /// Five fields, as in crontab(5).
    Cron(String),
    /// A fixed interval, at least one second, counted from the Unix epoch.
    Every(Duration),
}

/// What happens when a tick comes while a run of an earlier one is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overlap {
    /// The tick is skipped.
    #[default]
    Skip,
    /// One run waits, further ticks are skipped.
    BufferOne,
    /// Both run.
    Allow,
    /// The earlier run is cancelled.
    CancelOther,
}

/// One named piece of outside data that a run decides on.
#[derive(Clone, Debug)]
pub struct ContextSource {
    /// Where it comes from.
    pub lookup: Lookup,
    /// How long one lookup may take.
    pub timeout: Duration,
    /// What stands in when the lookup fails. Without one, the run fails.
    pub default: Option<Value>,
}

/// How a piece of context is looked up.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// `GET` of a JSON document.
    Http {
        /// The address.
        url: Template,
        /// Request headers.
        headers: BTreeMap<String, Template>,
    },
    /// A parameterised query. It gives a list with one object per row.
    Sql {
        /// The query, with `$1`, `$2`, … for `args`.
        query: String,
        /// The parameters.
        args: Vec<Template>,
        /// The operator's name for the database.
        database: String,
    },
}

/// A rule that decides zero or more task instances.
#[derive(Clone, Debug)]
pub struct Task {
    /// Unique in the activity.
    pub id: String,
    /// Ids of the tasks that must have ended before this one is decided.
    pub needs: Vec<String>,
    /// Decided only if true.
    pub when: Option<Expression>,
    /// One instance per item of this list.
    pub for_each: Option<Expression>,
    /// What is done.
    pub work: Work,
    /// How often and when a failed attempt is repeated.
    pub retry: Retry,
    /// The longest one attempt may take.
    pub timeout: Duration,
    /// The longest all attempts together may take.
    pub deadline: Option<Duration>,
}

/// What a task does: `uses` and `with`.
#[derive(Clone, Debug)]
pub enum Work {
    /// An HTTP request. 2xx is success; the JSON answer is the output.
    Http {
        /// The method.
        method: String,
        /// The address.
        url: Template,
        /// Request headers.
        headers: BTreeMap<String, Template>,
        /// The JSON body.
        body: Option<Template>,
    },
    /// A domain event, through the outbox.
    Emit {
        /// The event's type.
        event_type: String,
        /// The event's subject.
        subject: Option<Template>,
        /// The event's data.
        data: Option<Template>,
    },
    /// An activity of any team's own Temporal worker.
    Worker {
        /// Its task queue.
        task_queue: String,
        /// Its activity name.
        activity: String,
        /// The one argument, as plain JSON.
        input: Template,
    },
}

impl Work {
    /// The word after `uses:`.
    pub fn kind(&self) -> &'static str {
        match self {
            Work::Http { .. } => "http",
            Work::Emit { .. } => "emit",
            Work::Worker { .. } => "worker",
        }
    }
}

/// How a failed attempt is repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub max_attempts: u32,
    /// The pause after the first failure.
    pub initial_interval: Duration,
    /// What each pause is multiplied by to give the next, at least 1.
    pub backoff: f64,
    /// The longest pause.
    pub max_interval: Duration,
    /// Failure types that are not repeated.
    pub non_retryable: Vec<String>,
}

impl Default for Retry {
    /// Five attempts, one second apart at first, doubling up to a minute.
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_interval: Duration::from_secs(1),
            backoff: 2.0,
            max_interval: Duration::from_secs(60),
            non_retryable: Vec::new(),
        }
    }
}

/// `kind: EventType`: what is known of one type of event.
#[derive(Clone, Debug)]
pub struct EventType {
    /// `metadata.name`: the type.
    pub name: String,
    /// `spec.description`, empty if there is none.
    pub description: String,
    /// `spec.schema`: the JSON Schema (2020-12) that `data` must meet.
    pub schema: Value,
}
