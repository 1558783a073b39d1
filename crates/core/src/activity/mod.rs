//! The ActivityDefinition: what people write, as types that can only hold what is right.

mod address;
mod fixture;
mod flow;
pub mod format;
mod instance;
mod parse;
mod response;
mod schedule;
mod source;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

pub use parse::{Definition, Document, SchemaCheck, SchemaFault, parse, parse_duration, parse_with};

use crate::compatibility::Compatibility;
use crate::expression::{Expression, Template};
use crate::pattern::Pattern;

pub use address::Address;
pub use fixture::{ActivityTest, Case, EventGiven};
pub use flow::{Batch, Debounce, Flow, Rate, Singleton};
pub use instance::{Instance, SetState};
pub use response::{Output, Response, Status};
pub use schedule::{Calendar, Missed, MissedPolicy, Overlap, Rhythm, ScheduleSpec, ScheduleTrigger, Times};
pub use source::{Signing, Source, SourceKey};
pub use work::{Exchange, Until, Work};

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
    /// `spec.instance`: one long-lived run for each key.
    pub instance: Option<Instance>,
    /// `spec.flow`: limits on runs.
    pub flow: Option<Flow>,
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
    /// Whether it begins an instance that is not there yet.
    pub starts: bool,
    /// Whether it cancels the instance.
    pub cancels: bool,
}

/// An event type, or all types below a prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TypePattern {
    /// This type alone.
    Exact(String),
    /// Every type that starts with this prefix, whose last character is a dot. Written `a.b.*`.
    Prefix(String),
}

impl TypePattern {
    /// The pattern that this text stands for; whether its type is one was checked when it was applied.
    pub(crate) fn of(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        }
    }

    /// Whether it stands for this type.
    pub fn matches(&self, event_type: &str) -> bool {
        match self {
            Self::Exact(name) => name == event_type,
            Self::Prefix(prefix) => event_type.starts_with(prefix.as_str()),
        }
    }
}

impl std::fmt::Display for TypePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
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
        address: Address,
        /// Request headers.
        headers: BTreeMap<String, Template>,
        /// The operator's name for TLS options.
        tls: Option<String>,
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
    /// In a stateful activity, how often it is decided.
    pub each: Each,
    /// What is done.
    pub work: Work,
    /// How often and when a failed attempt is repeated.
    pub retry: Retry,
    /// The longest one attempt may take.
    pub timeout: Duration,
    /// The longest all attempts together may take.
    pub deadline: Option<Duration>,
    /// What happens when the deadline is over.
    pub on_timeout: OnTimeout,
    /// What takes the work back.
    pub undo: Option<Undo>,
}

/// What is executed under an id that stands among the tasks of a run: a task, or what takes one back.
#[derive(Clone, Debug)]
pub struct Execution<'a> {
    /// The task, or the one that is taken back.
    pub task: &'a Task,
    /// Whether this takes the task back.
    pub undoes: bool,
    /// What is done.
    pub work: &'a Work,
    /// How often and when a failed attempt is repeated.
    pub retry: &'a Retry,
    /// The longest one attempt may take.
    pub timeout: Duration,
    /// The longest all attempts together may take.
    pub deadline: Option<Duration>,
}

impl Activity {
    /// What is executed under this id: that of a task, or that of its undo ([`crate::names::undo_id`]).
    pub fn execution(&self, id: &str) -> Option<Execution<'_>> {
        let undone = crate::names::undone_by(id);
        let task = self.tasks.iter().find(|task| task.id == undone.unwrap_or(id))?;
        Some(match undone {
            None => Execution {
                task,
                undoes: false,
                work: &task.work,
                retry: &task.retry,
                timeout: task.timeout,
                deadline: task.deadline,
            },
            Some(_) => {
                let undo = task.undo.as_ref()?;
                Execution {
                    task,
                    undoes: true,
                    work: &undo.work,
                    retry: &undo.retry,
                    timeout: undo.timeout,
                    deadline: None,
                }
            }
        })
    }
}

/// How often a task of a stateful activity is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Each {
    /// Once an instance.
    #[default]
    Instance,
    /// For each event.
    Event,
}

/// What happens when a task's deadline is over.
#[derive(Clone, Debug, Default)]
pub enum OnTimeout {
    /// The task fails.
    #[default]
    Fail,
    /// The task completes with this output.
    Output(Template),
    /// Others are asked.
    Escalate {
        /// Whom it goes to.
        assignees: Vec<Template>,
        /// How long they have.
        deadline: Duration,
    },
}

/// What takes a task's work back, if the run fails or is cancelled later.
#[derive(Clone, Debug)]
pub struct Undo {
    /// What is done; `output` is in scope.
    pub work: Work,
    /// How often and when a failed attempt is repeated.
    pub retry: Retry,
    /// The longest one attempt may take.
    pub timeout: Duration,
}

impl Lookup {
    /// The names of the secrets that it reads.
    pub fn secrets(&self) -> BTreeSet<String> {
        match self {
            Lookup::Http { address, headers, .. } => {
                headers.values().flat_map(Template::secrets).chain(address.secrets()).collect()
            }
            Lookup::Sql { args, .. } => args.iter().flat_map(Template::secrets).collect(),
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
    /// `spec.compatibility`: what a change of the schema must leave as it was.
    pub compatibility: Compatibility,
}
