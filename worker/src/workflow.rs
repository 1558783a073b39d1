//! The workflow `RunActivity`: asks what comes next, starts it, asks again.
//!
//! Invariant: what it does depends on its input and on recorded results alone. Futures are polled in the
//! order in which they were started, so a replay takes the same path.

use std::time::Duration;

use futures::future::{LocalBoxFuture, select_all};
use serde_json::Value;
use spine_core::run::{Failure, RunInput, TaskResult};
use temporalio_common::RetryPolicy;
use temporalio_common::UntypedActivity;
use temporalio_common::data_converters::{PayloadConverter, RawValue};
use temporalio_common::error::{ActivityExecutionError, ApplicationFailure, IncomingError};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{ActivityOptions, LocalActivityOptions, WorkflowContext, WorkflowResult};
use temporalio_workflow::ActivityCloseTimeouts;

use crate::protocol::{AdvanceInput, Limits, Next, Start, TaskInput};
use crate::task::Activities;

/// How long one `AdvanceRun` may take: the longest context timeout three times over, and the database.
const ADVANCE_TIMEOUT: Duration = Duration::from_secs(120);

/// One execution of a revision.
#[workflow]
#[derive(Default)]
pub(crate) struct RunActivity;

type Ended = (String, u32, Result<Value, Failure>);
type Running<'a> = Vec<LocalBoxFuture<'a, Ended>>;

#[workflow_methods]
impl RunActivity {
    /// Takes the raw payload: one that does not decode must fail the workflow, not its task for ever.
    #[run(name = "RunActivity")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, input: RawValue) -> WorkflowResult<String> {
        let input = decode_input(&input).map_err(|failure| fail(&failure))?;
        let ctx: &WorkflowContext<Self> = ctx;
        let mut running = Running::new();
        let (mut results, mut started) = (Vec::new(), Vec::new());
        loop {
            let question =
                AdvanceInput { input: input.clone(), results: std::mem::take(&mut results), started: started.clone() };
            let next = ctx.execute_local_activity(Activities::advance, question, advance_options()).await?;
            let awaited = match next {
                Next::Run { start, awaited } => {
                    started.extend(start.iter().map(|start| (start.task.clone(), start.index)));
                    running.extend(start.into_iter().map(|start| begin(ctx, start)));
                    awaited
                }
                Next::Completed => return Ok("completed".into()),
                Next::Duplicate { of } => return Ok(format!("duplicate of {of}")),
                Next::Skipped { reason } => return Ok(format!("skipped: {reason}")),
                Next::Failed { failure } => return Err(fail(&failure).into()),
            };
            if running.is_empty() {
                return Err(fail(&Failure::new("Stuck", "nothing runs and nothing was decided")).into());
            }
            running = collect(running, &awaited, &mut results).await;
        }
    }
}

/// Waits until a task has ended whose end may let another be decided, or until none runs.
async fn collect<'a>(mut running: Running<'a>, awaited: &[String], results: &mut Vec<TaskResult>) -> Running<'a> {
    while !running.is_empty() {
        let ((task, index, result), _, rest) = select_all(running).await;
        running = rest;
        let due = result.is_err() || awaited.contains(&task);
        results.push(TaskResult { task, index, result });
        if due {
            break;
        }
    }
    running
}

fn begin<'a>(ctx: &'a WorkflowContext<RunActivity>, start: Start) -> LocalBoxFuture<'a, Ended> {
    let options = options(&start);
    let (task, index) = (start.task.clone(), start.index);
    match start.foreign {
        Some(foreign) => {
            let input = RawValue::from_value(&foreign.input, &PayloadConverter::default());
            let call = ctx.execute_activity(UntypedActivity::new(foreign.activity), input, options);
            Box::pin(async move { (task, index, foreign_result(call.await)) })
        }
        None => {
            let input = TaskInput { task: start.task, index, run: start.run, timeout: start.limits.timeout };
            let call = ctx.execute_activity(Activities::run_task, input, options);
            Box::pin(async move { (task, index, call.await.map(|()| Value::Null).map_err(|error| failure(&error))) })
        }
    }
}

fn options(start: &Start) -> ActivityOptions {
    let Limits { timeout, deadline, .. } = start.limits;
    let timeouts = match deadline {
        Some(deadline) => {
            ActivityCloseTimeouts::ScheduleAndStartToClose { start_to_close: timeout, schedule_to_close: deadline }
        }
        None => ActivityCloseTimeouts::StartToClose(timeout),
    };
    ActivityOptions::with_close_timeouts(timeouts)
        .activity_id(format!("{}/{}", start.task, start.index))
        .maybe_task_queue(start.foreign.as_ref().map(|foreign| foreign.task_queue.clone()))
        .retry_policy(retry(&start.limits))
        .build()
}

fn retry(limits: &Limits) -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(limits.initial_interval)
        .backoff_coefficient(limits.backoff)
        .maximum_interval(limits.max_interval)
        .maximum_attempts(limits.max_attempts)
        .non_retryable_error_types(limits.non_retryable.clone())
        .build()
}

/// A database or lookup that is away is waited for; what can never succeed comes back non-retryable.
fn advance_options() -> LocalActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_millis(200))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(5))
        .build();
    LocalActivityOptions::builder().start_to_close_timeout(ADVANCE_TIMEOUT).retry_policy(retry).build()
}

fn decode_input(input: &RawValue) -> Result<RunInput, Failure> {
    let bytes = input.payloads.first().map(|payload| payload.data.as_slice()).unwrap_or_default();
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::new("InvalidInput", format!("the workflow's input is no run: {error}")))
}

fn foreign_result(result: Result<RawValue, ActivityExecutionError>) -> Result<Value, Failure> {
    let output = result.map_err(|error| failure(&error))?;
    let payload = output.payloads.first().map(|payload| payload.data.as_slice()).unwrap_or_default();
    if payload.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(payload)
        .map_err(|error| Failure::new("InvalidOutput", format!("the worker's answer is no JSON: {error}")))
}

/// What a task's final failure is called: the type that its worker gave it, or what Temporal saw.
fn failure(error: &ActivityExecutionError) -> Failure {
    match error.reason() {
        Some(IncomingError::Application(application)) => {
            let kind = application.type_name().unwrap_or("ApplicationFailure");
            Failure::new(kind, application.source_error().to_string())
        }
        Some(IncomingError::Timeout(timeout)) => {
            Failure::new("Timeout", format!("{:?} timeout", timeout.timeout_type()))
        }
        _ if matches!(error, ActivityExecutionError::Cancelled(_)) => Failure::new("Cancelled", error.to_string()),
        _ => Failure::new("ActivityFailure", error.to_string()),
    }
}

fn fail(failure: &Failure) -> ApplicationFailure {
    ApplicationFailure::builder(failure.message.clone()).type_name(failure.kind.clone()).non_retryable(true).build()
}
