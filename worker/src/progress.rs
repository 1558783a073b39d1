//! How far a run's tasks have come, from their rows and from what has just ended.

use std::collections::BTreeMap;

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

/// Marks one pending instance as ended well.
pub(crate) fn complete(progress: &mut Progress, task: &str, index: u32, output: serde_json::Value) {
    if let Some(TaskProgress::Decided { instances, .. }) = progress.get_mut(task)
        && let Some(instance) = instances.get_mut(index as usize)
    {
        *instance = Instance::Completed(output);
    }
}

/// Adds what a step decided, as pending, and what it skipped.
pub(crate) fn add(progress: &mut Progress, step: &spine_core::planning::Step) {
    for (task, reason) in &step.skipped {
        progress.insert(task.clone(), TaskProgress::Skipped(reason.clone()));
    }
    let mut counts: BTreeMap<&str, (bool, usize)> = BTreeMap::new();
    for decided in &step.decided {
        counts.entry(&decided.task).or_insert((decided.each, 0)).1 += 1;
    }
    for (task, (each, count)) in counts {
        progress.insert(task.to_owned(), TaskProgress::Decided { each, instances: vec![Instance::Pending; count] });
    }
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
