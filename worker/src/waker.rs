//! Wakes runs whose rows were changed by somebody outside of Temporal.

use std::time::Duration;

use futures::future::join_all;
use spine_core::names;
use spine_core::run::{RunInput, RunTrigger};
use spine_store::{Store, StoreError, Wake, WakeListener};
use temporalio_client::errors::WorkflowInteractionError;
use temporalio_client::{
    Client, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowSignalOptions, WorkflowStartOptions,
};
use temporalio_common::data_converters::{PayloadConverter, RawValue};

use crate::context::chain;
use crate::workflow::{ActivityInstance, RunActivity};

/// How many are woken at once: as many signals as a Temporal server takes in a moment.
const BATCH: u32 = 64;
/// How long it waits for a ring before it looks by itself.
const POLL: Duration = Duration::from_secs(1);

/// Wakes for ever. What can't be done now is done later: the rows stay.
pub(crate) async fn wake(store: &Store, client: &Client) {
    let mut listener = None;
    loop {
        if let Err(error) = step(store, client, &mut listener).await {
            tracing::warn!(error = chain(&error), "could not look for runs to wake, trying again");
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn step(store: &Store, client: &Client, listener: &mut Option<WakeListener>) -> Result<(), StoreError> {
    let bell = match listener {
        Some(bell) => bell,
        None => listener.insert(store.wake_listener().await?),
    };
    let wakes = store.claim_wakes(BATCH).await?;
    if wakes.is_empty() {
        bell.wait(POLL).await;
        return Ok(());
    }
    join_all(wakes.iter().map(|wake| deliver(store, client, wake))).await.into_iter().collect()
}

/// Wakes one run.
async fn deliver(store: &Store, client: &Client, wake: &Wake) -> Result<(), StoreError> {
    let woken = match names::is_instance(&wake.run) {
        true => wake_instance(store, client, &wake.run).await?,
        false => wake_run(client, &wake.run).await,
    };
    match woken {
        Ok(()) => store.settle_wake(wake).await,
        Err(error) => {
            tracing::warn!(run = wake.run, error, "could not wake a run, trying again in a moment");
            Ok(())
        }
    }
}

/// Signals a run. One that has ended has nothing to look at any more.
async fn wake_run(client: &Client, run: &str) -> Result<(), String> {
    let handle = client.get_workflow_handle::<RunActivity>(run);
    let signalled = handle.signal(RunActivity::wake, RawValue::default(), WorkflowSignalOptions::default()).await;
    is_there(signalled).map(drop)
}

/// Whether there was somebody to signal.
fn is_there(signalled: Result<(), WorkflowInteractionError>) -> Result<bool, String> {
    match signalled {
        Ok(()) => Ok(true),
        Err(WorkflowInteractionError::NotFound(_)) => Ok(false),
        Err(error) => Err(chain(&error)),
    }
}

/// Signals an instance, and starts its workflow if there is none while its run goes on: it was opened with its first
/// event, or somebody has terminated it.
async fn wake_instance(store: &Store, client: &Client, run: &str) -> Result<Result<(), String>, StoreError> {
    let handle = client.get_workflow_handle::<ActivityInstance>(run);
    let options = WorkflowSignalOptions::default();
    match is_there(handle.signal(ActivityInstance::wake, RawValue::default(), options).await) {
        Ok(false) if store.reclaim_instance(run).await? => {}
        signalled => return Ok(signalled.map(drop)),
    }
    let activity = run.split('/').nth(1).unwrap_or_default().to_owned();
    let input = RunInput { activity, trigger: RunTrigger::Instance };
    let input = RawValue::from_value(&input, &PayloadConverter::default());
    let options = WorkflowStartOptions::new(names::TASK_QUEUE, run)
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
        .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
        .build();
    let (workflow, signal) = (ActivityInstance::run, ActivityInstance::wake);
    let started = client.signal_with_start_workflow(workflow, input, signal, RawValue::default(), options).await;
    Ok(started.map(drop).map_err(|error| chain(&error)))
}
