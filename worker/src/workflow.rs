//! The workflow `RunActivity`: asks what comes next, starts it, asks again.
//!
//! Invariant: what it does depends on its input and on recorded results alone. Futures are polled in the
//! order in which they were started, so a replay takes the same path.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select, select_all};
use spine_core::run::{Failure, RunInput, TaskResult};
use temporalio_common::RetryPolicy;
use temporalio_common::data_converters::RawValue;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{LocalActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowResult};
use temporalio_workflow::{WaitConditionOptions, WorkflowCancellationToken, WorkflowTermination};

use crate::flight::{Flight, begin};
use crate::protocol::{AdvanceInput, Next};
use crate::task::Activities;

/// How long one `AdvanceRun` may take: the longest context timeout three times over, and the database.
const ADVANCE_TIMEOUT: Duration = Duration::from_secs(120);

/// What an execution says that did nothing, because the run that follows has done it. Part of recorded histories.
pub(crate) const DUPLICATE_OF: &str = "duplicate of ";

/// One execution of a revision.
#[workflow]
#[derive(Default)]
pub(crate) struct RunActivity {
    /// How often it was told to look at its rows again.
    woken: u64,
}

#[workflow_methods]
impl RunActivity {
    /// Takes the raw payload: one that does not decode must fail the workflow, not its task for ever.
    #[run(name = "RunActivity")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, input: RawValue) -> WorkflowResult<String> {
        let input = decode_input(&input).map_err(|failure| fail(&failure))?;
        let ctx: &WorkflowContext<Self> = ctx;
        let (mut running, mut results) = (Vec::new(), Vec::new());
        loop {
            let seen = Seen { woken: ctx.state(|state| state.woken), cancelled: cancellation(ctx) };
            let question = AdvanceInput {
                input: input.clone(),
                results: std::mem::take(&mut results),
                started: running.iter().map(Flight::instance).collect(),
                cancelled: seen.cancelled.clone(),
            };
            let next = ctx.execute_local_activity(Activities::advance, question, advance_options()).await?;
            let awaited = match next {
                Next::Run { start, awaited, ended } => {
                    running.retain(|flight: &Flight<'_>| !flight.is_over(&ended));
                    running.extend(start.into_iter().map(|start| begin(ctx, start)));
                    awaited
                }
                Next::Completed => return Ok("completed".into()),
                Next::Duplicate { of } => return Ok(format!("{DUPLICATE_OF}{of}")),
                Next::Skipped { reason } => return Ok(format!("skipped: {reason}")),
                Next::Failed { failure } => return Err(fail(&failure).into()),
                Next::Cancelled { failure } => {
                    return Err(WorkflowTermination::cancelled_with_details(failure.message));
                }
            };
            if running.is_empty() {
                return Err(fail(&Failure::new("Stuck", "nothing runs and nothing was decided")).into());
            }
            running = collect(ctx, running, &seen, &awaited, &mut results).await;
        }
    }

    /// Something in the run's rows has changed that no task of Temporal tells of. The payload says nothing.
    #[signal(name = "Wake")]
    pub(crate) fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _payload: RawValue) {
        self.woken += 1;
    }
}

/// What the last question knew.
struct Seen {
    woken: u64,
    cancelled: Option<String>,
}

/// Why the run was cancelled, if it was.
fn cancellation(ctx: &WorkflowContext<RunActivity>) -> Option<String> {
    let token = ctx.cancellation_token();
    let reason = token.reason().filter(|reason| !reason.is_empty());
    token.is_cancelled().then(|| reason.unwrap_or_else(|| "it was cancelled".into()))
}

/// Waits until a task has ended whose end may let another be decided, until none runs, or until something has
/// happened that the last question did not know of.
async fn collect<'a>(
    ctx: &'a WorkflowContext<RunActivity>,
    mut running: Vec<Flight<'a>>,
    seen: &Seen,
    awaited: &[String],
    results: &mut Vec<TaskResult>,
) -> Vec<Flight<'a>> {
    // A cancellation that is known already must not end the wait again.
    let known = seen.cancelled.as_ref().map(|_| WorkflowCancellationToken::new());
    let options = WaitConditionOptions::builder().maybe_cancellation_token(known).build();
    let mut news = pin!(ctx.wait_condition_with_options(|state| state.woken != seen.woken, options));
    while !running.is_empty() {
        match select(select_all(running), &mut news).await {
            Either::Left((((task, index, result), _, rest), _)) => {
                running = rest;
                let due = result.is_err() || awaited.contains(&task);
                results.push(TaskResult { task, index, result });
                if due {
                    break;
                }
            }
            Either::Right((_, flights)) => return flights.into_inner(),
        }
    }
    running
}

/// A database or lookup that is away is waited for; what can never succeed comes back non-retryable. A run that
/// was cancelled still has to say so.
fn advance_options() -> LocalActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_millis(200))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(5))
        .build();
    LocalActivityOptions::builder()
        .start_to_close_timeout(ADVANCE_TIMEOUT)
        .retry_policy(retry)
        .cancellation_token(WorkflowCancellationToken::new())
        .build()
}

fn decode_input(input: &RawValue) -> Result<RunInput, Failure> {
    let bytes = input.payloads.first().map(|payload| payload.data.as_slice()).unwrap_or_default();
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::new("InvalidInput", format!("the workflow's input is no run: {error}")))
}

fn fail(failure: &Failure) -> ApplicationFailure {
    ApplicationFailure::builder(failure.message.clone()).type_name(failure.kind.clone()).non_retryable(true).build()
}
