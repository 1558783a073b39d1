//! Wakes runs whose rows were changed by somebody outside of Temporal.

use std::time::Duration;

use futures::future::join_all;
use spine_store::{Store, StoreError, Wake, WakeListener};
use temporalio_client::errors::WorkflowInteractionError;
use temporalio_client::{Client, WorkflowSignalOptions};
use temporalio_common::data_converters::RawValue;

use crate::context::chain;
use crate::workflow::RunActivity;

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

/// Signals one run. One that has ended has nothing to look at any more.
async fn deliver(store: &Store, client: &Client, wake: &Wake) -> Result<(), StoreError> {
    let handle = client.get_workflow_handle::<RunActivity>(&wake.run);
    let payload = RawValue::default();
    match handle.signal(RunActivity::wake, payload, WorkflowSignalOptions::default()).await {
        Ok(()) | Err(WorkflowInteractionError::NotFound(_)) => store.settle_wake(wake).await,
        Err(error) => {
            tracing::warn!(run = wake.run, error = chain(&error), "could not wake a run, trying again in a moment");
            Ok(())
        }
    }
}
