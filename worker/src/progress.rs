//! How far a run's tasks have come, from their rows and from what has just ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use spine_core::activity::Activity;
use spine_core::names;
use spine_core::planning::{self, Completed, Instance, Progress, TaskProgress, Undone};
use spine_core::run::{Failure, TaskResult, TaskStatus};
use spine_store::TaskRow;

/// Where a run stands.
#[derive(Debug, Default)]
pub(crate) struct Position {
    /// How far its tasks have come.
    pub(crate) progress: Progress,
    /// Of an instance: how far the tasks have come that run for each event, by the ordinal of the event.
    pub(crate) events: BTreeMap<u32, Progress>,
    /// What has ended well, in the order in which it did.
    pub(crate) completed: Vec<Completed>,
    /// How far what takes them back has come.
    pub(crate) undone: Undone,
    /// What stays of tasks of which a retry of the run left other instances to be decided again.
    pub(crate) kept: BTreeMap<(String, u32), Value>,
}

impl Position {
    /// How far those tasks have come that belong together with this instance.
    pub(crate) fn around(&self, activity: &Activity, task: &str, index: u32) -> &Progress {
        let event = event_of(activity, task, index);
        event.and_then(|ordinal| self.events.get(&ordinal)).unwrap_or(&self.progress)
    }

    /// Whether this instance was decided and stands there.
    pub(crate) fn is_at(&self, activity: &Activity, task: &str, index: u32, instance: &Instance) -> bool {
        match self.around(activity, task, index).get(task) {
            Some(TaskProgress::Decided { instances, .. }) => {
                instances.get(local_index(activity, task, index) as usize) == Some(instance)
            }
            _ => false,
        }
    }

    /// Notes how one pending instance has ended.
    pub(crate) fn settle(&mut self, activity: &Activity, task: &str, index: u32, ended: Instance) {
        match event_of(activity, task, index).and_then(|ordinal| self.events.get_mut(&ordinal)) {
            Some(progress) => planning::settle(progress, task, local_index(activity, task, index), ended),
            None => planning::settle(&mut self.progress, task, index, ended),
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_pending() && !self.undone.values().any(|undo| *undo == Instance::Pending)
    }

    /// Whether any task instance has not ended.
    pub(crate) fn is_pending(&self) -> bool {
        planning::is_pending(&self.progress) || self.events.values().any(planning::is_pending)
    }

    /// Why the run fails, if any of its tasks has failed.
    pub(crate) fn failure(&self, activity: &Activity) -> Option<Failure> {
        let of_events = || self.events.values().find_map(|progress| planning::failure(activity, progress));
        planning::failure(activity, &self.progress).or_else(of_events)
    }
}

/// The event of an instance for which this task instance runs, if its task runs for each.
fn event_of(activity: &Activity, task: &str, index: u32) -> Option<u32> {
    let task = activity.tasks.iter().find(|known| known.id == task)?;
    planning::ordinal(task, index)
}

fn local_index(activity: &Activity, task: &str, index: u32) -> u32 {
    let task = activity.tasks.iter().find(|known| known.id == task);
    task.map_or(index, |task| planning::local_index(task, index))
}

/// The position that `rows` and `results` together stand for. A task of which anything is to be decided again is
/// undecided. A result of one of our own tasks that ended well carries no output: its row does.
pub(crate) fn of(activity: &Activity, rows: &[TaskRow], results: &[TaskResult]) -> Position {
    let mut position = Position::default();
    let mut by_end: Vec<&TaskRow> = Vec::new();
    let event = |row: &TaskRow| event_of(activity, &row.task, row.index);
    let undecided: BTreeSet<(&str, Option<u32>)> =
        rows.iter().filter(|row| row.is_undecided()).map(|row| (row.task.as_str(), event(row))).collect();
    for row in rows {
        if let Some(task) = names::undone_by(&row.task) {
            let of = Completed { task: task.to_owned(), index: row.index };
            position.undone.insert(of, instance(row, results));
            continue;
        }
        let progress = match event(row) {
            Some(ordinal) => position.events.entry(ordinal).or_default(),
            None => &mut position.progress,
        };
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
                    Instance::Completed(output) if undecided.contains(&(row.task.as_str(), event(row))) => {
                        position.kept.insert((row.task.clone(), row.index), output);
                    }
                    _ if undecided.contains(&(row.task.as_str(), event(row))) => {}
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
