//! Decides which task instances a run executes next. No I/O: the worker performs what is decided here.

mod request;
mod stateful;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use request::{Pause, Request};
pub use stateful::{
    MAX_STATE_BYTES, first_index, fold, for_event, initial_state, is_complete, is_settled, local_index, once, ordinal,
};
pub use undo::{Completed, NextUndo, Sight, Undone, not_undone, undo};

use self::request::render;
use crate::activity::{Activity, Execution, OnTimeout, Retry, Task};
use crate::expression::{EvalError, Scope};
use crate::run::{Failure, FailureClass, TaskStatus};

/// The most instances that one `forEach` may decide.
pub const MAX_INSTANCES: usize = 1000;

/// The most bytes that the inputs of foreign workers, decided at once, may have as JSON. They stand in the
/// workflow's history, where Temporal refuses a payload of 2 MiB.
pub const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// The most bytes that a foreign worker's output may have as JSON: what an expression's result may have. It stands in
/// the workflow's history, as Temporal keeps it.
pub const MAX_OUTPUT_BYTES: usize = crate::expression::MAX_RESULT_BYTES;

/// How far the tasks of a run have come, by task id. A task that is not in here is undecided.
pub type Progress = BTreeMap<String, TaskProgress>;

/// How far one task has come.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskProgress {
    /// It was not decided, for this reason.
    Skipped(String),
    /// Its instances, in order of their index. `each` says that they come from a `forEach`.
    Decided {
        /// Whether the task's output is a list.
        each: bool,
        /// The instances.
        instances: Vec<Instance>,
    },
}

/// How far one task instance has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Instance {
    /// It has not ended.
    Pending,
    /// It ended well, with this output.
    Completed(Value),
    /// It failed for good.
    Failed(Failure),
}

/// What a run does next.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Step {
    /// Instances to execute, each decided exactly once in a run.
    pub decided: Vec<Decided>,
    /// Tasks that will not be executed, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Set when the run has ended.
    pub outcome: Option<Outcome>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// All tasks ended well or were skipped.
    Completed,
    /// This is why not.
    Failed(Failure),
    /// Somebody cancelled it, for this reason.
    Cancelled(Failure),
}

/// One decided task instance, everything in it rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// The task's id.
    pub task: String,
    /// Which instance of it; 0 without `forEach`.
    pub index: u32,
    /// Whether the task has a `forEach`.
    pub each: bool,
    /// The rendered work.
    pub work: Request,
    /// How failed attempts are repeated.
    pub retry: Retry,
    /// The longest one attempt may take.
    pub timeout: Duration,
    /// The longest all attempts together may take.
    pub deadline: Option<Duration>,
}

/// Decides what a run does next from its definition, its scope (`event`, `context`, `config`, `run`) and
/// how far its tasks have come. Fails where an expression does; the run then fails with it.
pub fn advance(activity: &Activity, scope: &Scope, progress: &Progress) -> Result<Step, Failure> {
    let mut progress = progress.clone();
    let mut step = decide_all(activity.tasks.iter(), scope, &mut progress, Undecided::IsSkipped)?;
    if step.decided.is_empty() && !is_pending(&progress) {
        step.outcome = Some(conclude(activity, &progress, &mut step.skipped));
    }
    Ok(step)
}

/// The work of an instance that was decided before, rendered again from the same scope, which now has the
/// values of its secrets. Every other time these stand as words.
pub fn reveal(execution: &Execution<'_>, index: u32, scope: &Scope, progress: &Progress) -> Result<Request, Failure> {
    let id = &execution.task.id;
    let rendered = instance_scope(execution.task, index, scope, progress).and_then(|scope| {
        let output = output_of(progress, execution.task, index).filter(|_| execution.undoes);
        render(execution.work, &output.into_iter().fold(scope, |scope, output| scope.with("output", output)))
    });
    rendered.map_err(|error| expression_failure(id, &error))
}

/// What becomes of a task instance whose deadline is over.
#[derive(Clone, Debug, PartialEq)]
pub enum TimedOut {
    /// It ends.
    Ended(Result<Value, Failure>),
    /// Others are asked.
    Escalated {
        /// Who.
        assignees: Vec<String>,
        /// How long they have.
        deadline: Duration,
    },
}

/// What becomes of a task instance whose deadline is over, as its `onTimeout` says. `failure` is what it failed with.
pub fn time_out(task: &Task, index: u32, failure: Failure, scope: &Scope, progress: &Progress) -> TimedOut {
    let rendered = instance_scope(task, index, scope, progress).and_then(|scope| match &task.on_timeout {
        OnTimeout::Fail => Ok(TimedOut::Ended(Err(failure))),
        OnTimeout::Output(output) => Ok(TimedOut::Ended(Ok(output.render(&scope)?))),
        OnTimeout::Escalate { assignees, deadline } => {
            let assignees = assignees.iter().map(|one| one.render_text(&scope)).collect::<Result<_, _>>()?;
            Ok(TimedOut::Escalated { assignees, deadline: *deadline })
        }
    });
    rendered.unwrap_or_else(|error| TimedOut::Ended(Err(expression_failure(&task.id, &error))))
}

/// What an instance's expressions see: `tasks`, and of a `forEach` `item` and `index`.
fn instance_scope(task: &Task, index: u32, scope: &Scope, progress: &Progress) -> Result<Scope, EvalError> {
    let scope = scope.clone().with("tasks", tasks_value(progress));
    let Some(for_each) = &task.for_each else { return Ok(scope) };
    let index = local_index(task, index);
    let item = items(for_each, &scope)?.into_iter().nth(index as usize).unwrap_or_default();
    Ok(scope.with("item", item).with("index", Value::from(index)))
}

fn output_of(progress: &Progress, task: &Task, index: u32) -> Option<Value> {
    let TaskProgress::Decided { instances, .. } = progress.get(&task.id)? else { return None };
    match instances.get(local_index(task, index) as usize)? {
        Instance::Completed(output) => Some(output.clone()),
        _ => None,
    }
}

/// Whether any task instance has not ended.
pub fn is_pending(progress: &Progress) -> bool {
    progress.values().any(TaskProgress::is_pending)
}

/// Whether any task instance has failed, so that the run will.
pub fn has_failed(progress: &Progress) -> bool {
    progress.values().any(|task| task.failure().is_some())
}

/// The tasks that undecided tasks wait for: until one of these has ended, there is nothing to decide.
pub fn awaited(activity: &Activity, progress: &Progress) -> Vec<String> {
    let undecided = activity.tasks.iter().filter(|task| !progress.contains_key(&task.id));
    let mut awaited: Vec<String> = undecided.flat_map(|task| task.needs.clone()).collect();
    awaited.sort_unstable();
    awaited.dedup();
    awaited
}

/// Adds what a step decided, as pending, and what it skipped.
pub fn record(progress: &mut Progress, step: &Step) {
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

/// Notes how one pending instance has ended. One that was never decided is passed over.
pub fn settle(progress: &mut Progress, task: &str, index: u32, ended: Instance) {
    if let Some(TaskProgress::Decided { instances, .. }) = progress.get_mut(task)
        && let Some(instance) = instances.get_mut(index as usize)
    {
        *instance = ended;
    }
}

impl TaskProgress {
    fn is_pending(&self) -> bool {
        matches!(self, Self::Decided { instances, .. } if instances.contains(&Instance::Pending))
    }

    /// The first failure; one that was given up because of another comes last.
    fn failure(&self) -> Option<&Failure> {
        let Self::Decided { instances, .. } = self else { return None };
        let failures = || {
            instances.iter().filter_map(|instance| match instance {
                Instance::Failed(failure) => Some(failure),
                _ => None,
            })
        };
        failures().find(|failure| failure.class != FailureClass::Cancelled).or_else(|| failures().next())
    }

    /// Whether it ended without failing, so that what needs it may be decided.
    fn is_satisfied(&self) -> bool {
        !self.is_pending() && self.failure().is_none()
    }

    fn status(&self) -> TaskStatus {
        match self {
            Self::Skipped(_) => TaskStatus::Skipped,
            other if other.failure().is_some_and(|failure| failure.class == FailureClass::Cancelled) => {
                TaskStatus::Cancelled
            }
            other if other.failure().is_some() => TaskStatus::Failed,
            other if other.is_pending() => TaskStatus::Created,
            _ => TaskStatus::Completed,
        }
    }

    /// What expressions see as its output.
    pub fn output(&self) -> Value {
        let Self::Decided { each, instances } = self else { return Value::Null };
        let output = |instance: &Instance| match instance {
            Instance::Completed(output) => output.clone(),
            _ => Value::Null,
        };
        match instances.as_slice() {
            [one] if !each => output(one),
            all => all.iter().map(output).collect(),
        }
    }
}

/// What becomes of a task whose rule gives no instance now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undecided {
    /// It is skipped.
    IsSkipped,
    /// It is asked again later.
    Waits,
}

/// Decides all that can be decided of these tasks now.
fn decide_all<'a>(
    tasks: impl Iterator<Item = &'a Task> + Clone,
    scope: &Scope,
    progress: &mut Progress,
    undecided: Undecided,
) -> Result<Step, Failure> {
    let mut step = Step::default();
    while decide_ready(tasks.clone(), scope, progress, undecided, &mut step)? {}
    check_inputs(&step)?;
    Ok(step)
}

/// Decides every task whose needs are satisfied; says whether there was one.
fn decide_ready<'a>(
    tasks: impl Iterator<Item = &'a Task>,
    scope: &Scope,
    progress: &mut Progress,
    undecided: Undecided,
    step: &mut Step,
) -> Result<bool, Failure> {
    let mut any = false;
    for task in tasks {
        let ready = !progress.contains_key(&task.id)
            && task.needs.iter().all(|need| progress.get(need).is_some_and(TaskProgress::is_satisfied));
        if ready {
            let decision = decide(task, scope, progress, step).map_err(|error| expression_failure(&task.id, &error))?;
            if let TaskProgress::Skipped(reason) = &decision {
                if undecided == Undecided::Waits {
                    continue;
                }
                step.skipped.push((task.id.clone(), reason.clone()));
            }
            any = true;
            progress.insert(task.id.clone(), decision);
        }
    }
    Ok(any)
}

fn check_inputs(step: &Step) -> Result<(), Failure> {
    let input = |decided: &Decided| match &decided.work {
        Request::Worker { input, .. } => input.to_string().len(),
        _ => 0,
    };
    let bytes: usize = step.decided.iter().map(input).sum();
    if bytes > MAX_INPUT_BYTES {
        let message =
            format!("the inputs of foreign workers have {bytes} bytes; {MAX_INPUT_BYTES} are allowed at once");
        return Err(Failure::new("InputTooLarge", message));
    }
    Ok(())
}

fn decide(task: &Task, scope: &Scope, progress: &Progress, step: &mut Step) -> Result<TaskProgress, EvalError> {
    let scope = scope.clone().with("tasks", tasks_value(progress));
    if let Some(when) = &task.when
        && !when.truth(&scope)?
    {
        return Ok(TaskProgress::Skipped(format!("`{}` is false", when.source())));
    }
    let Some(for_each) = &task.for_each else {
        step.decided.push(instance(task, 0, false, &scope)?);
        return Ok(TaskProgress::Decided { each: false, instances: vec![Instance::Pending] });
    };
    let items = items(for_each, &scope)?;
    if items.is_empty() {
        return Ok(TaskProgress::Skipped(format!("`{}` is an empty list", for_each.source())));
    }
    let count = items.len();
    for (index, item) in (0u32..).zip(items) {
        let scope = scope.clone().with("item", item).with("index", Value::from(index));
        step.decided.push(instance(task, index, true, &scope)?);
    }
    Ok(TaskProgress::Decided { each: true, instances: vec![Instance::Pending; count] })
}

fn items(for_each: &crate::expression::Expression, scope: &Scope) -> Result<Vec<Value>, EvalError> {
    let refused = |message: String| EvalError { expression: for_each.source().to_owned(), message };
    match for_each.evaluate(scope)? {
        Value::Array(items) if items.len() > MAX_INSTANCES => {
            Err(refused(format!("gave {} items; `forEach` takes at most {MAX_INSTANCES}", items.len())))
        }
        Value::Array(items) => Ok(items),
        _ => Err(refused("gave no list, which `forEach` needs".into())),
    }
}

fn instance(task: &Task, index: u32, each: bool, scope: &Scope) -> Result<Decided, EvalError> {
    Ok(Decided {
        task: task.id.clone(),
        index,
        each,
        work: render(&task.work, &scope.clone().with_redacted(task.work.secrets()))?,
        retry: task.retry.clone(),
        timeout: task.timeout,
        deadline: task.deadline,
    })
}

/// What expressions see as `tasks`: status, output and error of every task that was decided or skipped.
fn tasks_value(progress: &Progress) -> Value {
    let entry = |(id, task): (&String, &TaskProgress)| {
        (id.clone(), json!({"status": task.status().as_str(), "output": task.output(), "error": task.failure()}))
    };
    Value::Object(progress.iter().map(entry).collect::<Map<_, _>>())
}

/// How a run with nothing left to do has ended; tasks that a failure kept from running count as skipped.
fn conclude(activity: &Activity, progress: &Progress, skipped: &mut Vec<(String, String)>) -> Outcome {
    let Some(failure) = failure(activity, progress) else { return Outcome::Completed };
    let undecided = activity.tasks.iter().filter(|task| !progress.contains_key(&task.id));
    skipped.extend(undecided.map(|task| (task.id.clone(), "a task that it needs failed".to_owned())));
    Outcome::Failed(failure)
}

/// Why a run fails: the failure of the first of its tasks that failed by itself.
pub fn failure(activity: &Activity, progress: &Progress) -> Option<Failure> {
    let failures = || activity.tasks.iter().filter_map(|task| Some((&task.id, progress.get(&task.id)?.failure()?)));
    let cause = failures().find(|(_, failure)| failure.class != FailureClass::Cancelled).or_else(|| failures().next());
    cause.map(|(id, failure)| {
        Failure::new(failure.kind.clone(), format!("task {id}: {}", failure.message)).of(failure.class)
    })
}

fn expression_failure(task: &str, error: &EvalError) -> Failure {
    Failure::new("ExpressionFailed", format!("task {task}: {error}"))
}
