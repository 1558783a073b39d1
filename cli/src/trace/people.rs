//! A trace as people read it: the way of the event from top to bottom.

use serde_json::Value;
use spine_core::decision::{Decision, Outcome};
use spine_core::names;
use spine_core::run::{Failure, TaskStatus};
use spine_store::{GivenTo, PublishState, RunEvent, TaskRow};

use super::{EventTrace, RunTrace};
use crate::output::{self, when};

/// The column where what is said begins.
const INDENT: usize = 11;
/// The most characters of a value that stand on a line.
const WIDTH: usize = 160;

/// All traces.
pub(crate) fn events(traces: &[EventTrace]) -> String {
    traces.iter().map(|trace| event(trace).join("\n")).collect::<Vec<_>>().join("\n\n")
}

fn event(trace: &EventTrace) -> Vec<String> {
    let mut lines = heading(trace);
    lines.extend(trace.decisions.iter().flat_map(decision));
    lines.extend(trace.instances.iter().map(given));
    for trace in &trace.runs {
        lines.push(String::new());
        lines.extend(run(trace));
    }
    lines
}

/// Which event it is.
pub(crate) fn heading(trace: &EventTrace) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(first) = trace.decisions.first() {
        lines.push(line(
            "event",
            &format!("{}  {}  {}:{}", first.event_type, first.id, names::EVENTS_STREAM, first.stream_sequence),
        ));
        lines.push(line("", &format!("from {}", first.source)));
        if let Some(data) = trace.event.as_ref().and_then(|event| event.get("data")) {
            lines.push(line("", &format!("data {}", clip(data))));
        }
    }
    lines
}

/// The outcome, then every activity that was asked, with its reason.
pub(crate) fn decision(decision: &Decision) -> Vec<String> {
    let outcome = match &decision.outcome {
        Outcome::Rejected { reason, detail } => format!("rejected, dead-lettered: {reason}: {detail}"),
        Outcome::Duplicate { of_sequence: Some(sequence) } => {
            format!("duplicate of {}:{sequence}", names::EVENTS_STREAM)
        }
        Outcome::Duplicate { of_sequence: None } => "duplicate of an earlier message".into(),
        Outcome::Unmatched if decision.verdicts.is_empty() => "unmatched: no activity listens to this type".into(),
        other => other.name().to_owned(),
    };
    let redriven = decision.redrive_of.map(|letter| format!(", redriven from letter {letter}")).unwrap_or_default();
    let facts = format!(
        "{outcome}  (catalog {}, delivery {}, {}{redriven})",
        decision.catalog_version, decision.delivery, decision.decided_at
    );
    let mut lines = vec![line(
        "admission",
        &if matches!(decision.outcome, Outcome::Rejected { .. }) { facts } else { format!("admitted, {facts}") },
    )];
    for verdict in &decision.verdicts {
        let (mark, word) = if verdict.matched { ("+", "matched") } else { ("-", "not matched") };
        let instance = verdict.instance.as_ref().map(|key| format!("  -> instance {key}")).unwrap_or_default();
        lines.push(line(
            "",
            &format!("{mark} {} revision {} {word}: {}{instance}", verdict.activity, verdict.revision, verdict.because),
        ));
    }
    if decision.verdicts_left_out > 0 {
        lines.push(line("", &format!("and {} more", decision.verdicts_left_out)));
    }
    lines
}

/// What became of the event in a stateful activity.
pub(crate) fn given(given: &GivenTo) -> String {
    let to = match (&given.run, given.ordinal, &given.reason) {
        (_, _, Some(reason)) => format!("{}: not folded: {reason}", given.activity),
        (Some(run), Some(ordinal), None) if given.folded => format!("{run}: folded as #{ordinal}"),
        (Some(run), _, None) => format!("{run}: will be folded"),
        _ => format!("{}: it was given to no instance", given.activity),
    };
    line("instance", &to)
}

/// One run, in short; `spine runs show` prints its timeline.
pub(crate) fn run(trace: &RunTrace) -> Vec<String> {
    let row = &trace.run;
    let took = row
        .closed_at
        .map(|closed| format!(" after {:.2} s", (closed - row.started_at).as_seconds_f64()))
        .unwrap_or_default();
    let mut lines = vec![
        line("run", &row.id),
        line(
            "",
            &format!(
                "activity {} revision {}  {}{took}  started {}",
                row.activity,
                row.revision,
                row.status.as_str(),
                when(row.started_at)
            ),
        ),
    ];
    if let Some(error) = &row.error {
        lines.push(line("", &format!("error {}", failure(error))));
    }
    if let (Some(hash), Some(context)) = (&row.context_hash, &row.context) {
        lines.push(line("context", hash));
        lines.push(line("", &clip(context)));
    }
    lines.extend(trace.tasks.iter().enumerate().flat_map(|(at, task)| self::task(task, at == 0)));
    lines.extend(
        trace.events.iter().enumerate().map(|(at, event)| line(if at == 0 { "emitted" } else { "" }, &emitted(event))),
    );
    lines
}

fn task(task: &TaskRow, first: bool) -> Vec<String> {
    let name = if first { "tasks" } else { "" };
    let TaskRow { task: id, index, status, .. } = task;
    if *status == TaskStatus::Skipped {
        return vec![line(name, &format!("{id}  skipped: {}", task.reason.as_deref().unwrap_or("no reason was kept")))];
    }
    let uses = task.uses.as_deref().unwrap_or_default();
    let attempts = match task.attempts {
        0 if uses == "emit" => String::new(),
        0 => "  attempts not known".into(),
        1 => "  1 attempt".into(),
        attempts => format!("  {attempts} attempts"),
    };
    let mut lines = vec![line(name, &format!("{id}/{index}  {uses}  {}{attempts}", status.as_str()))];
    if let Some(output) = task.output.as_ref().filter(|_| uses != "emit") {
        lines.push(line("", &format!("  output {}", clip(output))));
    }
    if let Some(error) = task.error.as_ref().or(task.last_error.as_ref()) {
        let which = if task.error.is_some() { "error" } else { "last error" };
        lines.push(line("", &format!("  {which} {}", failure(error))));
    }
    lines
}

/// Why something failed, on one line.
pub(crate) fn failure(failure: &Failure) -> String {
    format!("{}: {}", failure.kind, failure.message)
}

/// An event that a run wrote: its type, where it stands in the stream, its id.
pub(crate) fn emitted(event: &RunEvent) -> String {
    let text = |name: &str| event.event.get(name).and_then(Value::as_str).unwrap_or_default();
    let place = match &event.state {
        PublishState::Pending => "waits for the relay".to_owned(),
        PublishState::Published { stream_sequence, .. } => format!("{}:{stream_sequence}", names::EVENTS_STREAM),
        PublishState::Parked { error, .. } => format!("parked: {error}"),
        PublishState::Dropped { by, .. } => format!("dropped by {by}"),
    };
    format!("{}  {place}  {}", text("type"), text("id"))
}

/// A line with its name in the first column.
pub(crate) fn line(name: &str, text: &str) -> String {
    format!("{name:<INDENT$}{text}").trim_end().to_owned()
}

/// A value on one line, cut where a screen ends.
pub(crate) fn clip(value: &Value) -> String {
    // JSON escapes the control characters of ASCII, and not those that a terminal obeys as well.
    output::clip(&value.to_string(), WIDTH)
}
