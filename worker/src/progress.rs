//! How far a run's tasks have come, from their rows and from what has just ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use spine_core::activity::Activity;
use spine_core::names;
use spine_core::planning::{Completed, Instance, Progress, TaskProgress, Undone};
use spine_core::run::{Failure, TaskResult, TaskStatus};
use spine_store::TaskRow;

/// Where a run stands.
#[derive(Debug, Default)]
pub(crate) struct Position {
    /// How far its tasks have come.
    pub(crate) progress: Progress,
    /// What has ended well, in the order in which it did.
    pub(crate) completed: Vec<Completed>,
    /// How far what takes them back has come.
    pub(crate) undone: Undone,
    /// What stays of tasks of which a retry of the run left other instances to be decided again.
    pub(crate) kept: BTreeMap<(String, u32), Value>,
}

/// The position that `rows` and `results` together stand for. A task of which anything is to be decided again is
/// undecided. A result of one of our own tasks that ended well
/// carries no output: its row does.
pub(crate) fn of(activity: &Activity, rows: &[TaskRow], results: &[TaskResult]) -> Position {
    let mut position = Position::default();
    let mut by_end: Vec<&TaskRow> = Vec::new();
    let undecided: BTreeSet<&str> = rows.iter().filter(|row| row.is_undecided()).map(|row| row.task.as_str()).collect();
    for row in rows {
        if let Some(task) = names::undone_by(&row.task) {
            let of = Completed { task: task.to_owned(), index: row.index };
            position.undone.insert(of, instance(row, results));
            continue;
        }
        let progress = &mut position.progress;
        match row.status {
            TaskStatus::Skipped => {
                let reason = row.reason.clone().unwrap_or_default();
                progress.insert(row.task.clone(), TaskProgress::Skipped(reason));
            }
            _ => {
                let instance = instance(row, results);
                if matches!(instance, Instance::Completed(_)) {
                    by_end.push(row);
                }
                match instance {
                    Instance::Completed(output) if undecided.contains(row.task.as_str()) => {
                        position.kept.insert((row.task.clone(), row.index), output);
                    }
                    _ if undecided.contains(row.task.as_str()) => {}
                    instance => instances(progress, activity, &row.task).push(instance),
                }
            }
        }
    }
    // What ends with this step has no time yet, and is the newest.
    by_end.sort_by_key(|row| (row.closed_at.is_none(), row.closed_at));
    position.completed = by_end.into_iter().map(|row| Completed { task: row.task.clone(), index: row.index }).collect();
    position
}

fn instances<'a>(progress: &'a mut Progress, activity: &Activity, task: &str) -> &'a mut Vec<Instance> {
    let each = activity.tasks.iter().any(|known| known.id == task && known.for_each.is_some());
    let entry =
        progress.entry(task.to_owned()).or_insert_with(|| TaskProgress::Decided { each, instances: Vec::new() });
    if let TaskProgress::Skipped(_) = entry {
        *entry = TaskProgress::Decided { each, instances: Vec::new() };
    }
    match entry {
        TaskProgress::Decided { instances, .. } => instances,
        TaskProgress::Skipped(_) => unreachable!("replaced above"),
    }
}

fn instance(row: &TaskRow, results: &[TaskResult]) -> Instance {
    let result = results.iter().find(|result| row.is(&result.task, result.index));
    match (row.status, result.map(|result| &result.result)) {
        (TaskStatus::Completed, _) => Instance::Completed(row.output.clone().unwrap_or_default()),
        (TaskStatus::Failed | TaskStatus::Cancelled, _) => {
            Instance::Failed(row.error.clone().unwrap_or_else(|| Failure::new("Unknown", "no reason was kept")))
        }
        (_, Some(Ok(output))) => Instance::Completed(output.clone()),
        (_, Some(Err(failure))) => Instance::Failed(failure.clone()),
        (_, None) => Instance::Pending,
    }
}
