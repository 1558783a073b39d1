//! Following the catalog's head.

use std::time::Duration;

use async_nats::jetstream::kv::Watch;
use futures::StreamExt as _;
use futures::stream::{BoxStream, unfold};
use spine_core::catalog::CatalogState;
use spine_core::names::CATALOG_HEAD;
use tokio::time::{sleep, timeout};

use super::read::Reader;
use super::{Catalog, CatalogError, failed};
use crate::pause;

/// How often the head is read even if nothing was heard: what a watch can miss is found by this.
const POLL: Duration = Duration::from_secs(5);

pub(super) fn states(catalog: Catalog) -> BoxStream<'static, CatalogState> {
    let follower = Follower { reader: Reader::new(catalog.clone()), catalog, watch: None, last: None, failures: 0 };
    unfold(follower, |mut follower| async move {
        let state = follower.next().await;
        Some((state, follower))
    })
    .boxed()
}

struct Follower {
    catalog: Catalog,
    reader: Reader,
    watch: Option<Watch>,
    last: Option<CatalogState>,
    failures: usize,
}

impl Follower {
    /// The next state that differs from the last one.
    async fn next(&mut self) -> CatalogState {
        loop {
            match self.read().await {
                Ok(Some(state)) if self.last.as_ref() != Some(&state) => {
                    self.last = Some(state.clone());
                    return state;
                }
                Ok(_) => self.failures = 0,
                Err(error) => self.fail(&error).await,
            }
            self.wait().await;
        }
    }

    /// Opens the watch first if there is none, so that nothing that changes after the read is missed.
    async fn read(&mut self) -> Result<Option<CatalogState>, CatalogError> {
        if self.watch.is_none() {
            let watch = self.catalog.store().await?.watch(CATALOG_HEAD).await;
            self.watch = Some(watch.map_err(|error| failed("watch the head", error))?);
        }
        self.reader.state().await
    }

    /// Waits until the head may have changed.
    async fn wait(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        if let Ok(None | Some(Err(_))) = timeout(POLL, watch.next()).await {
            self.watch = None;
        }
    }

    async fn fail(&mut self, error: &CatalogError) {
        let pause = pause::after(self.failures);
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(%error, cause, ?pause, "failed to follow the catalog, trying again");
        self.failures += 1;
        self.watch = None;
        sleep(pause).await;
    }
}
