//! `spec.tasks`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decoder::{Cursor, Decoder, Fields};
use super::expressions;
use super::graph::{self, Graph, Links};
use super::scope::{Scope, Surroundings};
use super::{grammar, work};
use crate::activity::format::{ESCALATE, ON_TIMEOUT, RETRY, TASK, UNDO};
use crate::activity::{Each, OnTimeout, Retry, Task, Undo};
use crate::document::NodeValue;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// All tasks, and what each of them needs.
pub(super) fn decode(d: &mut Decoder, spec: &Fields<'_>, surroundings: &Surroundings) -> (Vec<Task>, Graph) {
    let items = d.list(spec, "tasks");
    let fields: Vec<Fields<'_>> = items.iter().filter_map(|item| d.map(item, &TASK)).collect();
    let links: Vec<Links<'_>> = fields.iter().map(|task| graph::links(d, task)).collect();
    let graph = graph::build(d, &links);
    check_kinds(d, &fields, &links);
    let tasks = fields.iter().zip(links).filter_map(|(fields, links)| task(d, fields, links, surroundings, &graph));
    (tasks.collect(), graph)
}

fn task(
    d: &mut Decoder,
    fields: &Fields<'_>,
    links: Links<'_>,
    surroundings: &Surroundings,
    graph: &Graph,
) -> Option<Task> {
    let id = links.id.map(|(id, _)| id);
    let rule = Scope::rule(surroundings, id.as_deref(), graph);
    let with = rule.clone().for_work(fields.has("forEach"));
    let when = fields.get("when").and_then(|at| expressions::condition(d, &at, &rule));
    let for_each = fields.get("forEach").and_then(|at| expressions::list(d, &at, &rule));
    let work = work::decode(d, fields, &with);
    let retry = fields.get("retry").map(|at| retry(d, &at)).unwrap_or_default();
    let (timeout, deadline) = limits(d, fields);
    check_attempts(d, fields);
    let each = each(d, fields, surroundings);
    let on_timeout = fields.get("onTimeout").and_then(|at| on_timeout(d, &at, fields, &with)).unwrap_or_default();
    let undo = fields.get("undo").and_then(|at| undo(d, &at, &with.clone().with_output()));
    let needs = links.needs.into_iter().map(|(need, _)| need).collect();
    Some(Task { id: id?, needs, when, for_each, each, work: work?, retry, timeout, deadline, on_timeout, undo })
}

fn each(d: &mut Decoder, fields: &Fields<'_>, surroundings: &Surroundings) -> Each {
    let word = d.word(fields, "each");
    if let Some(at) = fields.get("each").filter(|_| !surroundings.is_stateful()) {
        d.problem_at_key(&at, "belongs to a stateful activity, and `spec` has no `instance`");
    }
    if word == Some("event") { Each::Event } else { Each::Instance }
}

/// Of a stateful activity: a task that runs once could need any of many, and one that runs for each event could wait
/// with every event for ever.
fn check_kinds(d: &mut Decoder, tasks: &[Fields<'_>], links: &[Links<'_>]) {
    let word = |task: &Fields<'_>| task.get("each").is_some_and(|at| at.node.to_value() == "event");
    let kinds: BTreeMap<&str, bool> =
        tasks.iter().zip(links).filter_map(|(task, links)| Some((links.id.as_ref()?.0.as_str(), word(task)))).collect();
    let needs =
        tasks.iter().zip(links).flat_map(|(task, links)| links.needs.iter().map(move |need| (word(task), need)));
    for (each_event, (need, at)) in
        needs.filter(|(each_event, (need, _))| kinds.get(need.as_str()) == Some(&!each_event))
    {
        d.problem(at, match each_event {
            true => format!("`{need}` runs once an instance and this task for each event; it can only need tasks with `each: event`"),
            false => format!("`{need}` runs for each event and this task once an instance; it can't need any one of many"),
        });
    }
}

fn limits(d: &mut Decoder, fields: &Fields<'_>) -> (Duration, Option<Duration>) {
    let (timeout, deadline) = (d.duration(fields, "timeout"), d.duration(fields, "deadline"));
    let Some((timeout, at)) = timeout.zip(fields.get("timeout")) else {
        return (DEFAULT_TIMEOUT.min(deadline.unwrap_or(DEFAULT_TIMEOUT)), deadline);
    };
    if let Some(deadline) = deadline.filter(|deadline| timeout > *deadline) {
        let message = format!(
            "one attempt may take longer than the `deadline` of all, {}; make it at most that",
            grammar::span(deadline)
        );
        d.problem(&at, message);
    }
    (timeout, deadline)
}

/// What waits for somebody else has no attempts.
fn check_attempts(d: &mut Decoder, fields: &Fields<'_>) {
    let Some(uses) = fields.get("uses").map(|at| at.node.to_value()) else { return };
    let Some(uses) = uses.as_str().filter(|uses| ["activity", "wait", "human"].contains(uses)) else { return };
    for key in ["retry", "timeout"] {
        if let Some(at) = fields.get(key) {
            d.problem_at_key(&at, format!("a task that uses {uses} has no attempts; `deadline` bounds it"));
        }
    }
}

fn retry(d: &mut Decoder, at: &Cursor<'_>) -> Retry {
    let default = Retry::default();
    let Some(fields) = d.map(at, &RETRY) else { return default };
    let initial_interval = d.duration(&fields, "initialInterval").unwrap_or(default.initial_interval);
    let max_interval = d.duration(&fields, "maxInterval");
    if let Some(at) = fields.get("maxInterval").filter(|_| max_interval.is_some_and(|most| most < initial_interval)) {
        d.problem(&at, format!("must be at least `initialInterval`, {}", grammar::span(initial_interval)));
    }
    let failures = d.list(&fields, "nonRetryable");
    Retry {
        max_attempts: d.whole(&fields, "maxAttempts").unwrap_or(default.max_attempts),
        initial_interval,
        backoff: d.number(&fields, "backoff").unwrap_or(default.backoff),
        max_interval: max_interval.unwrap_or(default.max_interval.max(initial_interval)),
        non_retryable: failures.iter().filter_map(|at| d.constant(at)).map(str::to_owned).collect(),
    }
}

fn on_timeout(d: &mut Decoder, at: &Cursor<'_>, task: &Fields<'_>, scope: &Scope<'_>) -> Option<OnTimeout> {
    if matches!(at.node.value, NodeValue::String(_)) {
        return d.one_of_words(at, &["fail"]).map(|_| OnTimeout::Fail);
    }
    let fields = d.map(at, &ON_TIMEOUT)?;
    let output = fields.get("output").and_then(|at| expressions::template(d, &at, scope)).map(OnTimeout::Output);
    let escalate = fields.get("escalate").and_then(|at| {
        if task.get("uses").is_some_and(|uses| uses.node.to_value() != "human") {
            d.problem_at_key(&at, "belongs to a task that uses human; others can only fail or give an output");
        }
        let fields = d.map(&at, &ESCALATE)?;
        let assignees = expressions::text_templates(d, &fields, "assignees", scope);
        Some(OnTimeout::Escalate { assignees, deadline: d.duration(&fields, "deadline")? })
    });
    output.or(escalate)
}

fn undo(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Undo> {
    let fields = d.map(at, &UNDO)?;
    let work = work::decode(d, &fields, scope);
    let retry = fields.get("retry").map(|at| retry(d, &at)).unwrap_or_default();
    let timeout = d.duration(&fields, "timeout").unwrap_or(DEFAULT_TIMEOUT);
    Some(Undo { work: work?, retry, timeout })
}
