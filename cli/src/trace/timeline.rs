//! A run as a timeline: what happened when, from its event to its end.

use serde_json::Value;
use spine_core::decision::{Decision, Outcome};
use spine_core::event::Event;
use spine_core::names;
use spine_core::run::{RunStatus, TaskStatus};
use spine_store::{AttemptRow, InstanceEvent, PublishState, RunEvent, TaskRow};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::RunTrace;
use super::people::{emitted, failure, line};
use crate::explain::rendered;
use crate::output::{clip, span, when};

/// The most characters of a value that stand on a line, unless it is asked for whole.
const WIDTH: usize = 160;
/// How far a value that is asked for whole stands to the right.
const INSET: &str = "                 ";

/// What happens in one transaction has one time: the order in which it is told then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Event,
    Opened,
    Retried,
    Context,
    /// Which event ended a wait.
    Heard,
    /// How a task ended that was decided before: it lets others be decided.
    Result,
    /// An event of an instance, which lets tasks be decided.
    Folded,
    Decided,
    Created,
    Attempt,
    Failed,
    Done,
    Emitted,
    Ended,
}

/// One thing that happened.
struct Moment {
    at: OffsetDateTime,
    order: Order,
    what: String,
    text: String,
    value: Option<Value>,
}

/// The run for people: what it is, then everything that happened to it with the time since it was opened. With
/// `full`, values are shown whole, and notices too.
pub(crate) fn people(trace: &RunTrace, decisions: &[Decision], full: bool) -> String {
    let mut moments = moments(trace, decisions, full);
    moments.sort_by_key(|moment| (moment.at, moment.order));
    let width = moments.iter().map(|moment| moment.what.chars().count()).max().unwrap_or_default();
    let mut lines = heading(trace, full);
    lines.push(String::new());
    for moment in &moments {
        let offset = since(moment.at - trace.run.started_at);
        let text = match &moment.value {
            Some(value) if !full => format!("{}: {}", moment.text, short(value)),
            _ => moment.text.clone(),
        };
        lines.push(format!("{offset:>12}  {:<width$}  {}", moment.what, clip(&text, usize::MAX)));
        lines.extend(moment.value.iter().filter(|_| full).flat_map(whole));
    }
    lines.extend(told(trace, full));
    lines.join("\n")
}

fn heading(trace: &RunTrace, full: bool) -> Vec<String> {
    let row = &trace.run;
    let took = row.closed_at.map(|closed| format!(" after {}", span(closed - row.started_at))).unwrap_or_default();
    let mut lines = vec![
        line("run", &row.id),
        line("", &format!("{}{took}, opened {}", row.status.as_str(), when(row.started_at))),
    ];
    lines.extend(row.error.as_ref().map(|error| line("error", &clip(&failure(error), usize::MAX))));
    lines.push(line("activity", &format!("{}  revision {}", row.activity, row.revision)));
    let about = row.key.as_ref().map(|key| format!("  about {}", clip(key, WIDTH))).unwrap_or_default();
    lines.push(line("event", &format!("{}  {}{about}", row.event.event_type, row.event.id)));
    lines.push(line("", &format!("from {}", row.event.source)));
    if let Some(data) = row.event.to_json().get("data") {
        lines.extend(value("data", data, full));
    }
    if let (Some(hash), Some(context)) = (&row.context_hash, &row.context) {
        lines.push(line("context", hash));
        for (name, one) in context.as_object().into_iter().flatten() {
            lines.extend(value(name, one, full));
        }
    }
    lines
}

/// A named value of the heading, in short or whole.
fn value(name: &str, value: &Value, full: bool) -> Vec<String> {
    match full {
        false => vec![line("", &format!("{name}  {}", short(value)))],
        true => [line("", name)].into_iter().chain(whole(value)).collect(),
    }
}

fn moments(trace: &RunTrace, decisions: &[Decision], full: bool) -> Vec<Moment> {
    let run = &trace.run;
    let mut moments: Vec<Moment> = decisions.iter().filter_map(decided_by_router).collect();
    // A router notes its decision once it has started the runs: one may be open by then.
    for moment in moments.iter_mut().take(1) {
        moment.at = moment.at.min(run.started_at);
    }
    moments.push(moment(run.started_at, Order::Opened, "run", "opened"));
    if let (Some(at), Some(context)) = (run.context_at, &run.context) {
        let names: Vec<&str> = context.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let text =
            if names.is_empty() { "none is looked up".into() } else { format!("resolved: {}", names.join(", ")) };
        moments.push(moment(at, Order::Context, "context", text));
    }
    moments.extend(trace.given.iter().filter_map(folded));
    for fact in trace.audit.iter().filter(|fact| fact.fact == "decided") {
        moments.push(moment(fact.at, Order::Decided, "decided", produced(&fact.detail)));
    }
    for fact in trace.audit.iter().filter(|fact| fact.fact == "retried") {
        moments.push(moment(fact.at, Order::Retried, "run", retried(&fact.detail)));
    }
    // The last end stands in the run itself.
    let ends = trace.audit.iter().filter(|fact| fact.fact == "ended" && Some(fact.at) != run.closed_at);
    moments.extend(ends.map(|fact| moment(fact.at, Order::Ended, "run", ended_before(&fact.detail))));
    moments
        .extend(trace.audit.iter().filter(|fact| fact.fact == "wait_ended").map(|fact| heard(fact.at, &fact.detail)));
    moments.extend(trace.tasks.iter().flat_map(|task| of_task(task, &trace.attempts)));
    let shown = trace.events.iter().filter(|event| full || !is_notice(event));
    moments.extend(shown.map(|event| moment(event.created_at, Order::Emitted, "emitted", emitted(event))));
    moments.extend(ended(trace));
    moments
}

/// What an event made of an instance's state.
fn folded(given: &InstanceEvent) -> Option<Moment> {
    let Event { event_type, id, .. } = &given.event;
    let cancels = if given.cancels { ", which cancels the instance" } else { "" };
    let text = format!("folded as #{}: {event_type} {id}{cancels}; state", given.ordinal);
    let folded = moment(given.folded_at?, Order::Folded, "event", text);
    Some(Moment { value: given.state.clone(), ..folded })
}

fn moment(at: OffsetDateTime, order: Order, what: impl Into<String>, text: impl Into<String>) -> Moment {
    Moment { at, order, what: what.into(), text: text.into(), value: None }
}

fn decided_by_router(decision: &Decision) -> Option<Moment> {
    let at = OffsetDateTime::parse(&decision.decided_at, &Rfc3339).ok()?;
    let place = format!("{}:{}", names::EVENTS_STREAM, decision.stream_sequence);
    let what = match &decision.outcome {
        Outcome::Started | Outcome::Signalled => format!("accepted as {place}"),
        other => format!("came again as {place}: {}", other.name()),
    };
    Some(moment(
        at,
        Order::Event,
        "event",
        format!("{what}, catalog {}, delivery {}", decision.catalog_version, decision.delivery),
    ))
}

/// Who had the run go on, and from where: `retry 1 by ada, from what is done, with run/parent/…`.
fn retried(detail: &Value) -> String {
    let word = |name: &str| clip(detail[name].as_str().unwrap_or_default(), WIDTH);
    let from = if detail["from"] == "start" { "from the start" } else { "from what is done" };
    let with = detail["with"].as_str().map(|run| format!(", with {}", clip(run, WIDTH))).unwrap_or_default();
    format!("retry {} by {}, {from}{with}", detail["retry"], word("by"))
}

/// How a run ended that was retried then.
fn ended_before(detail: &Value) -> String {
    let status = detail["status"].as_str().unwrap_or_default();
    match serde_json::from_value(detail.clone()) {
        Ok(error) => format!("{status}: {}", failure(&error)),
        Err(_) => status.to_owned(),
    }
}

/// The task instances that a step decided: `charge, reserve (3 instances)`.
fn produced(detail: &Value) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in detail["produced"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let task = name.split('/').next().unwrap_or_default();
        match counts.last_mut().filter(|(last, _)| *last == task) {
            Some((_, count)) => *count += 1,
            None => counts.push((task, 1)),
        }
    }
    let name = |(task, count): &(&str, usize)| match count {
        1 => (*task).to_owned(),
        count => format!("{task} ({count} instances)"),
    };
    if counts.is_empty() { "nothing more to do".into() } else { counts.iter().map(name).collect::<Vec<_>>().join(", ") }
}

fn of_task(task: &TaskRow, attempts: &[AttemptRow]) -> Vec<Moment> {
    if task.status == TaskStatus::Skipped {
        let reason = task.reason.as_deref().unwrap_or("no reason was kept");
        return vec![moment(task.created_at, Order::Created, &task.task, format!("skipped: {reason}"))];
    }
    let name = format!("{}/{}", task.task, task.index);
    if task.is_undecided() {
        return vec![moment(task.created_at, Order::Created, &name, "created; a retry decides it again".to_owned())];
    }
    let created = format!("created, uses {}", task.uses.as_deref().unwrap_or_default());
    let created = moment(task.created_at, Order::Created, &name, created);
    let mut moments = vec![Moment { value: rendered(task), ..created }];
    let own: Vec<_> = attempts.iter().filter(|one| one.task == task.task && one.index == task.index).collect();
    moments.extend(own.iter().flat_map(|one| tried(task, &name, one, &own)));
    moments.extend(task.closed_at.map(|at| closed(task, &name, at)));
    moments
}

/// An attempt, and how it failed; `all` are those of its task.
fn tried(task: &TaskRow, name: &str, one: &AttemptRow, all: &[&AttemptRow]) -> Vec<Moment> {
    let all: Vec<_> = all.iter().filter(|other| other.retry == one.retry).collect();
    let unseen = one.attempt > 1 && !all.iter().any(|other| other.attempt + 1 == one.attempt);
    let before = task.last_error.as_ref().filter(|_| unseen);
    let before = before.map(|error| format!("; the one before failed: {}", failure(error))).unwrap_or_default();
    let mut moments = vec![moment(one.started_at, Order::Attempt, name, format!("attempt {}{before}", one.attempt))];
    if let (Some(at), Some(error)) = (one.ended_at, &one.error) {
        let took = span(at - one.started_at);
        let text = format!("attempt {} failed after {took}: {}", one.attempt, failure(error));
        moments.push(moment(at, Order::Failed, name, text));
    }
    let next = all.iter().filter(|other| other.attempt > one.attempt).min_by_key(|other| other.attempt);
    if let (None, Some(next)) = (one.ended_at, next) {
        let text = format!("attempt {} had given no answer: too slow, or its worker died", one.attempt);
        moments.push(moment(next.started_at, Order::Result, name, text));
    }
    moments
}

fn closed(task: &TaskRow, name: &str, at: OffsetDateTime) -> Moment {
    let attempts = match task.attempts {
        0 | 1 => String::new(),
        attempts => format!(", {attempts} attempts"),
    };
    let order = if at == task.created_at { Order::Done } else { Order::Result };
    let text = match &task.error {
        // What the step itself performs takes no time.
        None if at == task.created_at => task.status.as_str().to_owned(),
        None => format!("{} after {}{attempts}", task.status.as_str(), span(at - task.created_at)),
        Some(error) => {
            format!("{} after {}{attempts}: {}", task.status.as_str(), span(at - task.created_at), failure(error))
        }
    };
    let output = task.output.clone().filter(|output| !output.is_null());
    Moment { value: output, ..moment(at, order, name, text) }
}

/// Which event ended a wait.
fn heard(at: OffsetDateTime, detail: &Value) -> Moment {
    let text = |name: &str| detail["event"][name].as_str().unwrap_or_default();
    let name = format!("{}/{}", detail["task"].as_str().unwrap_or_default(), detail["index"]);
    let place = detail["event"]["sequence"].as_u64().unwrap_or_default();
    let text = format!("ended by {} {}, {}:{place}", text("type"), text("id"), names::EVENTS_STREAM);
    moment(at, Order::Heard, name, text)
}

fn ended(trace: &RunTrace) -> Option<Moment> {
    let run = &trace.run;
    let at = run.closed_at?;
    let text = match &run.error {
        Some(error) => format!("{}: {}", run.status.as_str(), failure(error)),
        None => run.status.as_str().to_owned(),
    };
    Some(moment(at, Order::Ended, "run", text))
}

/// What is left to say below the timeline: what goes on, and what became of the notices.
fn told(trace: &RunTrace, full: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if trace.run.status == RunStatus::Running {
        let open = trace.tasks.iter().filter(|task| task.closed_at.is_none()).count();
        lines.push(format!("{:>12}  the run goes on; {open} of {} tasks have not ended", "", trace.tasks.len()));
    }
    let notices: Vec<_> = trace.events.iter().filter(|event| is_notice(event)).collect();
    if !full && !notices.is_empty() {
        let waiting = notices.iter().filter(|event| !matches!(event.state, PublishState::Published { .. })).count();
        let state = if waiting == 0 { "all published".to_owned() } else { format!("{waiting} not published yet") };
        lines.extend([String::new(), line("notices", &format!("{}, {state}; --full shows them", notices.len()))]);
    }
    lines
}

fn is_notice(event: &RunEvent) -> bool {
    event.event["type"].as_str().is_some_and(|name| name.starts_with(names::OWN_TYPES))
}

/// `+0.123 s`, or `-0.004 s` for what came before the run.
fn since(offset: time::Duration) -> String {
    let sign = if offset.is_negative() { '-' } else { '+' };
    format!("{sign}{}", span(offset.abs()))
}

/// A value on one line: the fields of an object with their names, a text without quotes.
fn short(value: &Value) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = match value {
        Value::Object(fields) if !fields.is_empty() => {
            let fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
            fields.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(", ")
        }
        other => plain(other),
    };
    clip(&text, WIDTH)
}

/// All of a value, as YAML.
fn whole(value: &Value) -> Vec<String> {
    let text = serde_norway::to_string(value).unwrap_or_else(|error| error.to_string());
    text.lines().map(|line| format!("{INSET}{}", clip(line, usize::MAX))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instances_of_a_task_are_counted() {
        let check = |names: Value, expected: &str| assert_eq!(produced(&json!({"produced": names})), expected);
        check(json!(["a/0", "b/0", "b/1", "b/2"]), "a, b (3 instances)");
        check(json!([]), "nothing more to do");
    }

    #[test]
    fn a_value_is_told_on_one_line() {
        let check = |value: Value, expected: &str| assert_eq!(short(&value), expected);
        check(json!({"a": "x y", "b": [1], "c": null, "d": {}}), "a x y, b [1], d {}");
        check(json!("two\nlines"), "two\u{fffd}lines");
        check(json!({}), "{}");
        check(json!("x".repeat(161)), &("x".repeat(160) + "…"));
    }

    #[test]
    fn what_came_before_the_run_has_a_minus() {
        let check = |milliseconds: i64, expected: &str| {
            assert_eq!(since(time::Duration::milliseconds(milliseconds)), expected);
        };
        check(0, "+0.000 s");
        check(-4, "-0.004 s");
        check(61_500, "+1m01s");
    }
}
