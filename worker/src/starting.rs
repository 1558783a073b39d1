//! What the workflow is to start, and what it need not wait for any more, by a run's rows.

use std::time::Duration;

use spine_core::activity::Activity;
use spine_core::names;
use spine_core::planning::{Pause, Request};
use spine_core::run::{RunInput, RunTrigger, TaskStatus};
use spine_store::{Escalation, RunRow, TaskRow};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::call;
use crate::people;
use crate::protocol::{self, Child, Foreign, Limits, RunRef, Start};
use crate::writer::is_waiting;

/// Every instance that was decided, has not ended, and is not among those `started`. `hops` are those of the event
/// that decided it.
pub(crate) fn due(
    run: &RunRow,
    definition: &Activity,
    rows: &[TaskRow],
    started: &[(String, u32)],
    escalations: &[Escalation],
    hops: &dyn Fn(&TaskRow) -> u64,
) -> Vec<Start> {
    let waiting = rows.iter().filter(|row| row.status == TaskStatus::Created);
    waiting
        .filter(|row| !started.iter().any(|(task, index)| row.is(task, *index)))
        .filter_map(|row| start(run, definition, row, people::time_left(escalations, row), hops(row)))
        .collect()
}

/// Those `started` that nobody performs and that have ended.
pub(crate) fn over(rows: &[TaskRow], started: &[(String, u32)]) -> Vec<(String, u32)> {
    let ended =
        rows.iter().filter(|row| row.status != TaskStatus::Created && row.uses.as_deref().is_some_and(is_waiting));
    ended
        .filter(|row| started.iter().any(|(task, index)| row.is(task, *index)))
        .map(|row| (row.task.clone(), row.index))
        .collect()
}

/// `left` is how long those have whom the instance was escalated to.
fn start(run: &RunRow, definition: &Activity, row: &TaskRow, left: Option<Duration>, hops: u64) -> Option<Start> {
    let execution = definition.execution(&row.task)?;
    let request: Request = serde_json::from_value(row.request.clone()?).ok()?;
    let limits = Limits {
        max_attempts: execution.retry.max_attempts,
        initial_interval: execution.retry.initial_interval,
        backoff: execution.retry.backoff,
        max_interval: execution.retry.max_interval,
        non_retryable: execution.retry.non_retryable.clone(),
        timeout: execution.timeout,
        deadline: execution.deadline,
    };
    let (foreign, child, pause) = match request {
        Request::Worker { task_queue, activity, input } => (Some(Foreign { task_queue, activity, input }), None, None),
        Request::Activity { name, data } => {
            let event = call::event(run, &row.task, row.index, row.retry, hops, data);
            let id = names::run_id(&name, &event.key());
            let input = RunInput { activity: name, trigger: RunTrigger::Call { event: Box::new(event) } };
            (None, Some(Child { run: id, input }), None)
        }
        // An event ends it, or its deadline does.
        Request::Wait(Pause::Event { .. }) => {
            let left = limits.deadline.map(|deadline| time_left(row.begun_at, deadline));
            (None, None, Some(protocol::Pause { after: left, completes: false }))
        }
        Request::Wait(pause) => {
            (None, None, Some(protocol::Pause { after: length(&pause, row.begun_at), completes: true }))
        }
        Request::Human { .. } => {
            let left = left.or(limits.deadline.map(|deadline| time_left(row.begun_at, deadline)));
            (None, None, Some(protocol::Pause { after: left, completes: false }))
        }
        _ => (None, None, None),
    };
    let run = RunRef { activity: run.activity.clone(), revision: run.revision, hops, retry: run.retries };
    Some(Start { task: row.task.clone(), index: row.index, foreign, child, pause, run, limits })
}

/// What is left of a span of time that began then.
fn time_left(begun: OffsetDateTime, span: Duration) -> Duration {
    Duration::try_from(begun + span - OffsetDateTime::now_utc()).unwrap_or_default().min(span)
}

/// How long a wait that began then takes from now on; `None` for one that no time ends.
fn length(pause: &Pause, begun: OffsetDateTime) -> Option<Duration> {
    match pause {
        Pause::For(duration) => Some(time_left(begun, *duration)),
        Pause::Until(moment) => {
            let left = OffsetDateTime::parse(moment, &Rfc3339).ok().map(|moment| moment - OffsetDateTime::now_utc());
            Some(left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default())
        }
        Pause::Event { .. } => None,
    }
}
