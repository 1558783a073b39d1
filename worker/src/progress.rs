//! How far a run's tasks have come, from their rows and from what has just ended.

use spine_core::activity::Activity;
use spine_core::planning::{Instance, Progress, TaskProgress};
use spine_core::run::{Failure, TaskResult, TaskStatus};
use spine_store::TaskRow;

/// The progress that `rows` and `results` together stand for. A result of one of our own tasks that
/// ended well carries no output: its row does.
pub(crate) fn of(activity: &Activity, rows: &[TaskRow], results: &[TaskResult]) -> Progress {
    let mut progress = Progress::new();
    for row in rows {
        match row.status {
            TaskStatus::Skipped => {
                let reason = row.reason.clone().unwrap_or_default();
                progress.insert(row.task.clone(), TaskProgress::Skipped(reason));
            }
            _ => instances(&mut progress, activity, &row.task).push(instance(row, results)),
        }
    }
    progress
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
    let result = results.iter().find(|result| result.task == row.task && result.index == row.index);
    match (row.status, result.map(|result| &result.result)) {
        (TaskStatus::Completed, _) => Instance::Completed(row.output.clone().unwrap_or_default()),
        (TaskStatus::Failed, _) => {
            Instance::Failed(row.error.clone().unwrap_or_else(|| Failure::new("Unknown", "no reason was kept")))
        }
        (_, Some(Ok(output))) => Instance::Completed(output.clone()),
        (_, Some(Err(failure))) => Instance::Failed(failure.clone()),
        (_, None) => Instance::Pending,
    }
}
