//! Whether the database answers, for health and metrics: without it, runs wait and nothing else tells.

use std::time::Duration;

use spine_runtime::health::Component;
use spine_store::Store;
use tokio::time::{sleep, timeout};

use crate::context::chain;

/// How often it is asked: a probe that comes every few seconds sees what is so.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it may take to answer: one that is stopped keeps its connections open.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for ever, and notes what comes back.
pub(crate) async fn watch(store: &Store, component: &Component) {
    let mut was_up = None;
    loop {
        let state = match timeout(PATIENCE, store.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("no answer in {PATIENCE:?}")),
        };
        match &state {
            Ok(()) => component.up(),
            Err(why) => component.down(format!("runs wait for the database: {why}")),
        }
        if was_up.replace(state.is_ok()) != Some(state.is_ok())
            && let Err(why) = &state
        {
            tracing::warn!(error = why, "the database is away; runs wait for it");
        }
        sleep(PAUSE).await;
    }
}
