//! The Temporal activities of this worker: `AdvanceRun`, `RunTask` and `FollowRun`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use spine_core::names;
use spine_core::notice::RunFacts;
use spine_core::planning::{self, Request};
use spine_core::run::{Failure, FailureClass, TaskStatus};
use spine_runtime::metrics::labels::{TaskKind, TaskOutcome};
use spine_store::{OutboxEvent, StoreError, TaskRow};
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::advance;
use crate::context::{self, chain, sql_failed};
use crate::engine::{Engine, RunView, now};
use crate::follow;
use crate::heartbeat;
use crate::http::{Attempt, Outbound};
use crate::instance;
use crate::leaving;
use crate::messages::{self, Sending};
use crate::payload::MAX_ANSWER_BYTES;
use crate::progress;
use crate::protocol::{AdvanceInput, End, FollowInput, Next, RunRef, TaskInput};
use crate::room;
use crate::scopes::Scopes;
use crate::secrets::Revealed;

/// What the worker registers.
pub(crate) struct Activities {
    pub(crate) engine: Arc<Engine>,
}

#[activities]
impl Activities {
    /// Decides what a run does next; see [`advance::advance`].
    #[activity(name = "AdvanceRun")]
    pub(crate) async fn advance(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: AdvanceInput,
    ) -> Result<Next, ActivityError> {
        let (run, execution) = identity(&ctx)?;
        // Never given up: a run whose step can't be written would be neither running nor ended.
        advance::advance(&self.engine, &run, &execution, input).await.map_err(|error| store_failure(&error, true))
    }

    /// Performs one attempt of one task. A task that has ended before is not performed again.
    #[activity(name = "RunTask")]
    pub(crate) async fn run_task(self: Arc<Self>, ctx: ActivityContext, input: TaskInput) -> Result<(), ActivityError> {
        let (run, _) = identity(&ctx)?;
        heartbeat::beside(&ctx, attempt(&self.engine, &run, ctx.info().attempt, &input)).await
    }

    /// How a run ended that another execution makes. Fails, to be tried again, as long as that goes on.
    #[activity(name = "FollowRun")]
    pub(crate) async fn follow(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: FollowInput,
    ) -> Result<End, ActivityError> {
        let looked = follow::end(&self.engine.store, &input.run).await;
        looked.map_err(|error| store_failure(&error, true))?.map_err(|goes_on| refuse(&goes_on, true))
    }
}

async fn attempt(engine: &Engine, run: &str, attempt: u32, input: &TaskInput) -> Result<(), ActivityError> {
    let begun = engine.store.begin_attempt(run, &input.task, input.index, attempt).await;
    let Some(row) = begun.map_err(|error| store_failure(&error, error.is_transient()))? else {
        return Err(refuse(
            &Failure::new("UnknownTask", format!("run {run} has no task {}/{}", input.task, input.index)),
            false,
        ));
    };
    if row.status != TaskStatus::Created {
        return Ok(());
    }
    let performed = match revealed(engine, input, &row).await {
        Ok((request, secrets)) => {
            let key = names::idempotency_key(run, &input.task, input.index, row.retry);
            secrets.hide_from(leaving::unless(&engine.over, perform(engine, input, key, request)).await)
        }
        Err(attempt) => Err(attempt),
    };
    match performed {
        Ok(output) => complete(engine, attempt, input, &row, &output)
            .await
            .map_err(|error| store_failure(&error, error.is_transient())),
        Err(Attempt { failure, retryable }) => {
            count(engine, &row, if retryable { TaskOutcome::Retried } else { TaskOutcome::Failed });
            tracing::warn!(
                run,
                task = input.task,
                index = input.index,
                attempt,
                retryable,
                error = failure.message,
                "task attempt failed"
            );
            let class = if retryable { FailureClass::Retryable } else { FailureClass::NonRetryable };
            let failure = failure.of(class);
            let noted = engine.store.fail_attempt(run, &input.task, input.index, attempt, &failure).await;
            noted.map_err(|error| store_failure(&error, error.is_transient()))?;
            Err(refuse(&failure, retryable))
        }
    }
}

/// The work as it was decided. Where it reads secrets, its row has words in their place: it is rendered again,
/// from what it was decided on, and never written down.
async fn revealed(engine: &Engine, input: &TaskInput, row: &TaskRow) -> Result<(Request, Revealed), Attempt> {
    let stored = |error: StoreError| Attempt {
        retryable: error.is_transient(),
        failure: Failure::new("StoreFailed", chain(&error)),
    };
    let fatal = |failure: Failure| Attempt { failure, retryable: false };
    let definition = engine.definitions.get(&engine.store, &input.run.activity, input.run.revision).await;
    let definition = definition.map_err(stored)?.map_err(fatal)?;
    let execution = definition.execution(&input.task);
    let names = execution.as_ref().map(|execution| execution.work.secrets()).unwrap_or_default();
    let Some(execution) = execution.filter(|_| !names.is_empty()) else {
        let request = serde_json::from_value(row.request.clone().unwrap_or_default());
        let request = request.map_err(|error| fatal(Failure::new("InvalidRequest", error.to_string())))?;
        return Ok((request, Revealed::default()));
    };
    let secrets = engine.secrets.reveal(names).await?;
    let run = engine.store.load_run_within(&row.run, room::SMALL_BYTES).await.map_err(stored)?;
    let run = run.ok_or_else(|| fatal(Failure::new("UnknownRun", format!("there is no run {}", row.run))))?;
    let view = RunView { id: &run.id, activity: &run.activity, revision: run.revision };
    let held = context::stored(engine, &run).await.map_err(stored)?;
    let (context, _place) = held.map(|held| (held.context, held.place)).unwrap_or_default();
    let scope = engine.scope(&run.event, &view).with("context", context);
    let decided_by: Vec<u32> = row.ordinal.into_iter().collect();
    let rows = engine.store.tasks_of_instance(&row.run, &instance::each_event(&definition), &decided_by).await;
    let rows = rows.map_err(stored)?;
    let events = engine.store.folded_events(&row.run, &decided_by).await.map_err(stored)?;
    let scopes = Scopes::new(scope, run.event.hops()).with_events(&events);
    let position = progress::of(&definition, &rows, &[]);
    let progress = position.around(&definition, &execution.task.id, input.index);
    let scope = scopes.of(row.ordinal).clone().with_secrets(secrets.values());
    let request = planning::reveal(&execution, input.index, &scope, progress);
    Ok((request.map_err(fatal)?, secrets))
}

async fn perform(engine: &Engine, input: &TaskInput, key: String, request: Request) -> Result<Value, Attempt> {
    match request {
        Request::Http { method, url, headers, body, tls, response } => {
            let request = Outbound {
                method: &method,
                url: &url,
                headers: &headers,
                body: body.as_ref(),
                tls: tls.as_deref(),
                response: &response,
                idempotency_key: Some(key),
                timeout: within(input.timeout),
                max_bytes: MAX_ANSWER_BYTES,
            };
            engine.http.send(request).await
        }
        Request::Sql { query, args, database } => {
            let performed = engine.database(&database)?.perform(&key, &query, &args, within(input.timeout)).await;
            performed.map_err(|error| sql_failed(&database, &error))
        }
        Request::Nats { exchange, subject, headers, body, schema } => {
            let sending = Sending {
                exchange,
                subject: &subject,
                headers: &headers,
                body: body.as_ref(),
                schema: schema.as_ref(),
                idempotency_key: &key,
                timeout: within(input.timeout),
            };
            messages::send(&*engine.messages, sending).await
        }
        other => {
            let message = format!("a task that uses {} is not run here", other.kind());
            Err(Attempt { failure: Failure::new("InvalidRequest", message), retryable: false })
        }
    }
}

/// A little less than the attempt may take, so that the failure can say what was waited for.
fn within(timeout: Duration) -> Duration {
    timeout.mul_f64(0.95)
}

async fn complete(
    engine: &Engine,
    attempt: u32,
    input: &TaskInput,
    row: &TaskRow,
    output: &Value,
) -> Result<(), StoreError> {
    let (run, now) = (row.run.as_str(), now());
    let uses = row.uses.as_deref().unwrap_or_default();
    let completed = facts(run, input, input.run.retry, &now).task_completed(&input.task, input.index, uses, attempt);
    let outbox = [OutboxEvent { key: run.to_owned(), event: completed, run: Some(run.to_owned()) }];
    engine.store.finish_task(run, &input.task, input.index, output, &outbox).await?;
    count(engine, row, TaskOutcome::Completed);
    Ok(())
}

fn facts<'a>(run: &'a str, input: &'a TaskInput, retry: u32, now: &'a str) -> RunFacts<'a> {
    let RunRef { activity, revision, hops, .. } = &input.run;
    RunFacts { run, activity, revision: *revision, hops: *hops, retry, now }
}

fn count(engine: &Engine, row: &TaskRow, outcome: TaskOutcome) {
    if let Some(kind) = row.uses.as_deref().and_then(TaskKind::named) {
        engine.metrics.worker.tasks.inc((kind, outcome));
    }
}

/// The run's id and Temporal's id of this execution.
fn identity(ctx: &ActivityContext) -> Result<(String, String), ActivityError> {
    let info = ctx.info();
    match (&info.workflow_id, &info.workflow_run_id) {
        (Some(run), Some(execution)) => Ok((run.clone(), execution.clone())),
        _ => Err(refuse(
            &Failure::new("InvalidCaller", "this activity belongs to a run, and no workflow started it"),
            false,
        )),
    }
}

fn store_failure(error: &StoreError, retryable: bool) -> ActivityError {
    let message = chain(error);
    tracing::warn!(error = message, retryable, "the database failed a run");
    refuse(&Failure::new("StoreFailed", message), retryable)
}

fn refuse(failure: &Failure, retryable: bool) -> ActivityError {
    let failure = ApplicationFailure::builder(failure.message.clone())
        .type_name(failure.kind.clone())
        .non_retryable(!retryable)
        .build();
    ActivityError::application(failure)
}
