//! `AdvanceRun`: loads, resolves, decides, and writes all of it in one transaction.
//!
//! Invariant: it may be called again with the same question at any time and leaves the same rows. What
//! is to be started is read from the rows, not from this call's decisions, so an answer that got lost
//! after its transaction is given again.

use std::sync::Arc;

use serde_json::{Value, json};
use spine_core::activity::{Activity, Trigger as Definition};
use spine_core::canonical;
use spine_core::event::{Data, Event};
use spine_core::expression::Scope;
use spine_core::names;
use spine_core::notice::{self, RunFacts};
use spine_core::planning::{self, Decided, Outcome, Progress, Request, Step};
use spine_core::run::{Failure, RunInput, RunStatus, RunTrigger, TaskResult, TaskStatus};
use spine_runtime::metrics::labels::{Run, TaskKind, TaskOutcome};
use spine_store::{
    AuditEntry, FinishedTask, NewRun, NewTask, Opened, OutboxEvent, RunRow, StepRecord, StoreError, TaskRow, Trigger,
};

use crate::context;
use crate::engine::{Engine, RunView, now};
use crate::progress;
use crate::protocol::{AdvanceInput, Foreign, Limits, Next, RunRef, Start};

/// Answers what run `id`, executed as `execution`, does next.
pub(crate) async fn advance(
    engine: &Engine,
    id: &str,
    execution: &str,
    question: AdvanceInput,
) -> Result<Next, StoreError> {
    let run = match engine.store.load_run(id).await? {
        Some(run) => run,
        None => match open(engine, id, execution, &question.input).await? {
            Ok(run) => run,
            Err(ended) => return Ok(ended),
        },
    };
    if run.temporal_run_id != execution {
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
        (RunStatus::Running, _) => {}
    }
    let definition = match engine.definitions.get(&engine.store, &run.activity, run.revision).await? {
        Ok(definition) => definition,
        Err(failure) => return fail(engine, &run, failure).await,
    };
    proceed(engine, &run, &definition, question).await
}

/// Opens the run, or says how it ends before it began.
async fn open(
    engine: &Engine,
    id: &str,
    execution: &str,
    input: &RunInput,
) -> Result<Result<RunRow, Next>, StoreError> {
    let new = match &input.trigger {
        RunTrigger::Event { revision, event } => NewRun {
            id: id.to_owned(),
            temporal_run_id: execution.to_owned(),
            activity: input.activity.clone(),
            revision: *revision,
            trigger: Trigger::Event,
            event: event.as_ref().clone(),
            replay: 0,
        },
        RunTrigger::Schedule { trigger } => match tick(engine, id, execution, &input.activity, *trigger).await? {
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

/// The run that a tick stands for: of the revision that is current now, if the activity is still enabled.
async fn tick(
    engine: &Engine,
    id: &str,
    execution: &str,
    activity: &str,
    trigger: usize,
) -> Result<Result<NewRun, Next>, StoreError> {
    let skipped = |reason: String| {
        tracing::info!(run = id, reason, "tick skipped");
        Ok(Err(Next::Skipped { reason }))
    };
    let Some(current) = engine.store.current_revision(activity).await? else {
        return skipped(format!("activity {activity} no longer exists"));
    };
    if !current.enabled {
        return skipped(format!("activity {activity} is disabled"));
    }
    let definition = match engine.definitions.get(&engine.store, activity, current.revision).await? {
        Ok(definition) => definition,
        Err(failure) => return Ok(Err(Next::Failed { failure })),
    };
    let Some(Definition::Schedule(schedule)) = definition.triggers.get(trigger) else {
        return skipped(format!("revision {} of activity {activity} has no such schedule", current.revision));
    };
    let scheduled = names::scheduled_time_of(id).unwrap_or(id);
    let mut event = Event::new(names::TICK_TYPE, format!("/spine/schedules/{activity}/{trigger}"), scheduled);
    event.time = names::scheduled_time_of(id).map(str::to_owned);
    event.datacontenttype = Some("application/json".into());
    event.data = Data::Json(schedule.input.clone());
    Ok(Ok(NewRun {
        id: id.to_owned(),
        temporal_run_id: execution.to_owned(),
        activity: activity.to_owned(),
        revision: current.revision,
        trigger: Trigger::Schedule,
        event,
        replay: 0,
    }))
}

async fn proceed(
    engine: &Engine,
    run: &RunRow,
    definition: &Arc<Activity>,
    question: AdvanceInput,
) -> Result<Next, StoreError> {
    let scope = engine.scope(&run.event, &RunView { id: &run.id, activity: &run.activity, revision: run.revision });
    let (context, hash) = match resolve(engine, run, definition, &scope).await? {
        Ok(resolved) => resolved,
        Err(failure) => return fail(engine, run, failure).await,
    };
    let scope = scope.with("context", context);
    let rows = engine.store.tasks_of(&run.id).await?;
    let mut progress = progress::of(definition, &rows, &question.results);
    let mut writer = Writer::new(run, &rows, &question.results);
    // What runs already is let end first: it will be decided, and fail, once more.
    if let Err(failure) = decide(definition, &scope, &mut progress, &mut writer)
        && !planning::is_pending(&progress)
    {
        writer.end(Outcome::Failed(failure));
    }
    writer.audit_decisions(run, &hash);
    let outcome = writer.record.outcome.clone();
    engine.store.commit_step(&writer.record).await?;
    count(engine, &writer);
    match outcome {
        Some(Outcome::Completed) => Ok(Next::Completed),
        Some(Outcome::Failed(failure)) => Ok(Next::Failed { failure }),
        None => {
            let rows = engine.store.tasks_of(&run.id).await?;
            let start = to_start(run, definition, &rows, &question.started);
            Ok(Next::Run { start, awaited: planning::awaited(definition, &progress) })
        }
    }
}

/// The context that the run decides on: looked up once, then the same for ever.
async fn resolve(
    engine: &Engine,
    run: &RunRow,
    definition: &Activity,
    scope: &Scope,
) -> Result<Result<(Value, String), Failure>, StoreError> {
    if let (Some(context), Some(hash)) = (&run.context, &run.context_hash) {
        return Ok(Ok((context.clone(), hash.clone())));
    }
    match context::resolve(engine, &definition.context, scope).await {
        Ok(context) => {
            let stored = engine.store.set_context(&run.id, &context, &canonical::hash(&context)).await?;
            Ok(Ok((stored.context, stored.hash)))
        }
        Err(failure) => Ok(Err(failure)),
    }
}

/// Decides until there is nothing left that can be decided now. Events are emitted on the way: they
/// are rows of this transaction, and what needs them can follow at once.
fn decide(
    definition: &Activity,
    scope: &Scope,
    progress: &mut Progress,
    writer: &mut Writer<'_>,
) -> Result<(), Failure> {
    loop {
        let step = planning::advance(definition, scope, progress)?;
        planning::record(progress, &step);
        let mut emitted = false;
        for decided in &step.decided {
            let output = writer.create(decided);
            if let Some(output) = output {
                planning::settle(progress, &decided.task, decided.index, planning::Instance::Completed(output));
                emitted = true;
            }
        }
        writer.skip(&step);
        if let Some(outcome) = step.outcome {
            writer.end(outcome);
            return Ok(());
        }
        if !emitted {
            return Ok(());
        }
    }
}

/// What is to be started: every created row that the workflow has not started yet.
fn to_start(run: &RunRow, definition: &Activity, rows: &[TaskRow], started: &[(String, u32)]) -> Vec<Start> {
    let waiting = rows.iter().filter(|row| row.status == TaskStatus::Created);
    waiting
        .filter(|row| !started.iter().any(|(task, index)| *task == row.task && *index == row.index))
        .filter_map(|row| start(run, definition, row))
        .collect()
}

fn start(run: &RunRow, definition: &Activity, row: &TaskRow) -> Option<Start> {
    let task = definition.tasks.iter().find(|task| task.id == row.task)?;
    let request: Request = serde_json::from_value(row.request.clone()?).ok()?;
    let foreign = match request {
        Request::Worker { task_queue, activity, input } => Some(Foreign { task_queue, activity, input }),
        _ => None,
    };
    let limits = Limits {
        max_attempts: task.retry.max_attempts,
        initial_interval: task.retry.initial_interval,
        backoff: task.retry.backoff,
        max_interval: task.retry.max_interval,
        non_retryable: task.retry.non_retryable.clone(),
        timeout: task.timeout,
        deadline: task.deadline,
    };
    let run = RunRef { activity: run.activity.clone(), revision: run.revision, hops: run.event.hops() };
    Some(Start { task: row.task.clone(), index: row.index, foreign, run, limits })
}

/// Ends a run that can't be decided at all.
async fn fail(engine: &Engine, run: &RunRow, failure: Failure) -> Result<Next, StoreError> {
    let mut writer = Writer::new(run, &[], &[]);
    writer.end(Outcome::Failed(failure.clone()));
    engine.store.commit_step(&writer.record).await?;
    count(engine, &writer);
    Ok(Next::Failed { failure })
}

fn count(engine: &Engine, writer: &Writer<'_>) {
    match &writer.record.outcome {
        Some(Outcome::Completed) => engine.metrics.worker.runs.inc(Run::Completed),
        Some(Outcome::Failed(_)) => engine.metrics.worker.runs.inc(Run::Failed),
        None => {}
    }
    for (kind, outcome) in &writer.ended {
        engine.metrics.worker.tasks.inc((*kind, *outcome));
    }
}

/// Gathers what one step writes.
struct Writer<'a> {
    run: &'a RunRow,
    now: String,
    record: StepRecord,
    produced: Vec<String>,
    ended: Vec<(TaskKind, TaskOutcome)>,
}

impl<'a> Writer<'a> {
    /// Starts with what has ended since the last step.
    fn new(run: &'a RunRow, rows: &[TaskRow], results: &[TaskResult]) -> Self {
        let record = StepRecord { run: run.id.clone(), ..StepRecord::default() };
        let mut writer = Self { run, now: now(), record, produced: Vec::new(), ended: Vec::new() };
        for result in results {
            let row = rows.iter().find(|row| row.task == result.task && row.index == result.index);
            if let Some(row) = row.filter(|row| row.status == TaskStatus::Created) {
                writer.finish(row, result);
            }
        }
        writer
    }

    fn finish(&mut self, row: &TaskRow, result: &TaskResult) {
        let uses = row.uses.as_deref().unwrap_or_default();
        let attempts = row.attempts;
        let event = match &result.result {
            Ok(_) => self.facts().task_completed(&row.task, row.index, uses, attempts),
            Err(failure) => self.facts().task_failed(&row.task, row.index, uses, failure),
        };
        if uses == "worker" {
            let outcome = if result.result.is_ok() { TaskOutcome::Completed } else { TaskOutcome::Failed };
            self.ended.push((TaskKind::Worker, outcome));
        }
        let finished =
            FinishedTask { task: row.task.clone(), index: row.index, result: result.result.clone(), attempts };
        self.record.results.push(finished);
        self.tell(event);
    }

    /// Writes a decided instance. One that emits is complete with that, and its output is returned.
    fn create(&mut self, decided: &Decided) -> Option<Value> {
        let Decided { task, index, work, .. } = decided;
        let created = self.facts().task_created(task, *index, work.kind());
        self.tell(created);
        self.produced.push(format!("{task}/{index}"));
        let output = match work {
            Request::Emit { event_type, subject, data } => {
                let event = self.facts().emitted(task, *index, event_type, subject.clone(), data.clone());
                let output = notice::emitted_output(&event);
                let completed = self.facts().task_completed(task, *index, work.kind(), 1);
                self.tell(event);
                self.tell(completed);
                self.ended.push((TaskKind::Emit, TaskOutcome::Completed));
                Some(output)
            }
            _ => None,
        };
        self.record.created.push(NewTask {
            task: task.clone(),
            index: *index,
            uses: work.kind().to_owned(),
            status: if output.is_some() { TaskStatus::Completed } else { TaskStatus::Created },
            request: json!(work),
            output: output.clone(),
        });
        output
    }

    fn skip(&mut self, step: &Step) {
        self.record.skipped.extend(step.skipped.iter().cloned());
    }

    fn end(&mut self, outcome: Outcome) {
        let event = self.facts().run_ended(&outcome);
        self.tell(event);
        self.record.audit.push(AuditEntry {
            fact: "ended".into(),
            discriminator: String::new(),
            detail: json!(outcome),
        });
        self.record.outcome = Some(outcome);
    }

    /// What was decided, on what: revision, context hash, tasks produced, tasks skipped and why.
    fn audit_decisions(&mut self, run: &RunRow, context_hash: &str) {
        let skipped: Vec<Value> =
            self.record.skipped.iter().map(|(task, reason)| json!({"task": task, "reason": reason})).collect();
        let detail = json!({"revision": run.revision, "contextHash": context_hash, "produced": self.produced, "skipped": skipped});
        let first = !self.produced.is_empty() || !skipped.is_empty() || self.record.outcome.is_some();
        if first {
            let discriminator = canonical::hash(&json!([self.produced, skipped]));
            self.record.audit.push(AuditEntry { fact: "decided".into(), discriminator, detail });
        }
    }

    fn facts(&self) -> RunFacts<'_> {
        RunFacts {
            run: &self.run.id,
            activity: &self.run.activity,
            revision: self.run.revision,
            hops: self.run.event.hops(),
            now: &self.now,
        }
    }

    fn tell(&mut self, event: Event) {
        self.record.outbox.push(OutboxEvent { key: self.run.id.clone(), event, run: Some(self.run.id.clone()) });
    }
}
