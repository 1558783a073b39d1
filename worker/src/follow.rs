//! Waits for the end of a run that another execution makes, as the end of a call.
//!
//! Invariant: a call ends as its run's row says, whichever execution ended that run.

use std::time::Duration;

use serde_json::Value;
use spine_core::run::{Failure, RunStatus};
use spine_store::{Store, StoreError};
use temporalio_common::RetryPolicy;
use temporalio_sdk::{ActivityOptions, WorkflowContext};
use temporalio_workflow::{ActivityCancellationType, ActivityCloseTimeouts, WorkflowCancellationToken};

use crate::flight;
use crate::protocol::{End, FollowInput};
use crate::task::Activities;

/// How long it may take to look at one row.
const LOOK: Duration = Duration::from_secs(10);
/// How soon it is looked again, and how rarely at most: attempts leave nothing in history.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// The end of `run`: its id, for the call's output, or why it failed. To be cancelled ends the wait, not that run.
pub(crate) async fn until_end<W: 'static>(
    ctx: &WorkflowContext<W>,
    run: String,
    deadline: Option<Duration>,
    token: WorkflowCancellationToken,
) -> Result<Value, Failure> {
    let timeouts = match deadline {
        Some(deadline) => {
            ActivityCloseTimeouts::ScheduleAndStartToClose { start_to_close: LOOK, schedule_to_close: deadline }
        }
        None => ActivityCloseTimeouts::StartToClose(LOOK),
    };
    let retry = RetryPolicy::builder().initial_interval(PAUSES.0).backoff_coefficient(2.0).maximum_interval(PAUSES.1);
    let options = ActivityOptions::with_close_timeouts(timeouts)
        .retry_policy(retry.build())
        .cancellation_token(token)
        .cancellation_type(ActivityCancellationType::TryCancel)
        .build();
    match ctx.execute_activity(Activities::follow, FollowInput { run: run.clone() }, options).await {
        Ok(End::Completed) => Ok(Value::String(run)),
        Ok(End::Failed { failure }) => Err(failure),
        Err(error) => Err(flight::failure(&error)),
    }
}

/// How the run has ended, or that it has not.
pub(crate) async fn end(store: &Store, id: &str) -> Result<Result<End, Failure>, StoreError> {
    let Some(run) = store.load_run_within(id, 0).await? else {
        return Ok(Err(Failure::new("CallNotEnded", format!("run {id} has not begun"))));
    };
    let named = |failure: Option<Failure>| {
        let failure = failure.unwrap_or_else(|| Failure::new("Unknown", "no reason was kept"));
        Failure::new(failure.kind, format!("run {id}: {}", failure.message))
    };
    Ok(match run.status {
        RunStatus::Running => Err(Failure::new("CallNotEnded", format!("run {id} goes on"))),
        RunStatus::Completed => Ok(End::Completed),
        RunStatus::Failed => Ok(End::Failed { failure: named(run.error) }),
        RunStatus::Cancelled => Ok(End::Failed { failure: Failure::cancelled(format!("run {id}: it was cancelled")) }),
    })
}
