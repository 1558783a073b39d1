//! `spec.tasks`.

use std::time::Duration;

use super::decoder::{Cursor, Decoder, Fields, Keys};
use super::graph::{self, Graph, Links};
use super::scope::{self, Scope};
use super::{grammar, http};
use crate::activity::{Retry, Task, Work};
use crate::names::TASK_QUEUE;

/// The most tasks of an activity.
const MAX_TASKS: usize = 100;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_millis(10);
const DAY: Duration = Duration::from_secs(86_400);
/// The longest one attempt may take.
const MOST_TIMEOUT: Duration = DAY.saturating_mul(7);
/// The longest all attempts may take.
const MOST_DEADLINE: Duration = DAY.saturating_mul(30);

const TASK: Keys = Keys::new(&["id", "needs", "when", "forEach", "uses", "with", "retry", "timeout", "deadline"])
    .later(&["undo", "onTimeout", "each"]);
const RETRY: Keys = Keys::new(&["maxAttempts", "initialInterval", "backoff", "maxInterval", "nonRetryable"]);
const HTTP: Keys = Keys::new(&["method", "url", "headers", "body"]);
const EMIT: Keys = Keys::new(&["type", "subject", "data"]);
const WORKER: Keys = Keys::new(&["taskQueue", "activity", "input"]);

const USES: [&str; 3] = ["http", "emit", "worker"];
const USES_LATER: [&str; 5] = ["nats", "sql", "human", "wait", "activity"];
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>) -> Vec<Task> {
    let mut items = d.list(at, "`tasks`");
    d.at_least_one(at, "task");
    d.at_most(at, &mut items, "task", MAX_TASKS);
    let fields: Vec<Fields<'_>> = items.iter().filter_map(|item| d.map(item, "a task", &TASK)).collect();
    let links: Vec<Links<'_>> = fields.iter().map(|task| graph::links(d, task)).collect();
    let graph = graph::build(d, &links);
    fields.iter().zip(links).filter_map(|(fields, links)| task(d, fields, links, &graph)).collect()
}

fn task(d: &mut Decoder, fields: &Fields<'_>, links: Links<'_>, graph: &Graph) -> Option<Task> {
    let id = links.id.map(|(id, _)| id);
    let owner = id.as_deref();
    let rule = Scope::rule(owner, graph);
    let when = fields.get("when").and_then(|at| scope::expression(d, &at, &rule));
    let for_each = fields.get("forEach").and_then(|at| scope::expression(d, &at, &rule));
    let work = work(d, fields, &Scope::work(owner, graph, fields.has("forEach")));
    let retry = fields.get("retry").map(|at| retry(d, &at)).unwrap_or_default();
    let (timeout, deadline) = limits(d, fields);
    let needs = links.needs.into_iter().map(|(need, _)| need).collect();
    Some(Task { id: id?, needs, when, for_each, work: work?, retry, timeout, deadline })
}

fn limits(d: &mut Decoder, fields: &Fields<'_>) -> (Duration, Option<Duration>) {
    let written = fields.get("timeout").and_then(|at| Some((d.duration(&at, SHORTEST..=MOST_TIMEOUT)?, at)));
    let deadline = fields.get("deadline").and_then(|at| d.duration(&at, SHORTEST..=MOST_DEADLINE));
    let Some((timeout, at)) = written else {
        return (DEFAULT_TIMEOUT.min(deadline.unwrap_or(DEFAULT_TIMEOUT)), deadline);
    };
    if let Some(deadline) = deadline.filter(|deadline| timeout > *deadline) {
        let message = format!(
            "one attempt may take longer than the `deadline` of all, {}; make it at most that",
            grammar::show(deadline)
        );
        d.problem(&at, message);
    }
    (timeout, deadline)
}

fn retry(d: &mut Decoder, at: &Cursor<'_>) -> Retry {
    let default = Retry::default();
    let Some(fields) = d.map(at, "`retry`", &RETRY) else { return default };
    let interval = |d: &mut Decoder, name| fields.get(name).and_then(|at| d.duration(&at, SHORTEST..=DAY));
    let initial_interval = interval(d, "initialInterval").unwrap_or(default.initial_interval);
    let max_interval = interval(d, "maxInterval");
    if let Some(at) = fields.get("maxInterval").filter(|_| max_interval.is_some_and(|most| most < initial_interval)) {
        d.problem(&at, format!("must be at least `initialInterval`, {}", grammar::show(initial_interval)));
    }
    let failures = fields.get("nonRetryable").map(|at| d.list(&at, "`nonRetryable`")).unwrap_or_default();
    Retry {
        max_attempts: fields.get("maxAttempts").and_then(|at| d.whole(&at, 1..=1000)).unwrap_or(default.max_attempts),
        initial_interval,
        backoff: fields.get("backoff").and_then(|at| d.number(&at, 1.0..=10.0)).unwrap_or(default.backoff),
        max_interval: max_interval.unwrap_or(default.max_interval.max(initial_interval)),
        non_retryable: failures.iter().filter_map(|at| d.constant(at)).map(str::to_owned).collect(),
    }
}

fn work(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let uses = fields.required(d, "uses");
    let with = fields.required(d, "with");
    let uses = uses.and_then(|at| d.parsed(&at, uses_word))?;
    let with = with?;
    let (keys, decode): (_, DecodeWork) = match uses {
        "http" => (&HTTP, http),
        "emit" => (&EMIT, emit),
        _ => (&WORKER, worker),
    };
    let with = d.map(&with, &format!("the `with` of a task that uses {uses}"), keys)?;
    decode(d, &with, scope)
}

type DecodeWork = fn(&mut Decoder, &Fields<'_>, &Scope<'_>) -> Option<Work>;

fn uses_word(text: &str) -> Result<&'static str, String> {
    let known = USES.into_iter().find(|word| *word == text);
    known.ok_or_else(|| match USES_LATER.contains(&text) {
        true => format!("`uses: {text}` is not supported yet; what is: {}", grammar::list(&USES)),
        false => format!("unknown value {text:?}; {}", grammar::suggest(text, &USES)),
    })
}

fn http(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let methods = METHODS.map(|method| (method, method));
    let method = fields.required(d, "method").and_then(|at| d.choice(&at, &methods));
    let url = http::url(d, fields, scope);
    let headers = http::headers(d, fields, scope);
    let body = fields.get("body").and_then(|at| scope::template(d, &at, scope));
    if let (Some(at), Some(method @ ("GET" | "HEAD"))) = (fields.get("body"), method) {
        d.problem_at_key(&at, format!("a {method} request has no body"));
    }
    Some(Work::Http { method: method?.to_owned(), url: url?, headers, body })
}

fn emit(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let event_type = fields.required(d, "type").and_then(|at| d.parsed(&at, grammar::own_event_type));
    let subject = fields.get("subject").and_then(|at| scope::text_template(d, &at, scope));
    let data = fields.get("data").and_then(|at| scope::template(d, &at, scope));
    Some(Work::Emit { event_type: event_type?, subject, data })
}

fn worker(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let task_queue = fields.required(d, "taskQueue").and_then(|at| Some((d.constant(&at)?.to_owned(), at)));
    let activity = fields.required(d, "activity").and_then(|at| d.constant(&at)).map(str::to_owned);
    let input = fields.required(d, "input").and_then(|at| scope::template(d, &at, scope));
    if let Some((_, at)) = task_queue.as_ref().filter(|(name, _)| name == TASK_QUEUE) {
        d.problem(at, format!("the task queue `{TASK_QUEUE}` is Spine's own; name the one your worker polls"));
    }
    Some(Work::Worker { task_queue: task_queue?.0, activity: activity?, input: input? })
}
