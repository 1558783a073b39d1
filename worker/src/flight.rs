//! Task instances that a run has started and that have not ended: activities, other runs, and time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, LocalBoxFuture, select};
use serde_json::Value;
use spine_core::names;
use spine_core::planning;
use spine_core::run::{Failure, FailureClass};
use spine_core::words;
use temporalio_common::RetryPolicy;
use temporalio_common::UntypedActivity;
use temporalio_common::data_converters::{PayloadConverter, RawValue};
use temporalio_common::error::{
    ActivityExecutionError, ChildWorkflowExecutionError, IncomingError, RetryState, TimeoutType,
};
use temporalio_sdk::{
    ActivityOptions, ChildWorkflowOptions, StartChildWorkflowExecutionFailedCause as NotStarted, TimerOptions,
    WorkflowContext,
};
use temporalio_workflow::{
    ActivityCancellationType, ActivityCloseTimeouts, ChildWorkflowStartError, TimerResult, WorkflowCancellationToken,
    WorkflowIdReusePolicy,
};

use crate::follow;
use crate::heartbeat;
use crate::protocol::{Child, Limits, Pause, Start, TaskInput};
use crate::task::Activities;
use crate::workflow::{DUPLICATE_OF, RunActivity};

/// How an instance ended: its task, its index, and its output or why it failed.
pub(crate) type Ended = (String, u32, Result<Value, Failure>);

/// One instance that has not ended.
pub(crate) struct Flight<'a> {
    task: String,
    index: u32,
    /// Whether nobody performs it.
    pause: bool,
    /// Takes it back where nobody waits for it any more. Of a task, it follows the run's cancellation.
    token: WorkflowCancellationToken,
    result: LocalBoxFuture<'a, Result<Value, Failure>>,
}

impl Flight<'_> {
    /// Its task and index.
    pub(crate) fn instance(&self) -> (String, u32) {
        (self.task.clone(), self.index)
    }

    /// Whether nobody performs it, so that another execution can wait for it as well.
    pub(crate) fn is_pause(&self) -> bool {
        self.pause
    }

    /// Takes it back, unless it takes work back itself.
    pub(crate) fn stop(&self) {
        if !self.pause && names::undone_by(&self.task).is_none() {
            self.token.cancel();
        }
    }

    /// Whether it is one of those that ended elsewhere; its timer is taken back then.
    pub(crate) fn is_over(&self, ended: &[(String, u32)]) -> bool {
        let over = ended.iter().any(|(task, index)| *task == self.task && *index == self.index);
        if over {
            self.token.cancel();
        }
        over
    }
}

impl Future for Flight<'_> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        self.result.as_mut().poll(cx).map(|result| (self.task.clone(), self.index, result))
    }
}

/// Starts an instance. What takes work back goes on when the run is cancelled.
pub(crate) fn begin<W: 'static>(ctx: &WorkflowContext<W>, start: Start) -> Flight<'_> {
    // A timer must not be cancelled with the run: the SDK panics, each time anew, where it fires in the same moment.
    let token = match start.is_pause() || names::undone_by(&start.task).is_some() {
        true => WorkflowCancellationToken::new(),
        false => ctx.cancellation_token().child_token(),
    };
    let (task, index, pause) = (start.task.clone(), start.index, start.is_pause());
    let result: LocalBoxFuture<'_, _> = match (&start.foreign, &start.child, &start.pause) {
        (_, Some(child), _) => Box::pin(call(ctx, child.clone(), start.limits.deadline, token.clone())),
        (_, _, Some(pause)) => Box::pin(wait(ctx, pause.clone(), token.clone())),
        (Some(foreign), ..) => {
            let input = RawValue::from_value(&foreign.input, &PayloadConverter::default());
            let activity = UntypedActivity::new(foreign.activity.clone());
            let call = ctx.execute_activity(activity, input, options(&start, &token));
            Box::pin(async move { foreign_result(call.await) })
        }
        _ => {
            let options = options(&start, &token);
            let input = TaskInput { task: start.task, index, run: start.run, timeout: start.limits.timeout };
            let call = ctx.execute_activity(Activities::run_task, input, options);
            Box::pin(async move { call.await.map(|()| Value::Null).map_err(|error| failure(&error)) })
        }
    };
    Flight { task, index, pause, token, result }
}

/// Lets time pass. Without an end, something else ends the task, and the run is woken.
async fn wait<W: 'static>(
    ctx: &WorkflowContext<W>,
    pause: Pause,
    token: WorkflowCancellationToken,
) -> Result<Value, Failure> {
    let Some(after) = pause.after else { return std::future::pending().await };
    let timer = ctx.timer(TimerOptions::builder(after).cancellation_token(token).build());
    match (timer.await, pause.completes) {
        // The rows say what becomes of what was given up; the run asks them.
        (TimerResult::Cancelled, _) => std::future::pending().await,
        (TimerResult::Fired, true) => Ok(Value::Null),
        (TimerResult::Fired, false) => Err(deadline_over(after, None)),
    }
}

/// How a call went on.
enum Called {
    /// Its run is this one's child, and ended well.
    Completed,
    /// Another execution makes, or made, the run with this id.
    Elsewhere(String),
}

/// Runs another activity. Where that run is there already, its end is the call's.
async fn call<W: 'static>(
    ctx: &WorkflowContext<W>,
    child: Child,
    deadline: Option<Duration>,
    token: WorkflowCancellationToken,
) -> Result<Value, Failure> {
    match run_child(ctx, &child, deadline, token.clone()).await? {
        Called::Completed => Ok(Value::Null),
        Called::Elsewhere(run) => follow::until_end(ctx, run, deadline, token).await,
    }
}

/// Runs a child. It is cancelled, and undoes what it did, when the deadline is over. One that failed before is begun
/// again: that this run was retried is the only way to come here twice.
async fn run_child<W: 'static>(
    ctx: &WorkflowContext<W>,
    child: &Child,
    deadline: Option<Duration>,
    token: WorkflowCancellationToken,
) -> Result<Called, Failure> {
    let options = ChildWorkflowOptions::builder()
        .workflow_id(child.run.clone())
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicateFailedOnly)
        .cancellation_token(token.clone())
        .build();
    let input = RawValue::from_value(&child.input, &PayloadConverter::default());
    let result = match ctx.start_child_workflow(RunActivity::run, input, options).await {
        Ok(started) => started.result(),
        Err(error) => return not_started(child, &error),
    };
    let Some(deadline) = deadline else { return called(child, result.await) };
    let timer_token = WorkflowCancellationToken::new();
    let timer = ctx.timer(TimerOptions::builder(deadline).cancellation_token(timer_token.clone()).build());
    match select(Box::pin(result), Box::pin(timer)).await {
        Either::Left((result, _)) => {
            timer_token.cancel();
            called(child, result)
        }
        Either::Right((TimerResult::Cancelled, result)) => called(child, result.await),
        Either::Right((TimerResult::Fired, result)) => {
            token.cancel();
            match called(child, result.await) {
                Err(last) => Err(deadline_over(deadline, Some(&last.message))),
                completed => completed,
            }
        }
    }
}

fn not_started(child: &Child, error: &ChildWorkflowStartError) -> Result<Called, Failure> {
    match error {
        ChildWorkflowStartError::Cancelled(_) => Err(Failure::cancelled("its run was cancelled")),
        ChildWorkflowStartError::StartFailed { cause, .. } if *cause == NotStarted::WorkflowAlreadyExists => {
            Ok(Called::Elsewhere(child.run.clone()))
        }
        other => Err(Failure::new("CallFailed", format!("run {} could not be started: {other}", child.run))),
    }
}

fn called(child: &Child, result: Result<String, ChildWorkflowExecutionError>) -> Result<Called, Failure> {
    let error = match result {
        Ok(said) => {
            return match (said.strip_prefix("skipped: "), said.strip_prefix(DUPLICATE_OF)) {
                (Some(reason), _) => Err(Failure::new("CallSkipped", reason)),
                (_, Some(run)) => Ok(Called::Elsewhere(run.to_owned())),
                _ => Ok(Called::Completed),
            };
        }
        Err(error) => error,
    };
    let named = |message: &str| format!("run {}: {message}", child.run);
    Err(match error.reason() {
        Some(IncomingError::Application(application)) => {
            let kind = application.type_name().unwrap_or("ApplicationFailure");
            Failure::new(kind, named(&application.source_error().to_string()))
        }
        Some(IncomingError::Cancelled(_)) => Failure::cancelled(named("it was cancelled")),
        _ => Failure::new("CallFailed", named(&error.to_string())),
    })
}

fn options(start: &Start, token: &WorkflowCancellationToken) -> ActivityOptions {
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
        // A foreign worker's activity may know nothing of heartbeats.
        .maybe_heartbeat_timeout(start.foreign.is_none().then_some(heartbeat::SILENCE))
        .cancellation_token(token.clone())
        // What is under way ends first: only then is it known whether there is something to undo.
        .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
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

fn foreign_result(result: Result<RawValue, ActivityExecutionError>) -> Result<Value, Failure> {
    let output = result.map_err(|error| failure(&error))?;
    let payload = output.payloads.first().map(|payload| payload.data.as_slice()).unwrap_or_default();
    if payload.is_empty() {
        return Ok(Value::Null);
    }
    if payload.len() > planning::MAX_OUTPUT_BYTES {
        let message = format!(
            "the worker's answer has {} bytes; at most {} are allowed",
            payload.len(),
            planning::MAX_OUTPUT_BYTES
        );
        return Err(Failure::new("OutputTooLarge", message));
    }
    serde_json::from_slice(payload)
        .map_err(|error| Failure::new("InvalidOutput", format!("the worker's answer is no JSON: {error}")))
}

/// What a task's final failure is called: the type that its worker gave it, or what Temporal saw.
pub(crate) fn failure(error: &ActivityExecutionError) -> Failure {
    let ActivityExecutionError::Failed(failed) = error else {
        return match error {
            ActivityExecutionError::Cancelled(_) => Failure::cancelled("its run was cancelled"),
            other => Failure::new("ActivityFailure", other.to_string()),
        };
    };
    let state = failed.retry_state();
    if state == RetryState::CancelRequested {
        let unknown = matches!(error.reason(), Some(IncomingError::Timeout(_)));
        let unknown = if unknown { "; how far its last attempt came is not known" } else { "" };
        return Failure::cancelled(format!("its run was cancelled, and it was not tried again{unknown}"));
    }
    let last = match error.reason() {
        Some(IncomingError::Application(application)) => {
            let kind = application.type_name().unwrap_or("ApplicationFailure");
            let class = match state {
                RetryState::NonRetryableFailure => FailureClass::NonRetryable,
                _ => FailureClass::Retryable,
            };
            Failure::new(kind, application.source_error().to_string()).of(class)
        }
        Some(IncomingError::Timeout(timeout)) if timeout.timeout_type() == TimeoutType::ScheduleToClose => {
            return Failure::deadline("its deadline is over");
        }
        Some(IncomingError::Timeout(timeout)) if timeout.timeout_type() == TimeoutType::Heartbeat => {
            let silence = words::span(heartbeat::SILENCE);
            Failure::timed_out(format!("its worker was not heard of for {silence}; how far it came is not known"))
        }
        Some(IncomingError::Timeout(timeout)) => {
            Failure::timed_out(format!("an attempt took too long ({:?})", timeout.timeout_type()))
        }
        _ => Failure::new("ActivityFailure", error.to_string()),
    };
    match state {
        RetryState::Timeout => Failure::deadline(format!(
            "its deadline leaves no time for another attempt; the last one failed as {}: {}",
            last.kind, last.message
        )),
        _ => last,
    }
}

fn deadline_over(deadline: Duration, last: Option<&str>) -> Failure {
    let last = last.map(|last| format!("; {last}")).unwrap_or_default();
    Failure::deadline(format!("the deadline of {} is over{last}", words::span(deadline)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_output_beyond_its_bound_is_named() {
        let given = |value: &Value| foreign_result(Ok(RawValue::from_value(value, &PayloadConverter::default())));
        assert_eq!(given(&json!({"risk": 0.5})), Ok(json!({"risk": 0.5})));
        let largest = json!("x".repeat(planning::MAX_OUTPUT_BYTES - 2));
        assert_eq!(given(&largest), Ok(largest));
        let failure = given(&json!("x".repeat(planning::MAX_OUTPUT_BYTES - 1))).err();
        let message = "the worker's answer has 262145 bytes; at most 262144 are allowed";
        assert_eq!(failure, Some(Failure::new("OutputTooLarge", message)));
    }
}
