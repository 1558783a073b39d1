//! `AdvanceRun`: loads, resolves, decides, and writes all of it in one transaction.
//!
//! Invariant: it may be called again with the same question at any time and leaves the same rows. What
//! is to be started is read from the rows, not from this call's decisions, so an answer that got lost
//! after its transaction is given again.

use std::sync::Arc;

use spine_core::activity::Activity;
use spine_core::canonical;
use spine_core::expression::Scope;
use spine_core::planning::{self, Completed, Instance, NextUndo, Outcome, Sight};
use spine_core::run::{Failure, RunInput, RunStatus, RunTrigger, TaskResult, TaskStatus};
use spine_runtime::metrics::labels::Run;
use spine_store::{Escalated, NewRun, Opened, RunRow, StoreError, TaskRow, Trigger};

use crate::call;
use crate::context::{self, Held};
use crate::engine::{Engine, RunView};
use crate::instance;
use crate::people::{self, Over};
use crate::progress::{self, Position};
use crate::protocol::{AdvanceInput, Next};
use crate::room;
use crate::scopes::Scopes;
use crate::starting;
use crate::tick;
use crate::waits;
use crate::writer::{Origin, Writer, is_waiting};

/// Answers what run `id`, executed as `execution`, does next.
pub(crate) async fn advance(
    engine: &Engine,
    id: &str,
    execution: &str,
    question: AdvanceInput,
) -> Result<Next, StoreError> {
    let run = match engine.store.load_run_within(id, room::SMALL_BYTES).await? {
        Some(run) => run,
        None => match open(engine, id, execution, &question.input).await? {
            Ok(run) => run,
            Err(ended) => return Ok(ended),
        },
    };
    if !is_execution_of(engine, &run, execution).await? {
        engine.metrics.worker.runs.inc(Run::Duplicate);
        return Ok(Next::Duplicate { of: run.id });
    }
    match (run.status, &run.error) {
        (RunStatus::Completed, _) => return Ok(Next::Completed),
        (RunStatus::Failed, error) => {
            return Ok(Next::Failed {
                failure: error.clone().unwrap_or_else(|| Failure::new("Unknown", "no reason was kept")),
            });
        }
        (RunStatus::Cancelled, error) => {
            return Ok(Next::Cancelled {
                failure: error.clone().unwrap_or_else(|| Failure::cancelled("it was cancelled")),
            });
        }
        (RunStatus::Running, _) => {}
    }
    let definition = match engine.definitions.get(&engine.store, &run.activity, run.revision).await? {
        Ok(definition) => definition,
        Err(failure) => return fail(engine, &run, failure).await,
    };
    if let Some(stateful) = &definition.instance {
        return instance::proceed(engine, &run, execution, &definition, stateful, question).await;
    }
    // Waits may end while they are opened, or right after: what they let follow is decided at once.
    loop {
        if let Some(next) = proceed(engine, &run, &definition, &question).await? {
            return Ok(next);
        }
    }
}

/// Whether this execution is the run's own. A run that is to be retried belongs to the first that comes.
async fn is_execution_of(engine: &Engine, run: &RunRow, execution: &str) -> Result<bool, StoreError> {
    match &run.temporal_run_id {
        Some(own) => Ok(own == execution),
        None => engine.store.claim_run(&run.id, execution).await,
    }
}

/// Opens the run, or says how it ends before it began.
async fn open(
    engine: &Engine,
    id: &str,
    execution: &str,
    input: &RunInput,
) -> Result<Result<RunRow, Next>, StoreError> {
    let new = match &input.trigger {
        RunTrigger::Event { revision, event, sequence } => NewRun {
            id: id.to_owned(),
            temporal_run_id: Some(execution.to_owned()),
            activity: input.activity.clone(),
            revision: *revision,
            trigger: Trigger::Event,
            event: event.as_ref().clone(),
            replay: 0,
            key: None,
            sequence: *sequence,
        },
        // Whoever wakes an instance has found its row: this one is gone.
        RunTrigger::Instance => return Err(StoreError::UnknownRun(id.to_owned())),
        RunTrigger::Schedule { trigger } => return tick::open(engine, id, execution, &input.activity, *trigger).await,
        RunTrigger::Call { event } => match call::open(engine, id, execution, &input.activity, event).await? {
            Ok(new) => new,
            Err(ended) => return Ok(Err(ended)),
        },
    };
    if let Opened::Duplicate { of } = engine.store.open_run(&new).await? {
        engine.metrics.worker.runs.inc(Run::Duplicate);
        return Ok(Err(Next::Duplicate { of }));
    }
    engine.store.load_run(id).await?.map(Ok).ok_or_else(|| StoreError::UnknownRun(id.to_owned()))
}

/// One step. `None` if another can be decided at once.
async fn proceed(
    engine: &Engine,
    run: &RunRow,
    definition: &Arc<Activity>,
    question: &AdvanceInput,
) -> Result<Option<Next>, StoreError> {
    let scope = engine.scope(&run.event, &RunView { id: &run.id, activity: &run.activity, revision: run.revision });
    // Its place is kept until all is decided.
    let Held { context, hash, place: _place } = match resolve(engine, run, definition, &scope).await? {
        Ok(resolved) => resolved,
        Err(failure) => return fail(engine, run, failure).await.map(Some),
    };
    let scopes = Scopes::new(scope.with("context", context), run.event.hops());
    let rows = engine.store.tasks_of(&run.id).await?;
    let mut results = question.results.clone();
    let escalated = complete_results(engine, run, definition, &scopes, &rows, &mut results).await?;
    let mut position = progress::of(definition, &rows, &results);
    let mut writer = Writer::new(run, &rows, &results);
    writer.escalate(escalated);
    writer.ended.extend(people::answered(&rows, &question.started));
    writer.record.waits = waits::not_started(&rows, &question.started);
    let outcome = match &question.cancelled {
        Some(reason) => Some(Outcome::Cancelled(Failure::cancelled(reason.as_str()))),
        // An expression that fails now does so once more when what runs has ended.
        None => decide(definition, scopes.of(None), &mut position, &mut writer)
            .unwrap_or_else(|failure| Some(Outcome::Failed(failure))),
    };
    match outcome {
        Some(Outcome::Completed) => writer.end(Outcome::Completed, &[]),
        Some(outcome) => wind_up(definition, &scopes, outcome, &rows, &mut position, &mut writer),
        None if planning::has_failed(&position.progress) => {
            give_up_waiting(definition, &rows, "its run failed", &mut position, &mut writer);
            // That may have been all that was waited for: nothing would ask again.
            if !planning::is_pending(&position.progress) {
                let decided = decide(definition, scopes.of(None), &mut position, &mut writer);
                if let Some(outcome) = decided.unwrap_or_else(|failure| Some(Outcome::Failed(failure))) {
                    wind_up(definition, &scopes, outcome, &rows, &mut position, &mut writer);
                }
            }
        }
        None => {}
    }
    writer.audit_decisions(run, &hash);
    let outcome = writer.record.outcome.clone();
    engine.store.commit_step(&writer.record).await?;
    count(engine, &writer);
    Ok(Some(match outcome {
        Some(Outcome::Completed) => Next::Completed,
        Some(Outcome::Failed(failure)) => Next::Failed { failure },
        Some(Outcome::Cancelled(failure)) => Next::Cancelled { failure },
        None => {
            let rows = engine.store.tasks_of(&run.id).await?;
            let ended = waits::ended_meanwhile(definition, &rows, &position);
            waits::count(engine, &ended, &question.started);
            // Where all that was open has been given up, nothing is left to wait for.
            if position.is_idle() || !ended.is_empty() {
                return Ok(None);
            }
            let escalations = people::escalations(engine, &run.id, definition).await?;
            let hops = |_: &TaskRow| run.event.hops();
            let start = starting::due(run, definition, &rows, &question.started, &escalations, &hops);
            let awaited = planning::awaited(definition, &position.progress);
            Next::Run { start, awaited, ended: starting::over(&rows, &question.started), again: false, stop: false }
        }
    }))
}

/// Makes of what the workflow saw what it means: the output of a run that was called, the answer to a deadline.
/// Returns what is escalated, and so has not ended.
pub(crate) async fn complete_results(
    engine: &Engine,
    run: &RunRow,
    definition: &Activity,
    scopes: &Scopes,
    rows: &[TaskRow],
    results: &mut Vec<TaskResult>,
) -> Result<Vec<Escalated>, StoreError> {
    let mut escalated = Vec::new();
    for mut one in std::mem::take(results) {
        let row = rows.iter().find(|row| row.is(&one.task, one.index));
        match &one.result {
            Ok(said) => {
                if let Some(row) = row.filter(|row| row.uses.as_deref() == Some("activity")) {
                    one.result = Ok(call::output(engine, run, row, said).await?);
                }
            }
            Err(failure) if failure.is_deadline() => {
                let task = definition.tasks.iter().find(|task| task.id == one.task);
                if let Some((task, row)) = task.zip(row) {
                    let position = progress::of(definition, rows, &[]);
                    let progress = position.around(definition, &row.task, row.index);
                    let before = people::escalations(engine, &run.id, definition).await?;
                    match people::time_out(task, row, failure.clone(), scopes.of(row.ordinal), progress, &before) {
                        Over::Ended(result) => one.result = result,
                        Over::Escalated(to) => {
                            escalated.push(to);
                            continue;
                        }
                        Over::Waits => continue,
                    }
                }
            }
            _ => {}
        }
        results.push(one);
    }
    Ok(escalated)
}

/// Takes back what a run that fails or is cancelled has done, once nothing runs any more; then ends it.
pub(crate) fn wind_up(
    definition: &Activity,
    scopes: &Scopes,
    outcome: Outcome,
    rows: &[TaskRow],
    position: &mut Position,
    writer: &mut Writer<'_>,
) {
    let why = if matches!(outcome, Outcome::Cancelled(_)) { "its run was cancelled" } else { "its run failed" };
    give_up_waiting(definition, rows, why, position, writer);
    if position.is_pending() {
        return;
    }
    loop {
        let done = |of: &Completed| rows.iter().find(|row| row.is(&of.task, of.index));
        let sight = |of: &Completed| Sight {
            scope: scopes.of(done(of).and_then(|row| row.ordinal)),
            progress: position.around(definition, &of.task, of.index),
        };
        let (of, undone) = match planning::undo(definition, sight, &position.completed, &position.undone) {
            NextUndo::Pending => return,
            NextUndo::Done => return writer.end(outcome, &planning::not_undone(&position.undone)),
            NextUndo::Refused { of, failure } => {
                writer.refuse_undo(&of, &failure);
                (of, Instance::Failed(failure))
            }
            NextUndo::Decided { of, work } => {
                let row = done(&of);
                let ordinal = row.and_then(|row| row.ordinal);
                let hops = Some(scopes.seen(ordinal).hops);
                let origin = Origin { retry: row.map(|row| row.retry), ordinal, hops, for_event: false };
                let output = writer.create(&work, origin);
                (of, output.map_or(Instance::Pending, Instance::Completed))
            }
        };
        position.undone.insert(of, undone);
    }
}

/// Gives up what nobody performs: a person need not answer, and no time need pass.
pub(crate) fn give_up_waiting(
    definition: &Activity,
    rows: &[TaskRow],
    why: &str,
    position: &mut Position,
    writer: &mut Writer<'_>,
) {
    let failure = Failure::cancelled(why);
    let waiting = rows.iter().filter(|row| {
        row.status == TaskStatus::Created
            && row.uses.as_deref().is_some_and(is_waiting)
            && !writer.record.results.iter().any(|one| row.is(&one.task, one.index))
    });
    let mut given_up = Vec::new();
    for row in waiting.collect::<Vec<_>>() {
        writer.give_up(row, &failure);
        given_up.push((row.task.clone(), row.index));
    }
    given_up.extend(writer.give_up_decided(&failure));
    for (task, index) in given_up {
        position.settle(definition, &task, index, Instance::Failed(failure.clone()));
    }
}

/// The context that the run decides on: looked up once, then the same for ever.
pub(crate) async fn resolve(
    engine: &Engine,
    run: &RunRow,
    definition: &Activity,
    scope: &Scope,
) -> Result<Result<Held, Failure>, StoreError> {
    if let Some(held) = context::stored(engine, run).await? {
        return Ok(Ok(held));
    }
    match context::resolve(engine, &definition.context, scope).await {
        Ok((context, place)) => {
            let stored = engine.store.set_context(&run.id, &context, &canonical::hash(&context)).await?;
            Ok(Ok(Held { context: stored.context, hash: stored.hash, place }))
        }
        Err(failure) => Ok(Err(failure)),
    }
}

/// Decides until there is nothing left that can be decided now, and says how the run ends, if it does. Events are
/// emitted on the way: they are rows of this transaction, and what needs them can follow at once.
fn decide(
    definition: &Activity,
    scope: &Scope,
    position: &mut Position,
    writer: &mut Writer<'_>,
) -> Result<Option<Outcome>, Failure> {
    let Position { progress, kept, .. } = position;
    loop {
        let step = planning::advance(definition, scope, progress)?;
        planning::record(progress, &step);
        let mut emitted = false;
        for decided in &step.decided {
            let before = kept.remove(&(decided.task.clone(), decided.index));
            if let Some(output) = before.or_else(|| writer.create(decided, Origin::default())) {
                planning::settle(progress, &decided.task, decided.index, Instance::Completed(output));
                emitted = true;
            }
        }
        writer.skip(&step);
        if step.outcome.is_some() || !emitted {
            return Ok(step.outcome);
        }
    }
}

/// Ends a run that can't be decided at all.
pub(crate) async fn fail(engine: &Engine, run: &RunRow, failure: Failure) -> Result<Next, StoreError> {
    let mut writer = Writer::new(run, &[], &[]);
    writer.end(Outcome::Failed(failure.clone()), &[]);
    engine.store.commit_step(&writer.record).await?;
    count(engine, &writer);
    Ok(Next::Failed { failure })
}

pub(crate) fn count(engine: &Engine, writer: &Writer<'_>) {
    match &writer.record.outcome {
        Some(Outcome::Completed) => engine.metrics.worker.runs.inc(Run::Completed),
        Some(Outcome::Failed(_)) => engine.metrics.worker.runs.inc(Run::Failed),
        Some(Outcome::Cancelled(_)) => engine.metrics.worker.runs.inc(Run::Cancelled),
        None => {}
    }
    engine.metrics.worker.undo_failures.inc_by(writer.not_undone);
    for (kind, outcome) in &writer.ended {
        engine.metrics.worker.tasks.inc((*kind, *outcome));
    }
}
