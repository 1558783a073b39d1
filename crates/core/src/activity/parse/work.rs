//! `uses` and `with`: the work of a task and of its `undo`.

use super::decoder::{Decoder, Fields};
use super::expressions;
use super::scope::Scope;
use super::{grammar, http, nats, schema, sql, wait};
use crate::activity::Work;
use crate::activity::format::{CALL, EMIT, HTTP, HUMAN, NATS, Object, SQL, WAIT, WORKER};
use crate::names::TASK_QUEUE;

type Decode = fn(&mut Decoder, &Fields<'_>, &Scope<'_>) -> Option<Work>;

/// Reads the `uses` and the `with` of a task or of an `undo`.
pub(super) fn decode(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let public = scope.clone().without_secrets();
    let (object, decode, scope): (&'static Object, Decode, _) = match d.word(fields, "uses")? {
        "http" => (&HTTP, http::work, scope),
        "emit" => (&EMIT, emit, &public),
        "sql" => (&SQL, statement, scope),
        "nats" => (&NATS, nats::work, scope),
        "human" => (&HUMAN, human, &public),
        "activity" => (&CALL, call, &public),
        "wait" => (&WAIT, wait::work, &public),
        _ => (&WORKER, worker, &public),
    };
    let with = fields.get("with").and_then(|at| d.map(&at, object))?;
    decode(d, &with, scope)
}

fn emit(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let event_type = fields.get("type").and_then(|at| d.parsed(&at, grammar::own_event_type));
    let subject = fields.get("subject").and_then(|at| expressions::text_template(d, &at, scope));
    let data = fields.get("data").and_then(|at| expressions::template(d, &at, scope));
    Some(Work::Emit { event_type: event_type?, subject, data })
}

fn statement(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let sql::Statement { query, args, database } = sql::statement(d, fields, scope)?;
    Some(Work::Sql { query, args, database })
}

fn worker(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let task_queue = fields.get("taskQueue").and_then(|at| Some((d.constant(&at)?.to_owned(), at)));
    let activity = fields.get("activity").and_then(|at| d.constant(&at)).map(str::to_owned);
    let input = fields.get("input").and_then(|at| expressions::template(d, &at, scope));
    if let Some((_, at)) = task_queue.as_ref().filter(|(name, _)| name == TASK_QUEUE) {
        d.problem(at, format!("the task queue `{TASK_QUEUE}` is Spine's own; name the one your worker polls"));
    }
    Some(Work::Worker { task_queue: task_queue?.0, activity: activity?, input: input? })
}

fn call(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let name = fields.get("name").and_then(|at| d.parsed(&at, grammar::activity_name));
    let data = fields.get("data").and_then(|at| expressions::template(d, &at, scope));
    Some(Work::Activity { name: name?, data })
}

fn human(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let title = fields.get("title").and_then(|at| {
        if at.node.to_value().as_str().is_some_and(|text| text.trim().is_empty()) {
            d.problem(&at, "must not be empty: it is what people see in their list");
        }
        expressions::text_template(d, &at, scope)
    });
    let description = fields.get("description").and_then(|at| expressions::text_template(d, &at, scope));
    let assignees = expressions::text_templates(d, fields, "assignees", scope);
    let form = fields.get("form").map(|at| schema::decode(d, &at));
    Some(Work::Human { title: title?, description, assignees, form })
}
