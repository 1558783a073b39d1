//! The workflows `RunActivity` and `ActivityInstance`: they ask what comes next, start it, ask again.
//!
//! Invariant: what it does depends on its input and on recorded results alone. Futures are polled in the
//! order in which they were started, so a replay takes the same path.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, select, select_all};
use spine_core::run::{Failure, RunInput, TaskResult};
use temporalio_common::RetryPolicy;
use temporalio_common::data_converters::RawValue;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{LocalActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowResult};
use temporalio_workflow::{ContinueAsNewOptions, WaitConditionOptions, WorkflowCancellationToken, WorkflowTermination};

use crate::flight::{Flight, begin};
use crate::protocol::{AdvanceInput, Next};
use crate::task::Activities;

/// How long one `AdvanceRun` may take: the longest context timeout three times over, and the database.
const ADVANCE_TIMEOUT: Duration = Duration::from_secs(120);

/// What an execution says that did nothing, because the run that follows has done it. Part of recorded histories.
pub(crate) const DUPLICATE_OF: &str = "duplicate of ";
/// From this many events on, an instance's history is handed over to another execution when nothing is under way.
/// Each time that an instance is woken costs five.
const LONG: u32 = 1_000;
/// From this many on, nothing new begins until that can be done. Temporal ends a history of 51,200.
const TOO_LONG: u32 = 10_000;

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
        match drive(ctx, &input, false).await? {
            Ended::With(words) => Ok(words),
            Ended::HandedOver => Err(fail(&Failure::new("Stuck", "a run can't be handed over")).into()),
        }
    }

    /// Something in the run's rows has changed that no task of Temporal tells of. The payload says nothing.
    #[signal(name = "Wake")]
    pub(crate) fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _payload: RawValue) {
        self.woken += 1;
    }
}

/// A long-lived run of a stateful activity, one for each key. Its events stand in its rows, so a history may end
/// anywhere, and another begin, with nothing to carry.
#[workflow]
#[derive(Default)]
pub(crate) struct ActivityInstance {
    /// How often it was told to look at its rows again.
    woken: u64,
}

#[workflow_methods]
impl ActivityInstance {
    /// As [`RunActivity::run`].
    #[run(name = "ActivityInstance")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, input: RawValue) -> WorkflowResult<String> {
        match drive(ctx, &input, true).await? {
            Ended::With(words) => Ok(words),
            Ended::HandedOver => match ctx.continue_as_new(input, ContinueAsNewOptions::default())? {},
        }
    }

    /// As [`RunActivity::wake`].
    #[signal(name = "Wake")]
    pub(crate) fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _payload: RawValue) {
        self.woken += 1;
    }
}

/// A workflow that can be told to look at its rows again.
trait Wakeable: 'static {
    /// How often it was.
    fn woken(&self) -> u64;
}

impl Wakeable for RunActivity {
    fn woken(&self) -> u64 {
        self.woken
    }
}

impl Wakeable for ActivityInstance {
    fn woken(&self) -> u64 {
        self.woken
    }
}

/// How an execution ends.
enum Ended {
    /// With these words.
    With(String),
    /// Another execution goes on.
    HandedOver,
}

/// Asks what comes next, starts that, and asks again, to the end. One that `lasts` may be handed over.
async fn drive<W: Wakeable>(
    ctx: &WorkflowContext<W>,
    input: &RawValue,
    lasts: bool,
) -> Result<Ended, WorkflowTermination> {
    let input = decode_input(input).map_err(|failure| fail(&failure))?;
    let (mut running, mut results) = (Vec::new(), Vec::new());
    loop {
        let seen = Seen { woken: ctx.state(W::woken), cancelled: cancellation(ctx) };
        let question = AdvanceInput {
            input: input.clone(),
            results: std::mem::take(&mut results),
            started: running.iter().map(Flight::instance).collect(),
            cancelled: seen.cancelled.clone(),
            // Another execution would not know that it was cancelled.
            hold: lasts && seen.cancelled.is_none() && is_long(ctx.history_length(), &running),
        };
        let next = ctx.execute_local_activity(Activities::advance, question, advance_options()).await?;
        let (awaited, again) = match next {
            Next::Run { start, awaited, ended, again, stop } => {
                running.retain(|flight: &Flight<'_>| !flight.is_over(&ended));
                running.extend(start.into_iter().map(|start| begin(ctx, start)));
                if stop {
                    running.iter().for_each(Flight::stop);
                }
                (awaited, again)
            }
            Next::Completed => return Ok(Ended::With("completed".into())),
            Next::Duplicate { of } => return Ok(Ended::With(format!("{DUPLICATE_OF}{of}"))),
            Next::Skipped { reason } => return Ok(Ended::With(format!("skipped: {reason}"))),
            Next::Continue => return Ok(Ended::HandedOver),
            Next::Failed { failure } => return Err(fail(&failure).into()),
            Next::Cancelled { failure } => {
                return Err(WorkflowTermination::cancelled_with_details(failure.message));
            }
        };
        if running.is_empty() {
            return Err(fail(&Failure::new("Stuck", "nothing runs and nothing was decided")).into());
        }
        if !again {
            running = collect(ctx, running, &seen, &awaited, &mut results, lasts).await;
        }
    }
}

/// Whether a history of this length is to be handed over as soon as that can be done.
fn is_long(length: u32, running: &[Flight<'_>]) -> bool {
    length >= TOO_LONG || length >= LONG && running.iter().all(Flight::is_pause)
}

/// What the last question knew.
struct Seen {
    woken: u64,
    cancelled: Option<String>,
}

/// Why the run was cancelled, if it was.
fn cancellation<W: 'static>(ctx: &WorkflowContext<W>) -> Option<String> {
    let token = ctx.cancellation_token();
    let reason = token.reason().filter(|reason| !reason.is_empty());
    token.is_cancelled().then(|| reason.unwrap_or_else(|| "it was cancelled".into()))
}

/// Waits until a task has ended whose end may let another be decided, until none runs, or until something has
/// happened that the last question did not know of. `all`: takes what has ended at the same moment as well.
async fn collect<'a, W: Wakeable>(
    ctx: &'a WorkflowContext<W>,
    mut running: Vec<Flight<'a>>,
    seen: &Seen,
    awaited: &[String],
    results: &mut Vec<TaskResult>,
    all: bool,
) -> Vec<Flight<'a>> {
    // A cancellation that is known already must not end the wait again.
    let known = seen.cancelled.as_ref().map(|_| WorkflowCancellationToken::new());
    let options = WaitConditionOptions::builder().maybe_cancellation_token(known).build();
    let mut news = pin!(ctx.wait_condition_with_options(|state| state.woken() != seen.woken, options));
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
    if all {
        std::future::poll_fn(|cx| {
            take_ended(&mut running, results, cx);
            Poll::Ready(())
        })
        .await;
    }
    running
}

/// Takes what has ended.
fn take_ended(running: &mut Vec<Flight<'_>>, results: &mut Vec<TaskResult>, cx: &mut Context<'_>) {
    running.retain_mut(|flight| match Pin::new(flight).poll(cx) {
        Poll::Ready((task, index, result)) => {
            results.push(TaskResult { task, index, result });
            false
        }
        Poll::Pending => true,
    });
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
