//! What tasks do: the kinds of work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Address, Response};
use crate::expression::Template;
use crate::inbox::WaitSpec;

/// What a task does: `uses` and `with`.
#[derive(Clone, Debug)]
pub enum Work {
    /// An HTTP request.
    Http {
        /// The method.
        method: String,
        /// The address.
        address: Address,
        /// Request headers.
        headers: BTreeMap<String, Template>,
        /// The body.
        body: Option<Template>,
        /// The operator's name for TLS options.
        tls: Option<String>,
        /// What the answer must be, and what of it is the output.
        response: Response,
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
    /// A parameterised statement, done once. What it returns and how many rows it touched are the output.
    Sql {
        /// The statement, with `$1`, `$2`, … for `args`.
        query: String,
        /// The parameters.
        args: Vec<Template>,
        /// The operator's name for the database.
        database: String,
    },
    /// A NATS message.
    Nats {
        /// What counts as done.
        exchange: Exchange,
        /// Where it goes.
        subject: Template,
        /// Its headers.
        headers: BTreeMap<String, Template>,
        /// Its payload.
        body: Option<Template>,
        /// The JSON Schema that the answer must meet.
        schema: Option<Value>,
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
    /// Another activity, whose run is this task.
    Activity {
        /// The activity's name.
        name: String,
        /// The data of the event that the call stands for.
        data: Option<Template>,
    },
    /// Nothing but time.
    Wait(Until),
    /// Work for a person.
    Human {
        /// What is to be done, in a line.
        title: Template,
        /// More about it.
        description: Option<Template>,
        /// People and groups who may do it.
        assignees: Vec<Template>,
        /// The JSON Schema of the answer.
        form: Option<Value>,
    },
}

/// What a task that waits waits for.
#[derive(Clone, Debug)]
pub enum Until {
    /// This long.
    For(Duration),
    /// A moment, RFC 3339; one that has passed is no wait at all.
    Moment(Template),
    /// An event.
    Event {
        /// What it must be.
        spec: Box<WaitSpec>,
        /// What the spec's key must give of it; there if the spec has a key.
        equals: Option<Template>,
    },
}

/// What is done with a NATS message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// A stream keeps it; where that is, is the output.
    Publish,
    /// Somebody answers; the answer is the output.
    Request,
}

impl Exchange {
    /// The key of `with` that asks for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Exchange::Publish => "publish",
            Exchange::Request => "request",
        }
    }
}

impl Work {
    /// The names of the secrets that it reads. Only work that leaves by `http`, `nats` or `sql` may read any.
    pub fn secrets(&self) -> BTreeSet<String> {
        match self {
            Work::Http { address, headers, body, .. } => {
                headers.values().chain(body).flat_map(Template::secrets).chain(address.secrets()).collect()
            }
            Work::Nats { headers, body, .. } => headers.values().chain(body).flat_map(Template::secrets).collect(),
            Work::Sql { args, .. } => args.iter().flat_map(Template::secrets).collect(),
            Work::Emit { .. } | Work::Worker { .. } | Work::Activity { .. } | Work::Wait(_) | Work::Human { .. } => {
                BTreeSet::new()
            }
        }
    }

    /// The word after `uses:`.
    pub fn kind(&self) -> &'static str {
        match self {
            Work::Http { .. } => "http",
            Work::Emit { .. } => "emit",
            Work::Sql { .. } => "sql",
            Work::Nats { .. } => "nats",
            Work::Worker { .. } => "worker",
            Work::Activity { .. } => "activity",
            Work::Wait(_) => "wait",
            Work::Human { .. } => "human",
        }
    }
}
