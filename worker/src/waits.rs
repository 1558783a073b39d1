//! Tasks that wait for an event, as far as a run's step is concerned.

use spine_core::activity::Activity;
use spine_core::inbox::stored_key;
use spine_core::planning::{Instance, Pause, Request};
use spine_core::run::TaskStatus;
use spine_store::{NewWait, TaskRow};

use crate::engine::Engine;
use crate::people;
use crate::progress::Position;
use crate::writer::is_waiting;

/// What an instance waits for, if it waits for an event.
pub(crate) fn of(task: &str, index: u32, work: &Request) -> Option<NewWait> {
    let Request::Wait(Pause::Event { spec, equals, .. }) = work else { return None };
    Some(NewWait { task: task.to_owned(), index, spec: spec.clone(), key: equals.as_deref().map(stored_key) })
}

/// What those instances wait for that were decided before and that the workflow has not started: of a retry of the
/// run, or of a step whose answer got lost.
pub(crate) fn not_started(rows: &[TaskRow], started: &[(String, u32)]) -> Vec<NewWait> {
    let open = rows.iter().filter(|row| row.status == TaskStatus::Created && row.uses.as_deref() == Some("wait"));
    let left = open.filter(|row| !started.iter().any(|(task, index)| row.is(task, *index)));
    left.filter_map(|row| of(&row.task, row.index, &serde_json::from_value(row.request.clone()?).ok()?)).collect()
}

/// What somebody outside of Temporal has ended and the run was decided without.
pub(crate) fn ended_meanwhile<'a>(definition: &Activity, rows: &'a [TaskRow], position: &Position) -> Vec<&'a TaskRow> {
    let pending = |row: &TaskRow| position.is_at(definition, &row.task, row.index, &Instance::Pending);
    let ended = |row: &TaskRow| row.status != TaskStatus::Created && row.uses.as_deref().is_some_and(is_waiting);
    rows.iter().filter(|row| ended(row) && pending(row)).collect()
}

/// Counts those of them that the workflow never waited for: nobody will tell of them again.
pub(crate) fn count(engine: &Engine, ended: &[&TaskRow], started: &[(String, u32)]) {
    let not_started = |row: &&&TaskRow| !started.iter().any(|(task, index)| row.is(task, *index));
    for row in ended.iter().filter(not_started) {
        people::counted(row).into_iter().for_each(|labels| engine.metrics.worker.tasks.inc(labels));
    }
}
