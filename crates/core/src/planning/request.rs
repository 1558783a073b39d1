//! Rendered work: what a task instance does, with no expression left in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::activity::{Exchange, Response, Until, Work};
use crate::expression::{EvalError, Scope, Template};
use crate::words;

/// Rendered work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "uses", rename_all = "snake_case")]
pub enum Request {
    /// An HTTP request.
    Http {
        /// The method.
        method: String,
        /// The address.
        url: String,
        /// Request headers.
        headers: BTreeMap<String, String>,
        /// The body.
        body: Option<Value>,
        /// The operator's name for TLS options.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls: Option<String>,
        /// What the answer must be, and what of it is the output.
        #[serde(default, skip_serializing_if = "Response::is_default")]
        response: Response,
    },
    /// A domain event.
    Emit {
        /// The event's type.
        event_type: String,
        /// The event's subject.
        subject: Option<String>,
        /// The event's data.
        data: Option<Value>,
    },
    /// A statement.
    Sql {
        /// The statement, with `$1`, `$2`, … for `args`.
        query: String,
        /// The parameters.
        args: Vec<Value>,
        /// The operator's name for the database.
        database: String,
    },
    /// A NATS message.
    Nats {
        /// What counts as done.
        exchange: Exchange,
        /// Where it goes.
        subject: String,
        /// Its headers.
        headers: BTreeMap<String, String>,
        /// Its payload.
        body: Option<Value>,
        /// The JSON Schema that the answer must meet.
        schema: Option<Value>,
    },
    /// An activity of a foreign Temporal worker.
    Worker {
        /// Its task queue.
        task_queue: String,
        /// Its activity name.
        activity: String,
        /// The argument.
        input: Value,
    },
    /// A run of another activity.
    Activity {
        /// Its name.
        name: String,
        /// The data of the event that the call stands for.
        data: Option<Value>,
    },
    /// Nothing but time.
    Wait(Pause),
    /// Work for a person.
    Human {
        /// What is to be done.
        title: String,
        /// More about it.
        description: Option<String>,
        /// People and groups who may do it.
        assignees: Vec<String>,
        /// The JSON Schema of the answer.
        form: Option<Value>,
    },
}

/// What a task that waits waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// This long.
    For(Duration),
    /// A moment, RFC 3339.
    Until(String),
    /// An event.
    Event {
        /// The hash of the spec that it must meet.
        spec: String,
        /// The spec: `event`, `source`, `match`, `key`.
        wanted: Value,
        /// What the key must be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        equals: Option<String>,
    },
}

impl Request {
    /// The word after `uses:`.
    pub fn kind(&self) -> &'static str {
        match self {
            Request::Http { .. } => "http",
            Request::Emit { .. } => "emit",
            Request::Sql { .. } => "sql",
            Request::Nats { .. } => "nats",
            Request::Worker { .. } => "worker",
            Request::Activity { .. } => "activity",
            Request::Wait(_) => "wait",
            Request::Human { .. } => "human",
        }
    }

    /// The work as it would stand under `with`; what is not set is left out.
    pub fn with(&self) -> Value {
        let with = match self {
            Request::Http { method, url, headers, body, tls, response } => {
                let headers = (!headers.is_empty()).then_some(headers);
                let response = (!response.is_default()).then_some(response);
                json!({"method": method, "url": url, "headers": headers, "body": body, "tls": tls, "response": response})
            }
            Request::Emit { event_type, subject, data } => {
                json!({"type": event_type, "subject": subject, "data": data})
            }
            Request::Sql { query, args, database } => {
                return json!({"query": query, "args": args, "database": database});
            }
            Request::Nats { exchange, subject, headers, body, schema } => {
                let headers = (!headers.is_empty()).then_some(headers);
                let response = schema.as_ref().map(|schema| json!({"schema": schema}));
                let mut with = json!({"headers": headers, "body": body, "response": response});
                with[exchange.as_str()] = Value::from(subject.as_str());
                with
            }
            Request::Worker { task_queue, activity, input } => {
                return json!({"taskQueue": task_queue, "activity": activity, "input": input});
            }
            Request::Activity { name, data } => json!({"name": name, "data": data}),
            Request::Wait(Pause::For(duration)) => return json!({"for": words::span(*duration)}),
            Request::Wait(Pause::Until(moment)) => return json!({"until": moment}),
            Request::Wait(Pause::Event { wanted, equals, .. }) => {
                let mut with = wanted.clone();
                with["equals"] = json!(equals);
                with
            }
            Request::Human { title, description, assignees, form } => {
                json!({"title": title, "description": description, "assignees": assignees, "form": form})
            }
        };
        let Value::Object(with) = with else { return with };
        with.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
    }
}

/// Evaluates every expression of a task's work.
pub(super) fn render(work: &Work, scope: &Scope) -> Result<Request, EvalError> {
    let text = |template: &Option<Template>| template.as_ref().map(|one| one.render_text(scope)).transpose();
    let value = |template: &Option<Template>| template.as_ref().map(|one| one.render(scope)).transpose();
    Ok(match work {
        Work::Http { method, address, headers, body, tls, response } => Request::Http {
            method: method.clone(),
            url: address.render(scope)?,
            headers: texts(headers, scope)?,
            body: value(body)?,
            tls: tls.clone(),
            response: response.clone(),
        },
        Work::Emit { event_type, subject, data } => Request::Emit {
            event_type: event_type.clone(),
            subject: text(subject)?.filter(|text| !text.is_empty()),
            data: value(data)?,
        },
        Work::Sql { query, args, database } => Request::Sql {
            query: query.clone(),
            args: args.iter().map(|one| one.render(scope)).collect::<Result<_, _>>()?,
            database: database.clone(),
        },
        Work::Nats { exchange, subject, headers, body, schema } => Request::Nats {
            exchange: *exchange,
            subject: subject.render_subject(scope)?,
            headers: texts(headers, scope)?,
            body: value(body)?,
            schema: schema.clone(),
        },
        Work::Worker { task_queue, activity, input } => {
            Request::Worker { task_queue: task_queue.clone(), activity: activity.clone(), input: input.render(scope)? }
        }
        Work::Activity { name, data } => Request::Activity { name: name.clone(), data: value(data)? },
        Work::Wait(Until::For(duration)) => Request::Wait(Pause::For(*duration)),
        Work::Wait(Until::Moment(moment)) => Request::Wait(Pause::Until(self::moment(moment, scope)?)),
        Work::Wait(Until::Event { spec, equals }) => Request::Wait(Pause::Event {
            spec: spec.hash().to_owned(),
            wanted: spec.content().clone(),
            equals: text(equals)?,
        }),
        Work::Human { title, description, assignees, form } => Request::Human {
            title: title.render_text(scope)?,
            description: text(description)?,
            assignees: assignees.iter().map(|one| one.render_text(scope)).collect::<Result<_, _>>()?,
            form: form.clone(),
        },
    })
}

/// The moment that a template gives, which must be one.
fn moment(template: &Template, scope: &Scope) -> Result<String, EvalError> {
    let text = template.render_text(scope)?;
    match OffsetDateTime::parse(&text, &Rfc3339) {
        Ok(_) => Ok(text),
        Err(_) => Err(EvalError {
            expression: "until".into(),
            message: format!("gave {text:?}, which is no time; write it as 2026-11-25T12:00:00Z (RFC 3339)"),
        }),
    }
}

fn texts(templates: &BTreeMap<String, Template>, scope: &Scope) -> Result<BTreeMap<String, String>, EvalError> {
    templates.iter().map(|(name, value)| Ok((name.clone(), value.render_text(scope)?))).collect()
}
