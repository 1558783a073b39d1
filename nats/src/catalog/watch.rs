//! Following the catalog's head.

use std::time::Duration;

use async_nats::jetstream::kv::Watch;
use futures::StreamExt as _;
use futures::stream::{BoxStream, unfold};
use spine_core::catalog::CatalogHead;
use spine_core::names::CATALOG_HEAD;
use tokio::time::{sleep, timeout};

use super::{Catalog, CatalogError, failed};
use crate::pause;

/// How often the head is read even if nothing was heard: what a watch can miss is found by this.
const POLL: Duration = Duration::from_secs(5);

pub(super) fn heads(catalog: Catalog) -> BoxStream<'static, CatalogHead> {
    let follower = Follower { catalog, watch: None, last: None, failures: 0 };
    unfold(follower, |mut follower| async move {
        let head = follower.next().await;
        Some((head, follower))
    })
    .boxed()
}

struct Follower {
    catalog: Catalog,
    watch: Option<Watch>,
    last: Option<CatalogHead>,
    failures: usize,
}

impl Follower {
    /// The next head that differs from the last one.
    async fn next(&mut self) -> CatalogHead {
        loop {
            match self.read().await {
                Ok(Some(head)) if self.last.as_ref() != Some(&head) => {
                    self.last = Some(head.clone());
                    return head;
                }
                Ok(_) => self.failures = 0,
                Err(error) => self.fail(&error).await,
            }
            self.wait().await;
        }
    }

    /// Opens the watch first if there is none, so that nothing that changes after the read is missed.
    async fn read(&mut self) -> Result<Option<CatalogHead>, CatalogError> {
        if self.watch.is_none() {
            let watch = self.catalog.store().await?.watch(CATALOG_HEAD).await;
            self.watch = Some(watch.map_err(|error| failed("watch the head".into(), error))?);
        }
        self.catalog.head().await
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
