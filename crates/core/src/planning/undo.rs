//! What takes back what a run has done: one undo after the other, the newest task first.

use std::collections::BTreeMap;

use super::{Decided, Instance, Progress, expression_failure, instance_scope, output_of, render};
use crate::activity::{Activity, Execution};
use crate::expression::Scope;
use crate::names;
use crate::run::Failure;

/// A task instance that has ended well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Completed {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
}

/// How far each undo has come that was decided, by what it takes back.
pub type Undone = BTreeMap<Completed, Instance>;

/// What takes back what a run has done.
#[derive(Clone, Debug, PartialEq)]
pub enum NextUndo {
    /// One goes on: the next is decided when it has ended.
    Pending,
    /// This one is next.
    Decided {
        /// What it takes back.
        of: Completed,
        /// The undo.
        work: Box<Decided>,
    },
    /// The undo of this can't be rendered. It counts as failed, and the next one is asked for.
    Refused {
        /// What it would take back.
        of: Completed,
        /// Why not.
        failure: Failure,
    },
    /// There is nothing left to take back.
    Done,
}

/// What the expressions of a task instance see.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// All but the tasks.
    pub scope: &'a Scope,
    /// The tasks.
    pub progress: &'a Progress,
}

/// Decides the next undo. `completed` has what ended well, in the order in which it ended; an undo that failed
/// does not keep the others from being tried. `sight` says what each of them sees.
pub fn undo<'a>(
    activity: &Activity,
    sight: impl Fn(&Completed) -> Sight<'a>,
    completed: &[Completed],
    undone: &Undone,
) -> NextUndo {
    if undone.values().any(|undo| *undo == Instance::Pending) {
        return NextUndo::Pending;
    }
    for of in completed.iter().rev().filter(|of| !undone.contains_key(of)) {
        let Some(execution) = activity.execution(&names::undo_id(&of.task)) else { continue };
        return match decide(&execution, of, sight(of)) {
            Ok(work) => NextUndo::Decided { of: of.clone(), work: Box::new(work) },
            Err(failure) => NextUndo::Refused { of: of.clone(), failure },
        };
    }
    NextUndo::Done
}

/// The task instances whose undo failed, as `task/index`.
pub fn not_undone(undone: &Undone) -> Vec<String> {
    let failed = undone.iter().filter(|(_, undo)| matches!(undo, Instance::Failed(_)));
    failed.map(|(of, _)| format!("{}/{}", of.task, of.index)).collect()
}

fn decide(execution: &Execution<'_>, of: &Completed, sight: Sight<'_>) -> Result<Decided, Failure> {
    let id = names::undo_id(&of.task);
    let output = output_of(sight.progress, execution.task, of.index).unwrap_or_default();
    let work = instance_scope(execution.task, of.index, sight.scope, sight.progress).and_then(|scope| {
        render(execution.work, &scope.with("output", output).with_redacted(execution.work.secrets()))
    });
    Ok(Decided {
        work: work.map_err(|error| expression_failure(&id, &error))?,
        task: id,
        index: of.index,
        each: execution.task.for_each.is_some(),
        retry: execution.retry.clone(),
        timeout: execution.timeout,
        deadline: None,
    })
}
