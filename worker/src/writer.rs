//! Gathers what one step of a run writes.

use serde_json::{Value, json};
use spine_core::canonical;
use spine_core::event::Event;
use spine_core::names;
use spine_core::notice::{self, RunFacts};
use spine_core::planning::{Completed, Decided, Outcome, Request, Step};
use spine_core::run::{Failure, FailureClass, TaskResult, TaskStatus};
use spine_runtime::metrics::labels::{TaskKind, TaskOutcome};
use spine_store::{
    Asked, AuditEntry, Escalated, FinishedTask, NewTask, OutboxEvent, RunRow, SkippedTask, StepRecord, TaskRow,
};

use crate::engine::now;
use crate::waits;

/// Gathers what one step writes.
pub(crate) struct Writer<'a> {
    run: &'a RunRow,
    now: String,
    pub(crate) record: StepRecord,
    produced: Vec<String>,
    /// How many undos have failed for good in this step.
    pub(crate) not_undone: u64,
    /// What is to be counted once it is written.
    pub(crate) ended: Vec<(TaskKind, TaskOutcome)>,
}

impl<'a> Writer<'a> {
    /// Starts with what has ended since the last step.
    pub(crate) fn new(run: &'a RunRow, rows: &[TaskRow], results: &[TaskResult]) -> Self {
        let record = StepRecord { run: run.id.clone(), ..StepRecord::default() };
        let mut writer = Self { run, now: now(), record, produced: Vec::new(), not_undone: 0, ended: Vec::new() };
        for result in results {
            let row = rows.iter().find(|row| row.is(&result.task, result.index));
            if let Some(row) = row.filter(|row| row.status == TaskStatus::Created) {
                writer.finish(row, result);
            }
        }
        writer
    }

    fn finish(&mut self, row: &TaskRow, result: &TaskResult) {
        let uses = row.uses.as_deref().unwrap_or_default();
        let attempts = row.attempts;
        let (event, outcome) = match &result.result {
            Ok(_) => (self.facts().task_completed(&row.task, row.index, uses, attempts), TaskOutcome::Completed),
            Err(failure) if failure.class == FailureClass::Cancelled => {
                (self.facts().task_cancelled(&row.task, row.index, uses, failure), TaskOutcome::Cancelled)
            }
            Err(failure) => (self.facts().task_failed(&row.task, row.index, uses, failure), TaskOutcome::Failed),
        };
        if let Some(kind) = TaskKind::named(uses).filter(|kind| !is_ours(*kind) || outcome == TaskOutcome::Cancelled) {
            self.ended.push((kind, outcome));
        }
        if let (Some(of), Err(failure)) = (names::undone_by(&row.task), &result.result) {
            self.undo_failed(of, row.index, failure);
        }
        let finished =
            FinishedTask { task: row.task.clone(), index: row.index, result: result.result.clone(), attempts };
        self.record.results.push(finished);
        self.tell(event);
    }

    /// What this step has ended so far.
    pub(crate) fn results(&self) -> Vec<TaskResult> {
        let result =
            |one: &FinishedTask| TaskResult { task: one.task.clone(), index: one.index, result: one.result.clone() };
        self.record.results.iter().map(result).collect()
    }

    /// Gives up an instance that nobody performs.
    pub(crate) fn give_up(&mut self, row: &TaskRow, failure: &Failure) {
        let result = TaskResult { task: row.task.clone(), index: row.index, result: Err(failure.clone()) };
        self.finish(row, &result);
    }

    /// Gives up what this step itself decided and nobody performs; returns which instances that are.
    pub(crate) fn give_up_decided(&mut self, failure: &Failure) -> Vec<(String, u32)> {
        let waiting = |one: &&NewTask| one.status == TaskStatus::Created && is_waiting(&one.uses);
        let given_up: Vec<(String, u32, String)> = self
            .record
            .created
            .iter()
            .filter(waiting)
            .map(|one| (one.task.clone(), one.index, one.uses.clone()))
            .filter(|(task, index, _)| !self.record.results.iter().any(|one| one.task == *task && one.index == *index))
            .collect();
        for (task, index, uses) in &given_up {
            let event = self.facts().task_cancelled(task, *index, uses, failure);
            self.tell(event);
            self.record.results.push(FinishedTask {
                task: task.clone(),
                index: *index,
                result: Err(failure.clone()),
                attempts: 0,
            });
        }
        given_up.into_iter().map(|(task, index, _)| (task, index)).collect()
    }

    /// Writes an undo that can't even be rendered.
    pub(crate) fn refuse_undo(&mut self, of: &Completed, failure: &Failure) {
        let id = names::undo_id(&of.task);
        let event = self.facts().task_failed(&id, of.index, "undo", failure);
        self.tell(event);
        self.undo_failed(&of.task, of.index, failure);
        self.record.created.push(NewTask {
            task: id.clone(),
            index: of.index,
            uses: "undo".into(),
            status: TaskStatus::Created,
            retry: self.run.retries,
            ordinal: None,
            for_event: false,
            request: Value::Null,
            output: None,
        });
        self.record.results.push(FinishedTask { task: id, index: of.index, result: Err(failure.clone()), attempts: 0 });
    }

    /// Loud: something that was done stays done, and a person has to look.
    fn undo_failed(&mut self, task: &str, index: u32, failure: &Failure) {
        tracing::error!(run = self.run.id, task, index, error = failure.message, "what a task did could not be undone");
        self.not_undone += 1;
        let detail = json!({"task": task, "index": index, "error": failure});
        let discriminator = format!("{task}/{index}{}", names::retry_suffix(self.run.retries));
        self.record.audit.push(AuditEntry { fact: "undo_failed".into(), discriminator, detail });
    }

    /// Writes a decided instance. One that emits is complete with that, and its output is returned.
    pub(crate) fn create(&mut self, decided: &Decided, origin: Origin) -> Option<Value> {
        let Decided { task, index, work, .. } = decided;
        let created = self.facts().task_created(task, *index, work.kind());
        self.tell(created);
        self.produced.push(format!("{task}/{index}"));
        if let Request::Human { assignees, .. } = work {
            let assignees = assignees.clone();
            self.record.asked.push(Asked { task: task.clone(), index: *index, assignees, deadline: decided.deadline });
        }
        self.record.waits.extend(waits::of(task, *index, work));
        let output = match work {
            Request::Emit { event_type, subject, data } => {
                let facts = RunFacts { hops: origin.hops.unwrap_or_else(|| self.run.event.hops()), ..self.facts() };
                let event = facts.emitted(task, *index, event_type, subject.clone(), data.clone());
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
            retry: origin.retry.unwrap_or(self.run.retries),
            ordinal: origin.ordinal,
            for_event: origin.for_event,
            request: json!(work),
            output: output.clone(),
        });
        output
    }

    /// Writes that others are asked now.
    pub(crate) fn escalate(&mut self, escalated: Vec<Escalated>) {
        for to in &escalated {
            let event = self.facts().task_escalated(&to.task, to.index, &to.assignees);
            self.tell(event);
            let detail = json!({"task": to.task, "index": to.index, "assignees": to.assignees});
            let discriminator = format!("{}/{}{}", to.task, to.index, names::retry_suffix(self.run.retries));
            self.record.audit.push(AuditEntry { fact: "task_escalated".into(), discriminator, detail });
        }
        self.record.escalated = escalated;
    }

    pub(crate) fn skip(&mut self, step: &Step) {
        for (task, reason) in &step.skipped {
            self.skip_one(task, 0, None, reason);
        }
    }

    /// Writes that a task is not decided; `index` and `ordinal` say for which event of an instance.
    pub(crate) fn skip_one(&mut self, task: &str, index: u32, ordinal: Option<u32>, reason: &str) {
        self.record.skipped.push(SkippedTask { task: task.to_owned(), index, ordinal, reason: reason.to_owned() });
    }

    /// Ends the run. `not_undone` names what could not be taken back.
    pub(crate) fn end(&mut self, outcome: Outcome, not_undone: &[String]) {
        let event = self.facts().run_ended(&outcome, not_undone);
        self.tell(event);
        let mut detail = json!(outcome);
        if !not_undone.is_empty() {
            detail["notUndone"] = json!(not_undone);
        }
        self.record.audit.push(AuditEntry {
            fact: "ended".into(),
            discriminator: names::retry_suffix(self.run.retries),
            detail,
        });
        self.record.outcome = Some(outcome);
    }

    /// What was decided, on what: revision, context hash, tasks produced, tasks skipped and why.
    pub(crate) fn audit_decisions(&mut self, run: &RunRow, context_hash: &str) {
        let skipped: Vec<Value> = self.record.skipped.iter().map(skipped_fact).collect();
        let detail = json!({"revision": run.revision, "contextHash": context_hash, "produced": self.produced, "skipped": skipped});
        let first = !self.produced.is_empty() || !skipped.is_empty() || self.record.outcome.is_some();
        if first {
            let discriminator =
                canonical::hash(&json!([self.produced, skipped])) + &names::retry_suffix(self.run.retries);
            self.record.audit.push(AuditEntry { fact: "decided".into(), discriminator, detail });
        }
    }

    fn facts(&self) -> RunFacts<'_> {
        RunFacts {
            run: &self.run.id,
            activity: &self.run.activity,
            revision: self.run.revision,
            hops: self.run.event.hops(),
            retry: self.run.retries,
            now: &self.now,
        }
    }

    fn tell(&mut self, event: Event) {
        self.record.outbox.push(OutboxEvent { key: self.run.id.clone(), event, run: Some(self.run.id.clone()) });
    }
}

/// Where a decided instance comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    /// The retry of the run whose names its effects have; `None` for this one.
    pub(crate) retry: Option<u32>,
    /// Of an instance: the event that decides it.
    pub(crate) ordinal: Option<u32>,
    /// Whether the task is decided for each event.
    pub(crate) for_event: bool,
    /// The hops of that event; `None` for those of the event that started the run.
    pub(crate) hops: Option<u64>,
}

fn skipped_fact(skipped: &SkippedTask) -> Value {
    let mut fact = json!({"task": skipped.task, "reason": skipped.reason});
    if skipped.ordinal.is_some() {
        fact["index"] = skipped.index.into();
    }
    fact
}

/// Whether our own activity performs it, and counts its attempts.
fn is_ours(kind: TaskKind) -> bool {
    matches!(kind, TaskKind::Http | TaskKind::Nats | TaskKind::Sql)
}

/// Whether nobody performs it: a person's task, or one that waits.
pub(crate) fn is_waiting(uses: &str) -> bool {
    matches!(uses, "human" | "wait")
}
