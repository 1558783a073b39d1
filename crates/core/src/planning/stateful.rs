//! What an event changes in an instance of a stateful activity, and which tasks that decides.
//!
//! Tasks that run once an instance are asked again after every event, until their rule gives something. Tasks that
//! run for each event are decided for each one by itself, on the state as it is after that event; neither kind
//! may need the other.

use serde_json::{Map, Value, json};

use super::{MAX_INSTANCES, Progress, Step, TaskProgress, Undecided, decide_all, tasks_value};
use crate::activity::{Activity, Each, Instance, SetState, Task};
use crate::expression::{EvalError, Scope};
use crate::run::Failure;

/// The most bytes that an instance's state may have as JSON. It is kept as it was after each event.
pub const MAX_STATE_BYTES: usize = 64 * 1024;

/// The largest index that a task instance may have.
const MAX_INDEX: u32 = i32::MAX as u32 - MAX_INSTANCES as u32;

/// The state that an instance begins with.
pub fn initial_state(instance: &Instance) -> Value {
    Value::Object(instance.state.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The state after an event. `scope` has `event`, `config` and `run`. What an item of `set` changes, the ones after
/// it see.
pub fn fold(instance: &Instance, state: &Value, scope: &Scope) -> Result<Value, Failure> {
    let mut state = state.as_object().cloned().unwrap_or_default();
    for set in &instance.set {
        let changed = change(set, &state, scope);
        state = changed.map_err(|error| Failure::new("ExpressionFailed", format!("instance.set: {error}")))?;
    }
    let state = Value::Object(state);
    let bytes = state.to_string().len();
    if bytes > MAX_STATE_BYTES {
        let message = format!("the state has {bytes} bytes after this event; {MAX_STATE_BYTES} are allowed");
        return Err(Failure::new("StateTooLarge", message));
    }
    Ok(state)
}

fn change(set: &SetState, state: &Map<String, Value>, scope: &Scope) -> Result<Map<String, Value>, EvalError> {
    let scope = scope.clone().with("state", Value::Object(state.clone()));
    let mut after = state.clone();
    if set.when.as_ref().map_or(Ok(true), |when| when.truth(&scope))? {
        for (name, value) in &set.values {
            after.insert(name.clone(), value.render(&scope)?);
        }
    }
    Ok(after)
}

/// Decides the tasks that run for each event, for one: `scope` has it and the state after it, `progress` is how far
/// its tasks have come. Indices are local to the event; see [`first_index`].
pub fn for_event(activity: &Activity, scope: &Scope, progress: &Progress) -> Result<Step, Failure> {
    decide_all(tasks(activity, Each::Event), scope, &mut progress.clone(), Undecided::IsSkipped)
}

/// Decides the tasks that run once an instance. None is skipped: its rule may give something after another event.
pub fn once(activity: &Activity, scope: &Scope, progress: &Progress) -> Result<Step, Failure> {
    decide_all(tasks(activity, Each::Instance), scope, &mut progress.clone(), Undecided::Waits)
}

/// Whether the instance has done its work: its `completeWhen` says so, or, without one, all its tasks that run once
/// have ended. One that has neither goes on.
pub fn is_complete(
    activity: &Activity,
    instance: &Instance,
    scope: &Scope,
    progress: &Progress,
) -> Result<bool, Failure> {
    if let Some(when) = &instance.complete_when {
        let truth = when.truth(&scope.clone().with("tasks", whole(activity, progress)));
        return truth.map_err(|error| Failure::new("ExpressionFailed", format!("instance.completeWhen: {error}")));
    }
    let mut once = tasks(activity, Each::Instance).peekable();
    Ok(once.peek().is_some() && once.all(|task| progress.get(&task.id).is_some_and(TaskProgress::is_satisfied)))
}

/// What `completeWhen` sees as `tasks`: those as well that were not decided yet.
fn whole(activity: &Activity, progress: &Progress) -> Value {
    let mut whole = tasks_value(progress);
    for task in tasks(activity, Each::Instance).filter(|task| !progress.contains_key(&task.id)) {
        whole[&task.id] = json!({"status": "undecided", "output": null, "error": null});
    }
    whole
}

/// The index of a task's first instance for the event that is the instance's `ordinal`th, counted from 0.
/// Fails where there are no more numbers, after two million events.
pub fn first_index(task: &Task, ordinal: u32) -> Result<u32, Failure> {
    let first = match (task.each, &task.for_each) {
        (Each::Instance, _) => Some(0),
        (Each::Event, None) => Some(ordinal),
        (Each::Event, Some(_)) => ordinal.checked_mul(MAX_INSTANCES as u32),
    };
    first.filter(|first| *first <= MAX_INDEX).ok_or_else(|| {
        Failure::new("TooManyEvents", format!("task {}: there is no number left for event {ordinal}", task.id))
    })
}

/// The event, by its ordinal, for which an instance with this index was decided; `None` of a task that runs once.
pub fn ordinal(task: &Task, index: u32) -> Option<u32> {
    match (task.each, &task.for_each) {
        (Each::Instance, _) => None,
        (Each::Event, None) => Some(index),
        (Each::Event, Some(_)) => Some(index / MAX_INSTANCES as u32),
    }
}

/// Whether all that runs for an event has ended well or was skipped.
pub fn is_settled(activity: &Activity, progress: &Progress) -> bool {
    tasks(activity, Each::Event).all(|task| progress.get(&task.id).is_some_and(TaskProgress::is_satisfied))
}

/// An instance's place among those that were decided with it, by its index.
pub fn local_index(task: &Task, index: u32) -> u32 {
    match (task.each, &task.for_each) {
        (Each::Instance, _) => index,
        (Each::Event, None) => 0,
        (Each::Event, Some(_)) => index % MAX_INSTANCES as u32,
    }
}

fn tasks(activity: &Activity, each: Each) -> impl Iterator<Item = &Task> + Clone {
    activity.tasks.iter().filter(move |task| task.each == each)
}

#[cfg(test)]
mod tests;
