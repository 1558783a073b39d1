//! Tasks that people do, as far as a run's step is concerned: how they time out, and whom that asks next.

use std::time::Duration;

use serde_json::Value;
use spine_core::activity::{Activity, OnTimeout, Task};
use spine_core::expression::Scope;
use spine_core::planning::{self, Progress, TimedOut};
use spine_core::run::{Failure, TaskStatus};
use spine_core::words;
use spine_runtime::metrics::labels::{TaskKind, TaskOutcome};
use spine_store::{Escalated, Escalation, StoreError, TaskRow};

use crate::engine::Engine;
use crate::starting;

/// What a deadline that is over means for an instance.
pub(crate) enum Over {
    /// It ends.
    Ended(Result<Value, Failure>),
    /// Others are asked.
    Escalated(Escalated),
    /// Others were asked already, in a step whose answer got lost: their time is not over.
    Waits,
}

/// Which instances of a run were escalated, if its activity escalates at all.
pub(crate) async fn escalations(
    engine: &Engine,
    run: &str,
    definition: &Activity,
) -> Result<Vec<Escalation>, StoreError> {
    match definition.tasks.iter().any(|task| escalates(task).is_some()) {
        true => engine.store.escalations_of(run).await,
        false => Ok(Vec::new()),
    }
}

/// What becomes of an instance whose deadline is over, by what its row and `escalations` say.
pub(crate) fn time_out(
    task: &Task,
    row: &TaskRow,
    failure: Failure,
    scope: &Scope,
    progress: &Progress,
    escalations: &[Escalation],
) -> Over {
    // A person was faster, and the row says how it ended.
    if row.status != TaskStatus::Created {
        return Over::Ended(Err(failure));
    }
    match (time_left(escalations, row), escalates(task)) {
        (Some(Duration::ZERO), Some(deadline)) => Over::Ended(Err(Failure::deadline(format!(
            "its deadline is over, and so are the {} of those whom it was escalated to",
            words::span(deadline)
        )))),
        (Some(_), Some(_)) => Over::Waits,
        _ => match planning::time_out(task, row.index, failure, scope, progress) {
            TimedOut::Ended(result) => Over::Ended(result),
            TimedOut::Escalated { assignees, deadline } => {
                Over::Escalated(Escalated { task: row.task.clone(), index: row.index, assignees, deadline })
            }
        },
    }
}

/// How long those whom an instance was escalated to have left; `None` if it was not.
pub(crate) fn time_left(escalations: &[Escalation], row: &TaskRow) -> Option<Duration> {
    escalations.iter().find(|one| row.is(&one.task, one.index)).map(|one| one.left)
}

/// What people and events have ended of what the workflow still waits for, to be counted.
pub(crate) fn answered(rows: &[TaskRow], started: &[(String, u32)]) -> Vec<(TaskKind, TaskOutcome)> {
    let ended = starting::over(rows, started);
    let over = rows.iter().filter(|row| ended.iter().any(|(task, index)| row.is(task, *index)));
    over.filter_map(counted).collect()
}

/// What is counted of a task that somebody else has ended.
pub(crate) fn counted(row: &TaskRow) -> Option<(TaskKind, TaskOutcome)> {
    let outcome = match row.status {
        TaskStatus::Completed => TaskOutcome::Completed,
        TaskStatus::Failed => TaskOutcome::Failed,
        _ => return None,
    };
    Some((TaskKind::named(row.uses.as_deref()?)?, outcome))
}

fn escalates(task: &Task) -> Option<Duration> {
    match &task.on_timeout {
        OnTimeout::Escalate { deadline, .. } => Some(*deadline),
        _ => None,
    }
}
