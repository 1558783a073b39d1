//! An explanation as people read it.

use spine_core::decision::{MAX_NEAR_MISSES, Verdict};
use spine_core::event::Event;
use spine_core::names;
use spine_core::planning::Outcome;
use spine_core::rehearsal::{Ending, Rehearsal, RehearsedLookup, RehearsedTask};

use super::earlier::Earlier;
use super::near::NearType;
use super::{PredictedRun, Prediction, rendered};
use crate::trace::EventTrace;
use crate::trace::people::{clip, decision, heading, line};

/// The most types that are said to have been meant, perhaps. One of a few is recognised; a list is not read.
const MAX_NEAR_TYPES: usize = 5;

/// What would become of an event; with `all`, without leaving out what is far from it.
pub(crate) fn prediction(prediction: &Prediction, all: bool) -> String {
    let mut lines = Vec::new();
    if let Some(event) = &prediction.event {
        lines.push(line("event", &format!("{}  {}", event.event_type, event.id)));
        lines.push(line("", &format!("from {}", event.source)));
        lines.extend(prediction.earlier.iter().flat_map(|earlier| before(prediction, event, earlier)));
    }
    lines.push(line("admission", &admission(prediction)));
    if prediction.rejected.is_none() {
        lines.push(line("decision", &outcome(prediction)));
    }
    let (matched, missed): (Vec<&Verdict>, Vec<_>) = prediction.verdicts.iter().partition(|verdict| verdict.matched);
    lines.extend(matched.into_iter().map(verdict));
    lines.extend(some(&missed, MAX_NEAR_MISSES, all, "that do not match", |miss| verdict(miss)));
    lines.extend(near_types(&prediction.near, all));
    for run in &prediction.runs {
        lines.push(String::new());
        lines.extend(predicted_run(run));
    }
    lines.join("\n")
}

/// What earlier messages with this source and id became, and what that means for another one.
fn before(prediction: &Prediction, event: &Event, earlier: &Earlier) -> Vec<String> {
    let found = match earlier {
        Earlier::Decisions(found) => found,
        Earlier::NotLookedFor(because) => {
            return vec![line("before", &format!("duplicates were not looked for: {because}"))];
        }
    };
    let Some(first) = found.first() else { return Vec::new() };
    let more = if found.len() > 1 { format!(", and {} more since", found.len() - 1) } else { String::new() };
    vec![
        line(
            "before",
            &format!(
                "this source and id were decided at {}: {}  ({}:{}{more})",
                first.decided_at,
                first.outcome.name(),
                names::EVENTS_STREAM,
                first.stream_sequence
            ),
        ),
        line("", &format!("{}; see spine explain {} --source {}", again(prediction), event.id, event.source)),
    ]
}

/// What comes of publishing it again.
fn again(prediction: &Prediction) -> String {
    let new: Vec<&str> =
        prediction.runs.iter().filter(|run| run.started_before.is_none()).map(|run| run.activity.as_str()).collect();
    match (prediction.decision, new.as_slice()) {
        ("duplicate", _) => "duplicate: publishing it again starts nothing".into(),
        (_, []) => "publishing it again would start nothing".into(),
        (_, new) => format!(
            "publishing it again, once NATS takes it for no duplicate, would start what was not started then: {}",
            new.join(", ")
        ),
    }
}

fn admission(prediction: &Prediction) -> String {
    match (&prediction.rejected, prediction.schema_checked) {
        (Some(refusal), _) => format!("would be rejected: {}: {}", refusal.reason, refusal.detail),
        (None, true) => "would come in; its data meets the schema of its type".into(),
        (None, false) => "would come in; its type has no schema".into(),
    }
}

fn outcome(prediction: &Prediction) -> String {
    let (matched, asked) = (prediction.runs.len(), prediction.verdicts.len());
    match asked {
        0 => "unmatched: no activity listens to this type".into(),
        _ => format!("{}: {matched} of the {asked} that listen to this type match", prediction.decision),
    }
}

fn verdict(verdict: &Verdict) -> String {
    let (mark, word) = if verdict.matched { ("+", "matches") } else { ("-", "does not match") };
    line("", &format!("{mark} {} revision {} {word}: {}", verdict.activity, verdict.revision, verdict.because))
}

/// Types that were probably meant.
fn near_types(near: &[NearType], all: bool) -> Vec<String> {
    some(near, MAX_NEAR_TYPES, all, "types that are near", |NearType { listens_to, activities }| {
        let who = match activities.as_slice() {
            [one] => format!("{one} listens"),
            more => format!("{} activities listen", more.len()),
        };
        line("", &format!("~ {who} to {listens_to}; is that the type that was meant?"))
    })
}

/// The first of these, and how many more there are.
fn some<T>(these: &[T], at_most: usize, all: bool, what: &str, show: impl FnMut(&T) -> String) -> Vec<String> {
    let shown = if all { these.len() } else { these.len().min(at_most) };
    let more = these.len() - shown;
    let last = (more > 0).then(|| line("", &format!("and {more} more {what}; --all shows them")));
    these.iter().take(shown).map(show).chain(last).collect()
}

fn predicted_run(run: &PredictedRun) -> Vec<String> {
    let would = match &run.started_before {
        Some(id) => format!("was started before, as {id}; by what is current, it would do:"),
        None => "would do:".into(),
    };
    let mut lines = vec![line("run", &format!("of {} revision {} {would}", run.activity, run.revision))];
    let Rehearsal { context, tasks, waits_for, ending } = &run.rehearsal;
    for (at, (name, one)) in context.iter().enumerate() {
        lines.push(line(if at == 0 { "context" } else { "" }, &format!("{name}  {}", clip(&one.lookup))));
        lines.push(line("", &format!("  {}", value(one))));
    }
    let assumed = run.rehearsal.assumed();
    if !assumed.is_empty() && (!tasks.is_empty() || ending.is_some()) {
        lines.push(line("", &format!("what follows holds if {}", are_defaults(&assumed))));
    }
    lines.extend(tasks.iter().enumerate().map(|(at, one)| line(if at == 0 { "tasks" } else { "" }, &task(one))));
    if !waits_for.is_empty() {
        lines.push(line(
            "",
            &format!("what needs {} is decided once that has ended: --given FILE", waits_for.join(", ")),
        ));
    }
    lines.extend(ending.as_ref().map(|ending| line("outcome", &ended(ending, &assumed))));
    lines
}

/// What a lookup gives, as far as that is known.
fn value(one: &RehearsedLookup) -> String {
    match &one.value {
        None => "= not given, so nothing is decided: --given FILE".into(),
        Some(value) if one.assumed => {
            format!("not looked up; its default {} stands in here: --given FILE", clip(value))
        }
        Some(value) => format!("= {}", clip(value)),
    }
}

fn are_defaults(assumed: &[&str]) -> String {
    match assumed.split_last() {
        Some((last, [])) => format!("{last} is its default"),
        Some((last, rest)) => format!("{} and {last} are their defaults", rest.join(", ")),
        None => String::new(),
    }
}

fn task(task: &RehearsedTask) -> String {
    let name = task.index.map_or_else(|| task.task.clone(), |index| format!("{}/{index}", task.task));
    match (&task.skipped, task.uses, &task.with) {
        (Some(reason), ..) => format!("{name}  skipped: {reason}"),
        (_, Some(uses), Some(with)) => format!("{name}  {uses}  {}", clip(with)),
        _ => name,
    }
}

fn ended(ending: &Ending, assumed: &[&str]) -> String {
    let (outcome, condition) = match ending {
        Ending::Certain(outcome) => (outcome, None),
        Ending::Assumed { outcome_if_assumed } => (outcome_if_assumed, Some(are_defaults(assumed))),
    };
    match (outcome, condition) {
        (Outcome::Completed, None) => "completed".into(),
        (Outcome::Completed, Some(condition)) => format!("would complete, if {condition}"),
        (Outcome::Failed(failure), None) => format!("failed: {}: {}", failure.kind, failure.message),
        (Outcome::Failed(failure), Some(condition)) => {
            format!("would fail, if {condition}: {}: {}", failure.kind, failure.message)
        }
        // Nobody cancels what is only rehearsed.
        (Outcome::Cancelled(failure), _) => format!("cancelled: {}", failure.message),
    }
}

/// What became of an event: the decision, and what each run decided with its inputs.
pub(crate) fn recorded(trace: &EventTrace, near: &[NearType], all: bool) -> String {
    let mut lines = heading(trace);
    lines.extend(trace.decisions.iter().flat_map(decision));
    lines.extend(near_types(near, all));
    for run in &trace.runs {
        lines.push(String::new());
        lines.push(line("run", &format!("{}  {}", run.run.id, run.run.status.as_str())));
        if let Some(context) = &run.run.context {
            lines.push(line("context", &clip(context)));
        }
        for (at, task) in run.tasks.iter().enumerate() {
            let name = if at == 0 { "tasks" } else { "" };
            let inputs = rendered(task).as_ref().map(clip).unwrap_or_default();
            let text = match &task.reason {
                Some(reason) => format!("{}  skipped: {reason}", task.task),
                None => format!("{}/{}  {}  {inputs}", task.task, task.index, task.uses.as_deref().unwrap_or_default()),
            };
            lines.push(line(name, &text));
        }
        lines.extend(run.run.error.as_ref().map(|error| line("error", &format!("{}: {}", error.kind, error.message))));
    }
    lines.join("\n")
}
