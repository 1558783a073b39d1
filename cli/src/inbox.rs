//! Carries batches of events into PostgreSQL.

use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use spine_core::inbox::{Batch, Specs, WaitSpec};
use spine_router::inbox::{Inbox, InboxError, KnownSpecs, Outcome, Turn};
use spine_store::{Delivered, Duty, DutyLock, Store};

/// The inbox in the database.
pub(crate) struct StoreInbox(pub(crate) Store);

struct StoreTurn(DutyLock);

impl Inbox for StoreInbox {
    fn take_turn(&self) -> BoxFuture<'_, Result<Option<Box<dyn Turn>>, InboxError>> {
        async move {
            let lock = self.0.try_duty(Duty::Inbox).await.map_err(failed)?;
            Ok(lock.map(|lock| Box::new(StoreTurn(lock)) as Box<dyn Turn>))
        }
        .boxed()
    }

    fn position(&self) -> BoxFuture<'_, Result<u64, InboxError>> {
        async move {
            let position = self.0.inbox_position().await.map_err(failed)?;
            position.context("find the inbox; run `spine provision`").map_err(failed)
        }
        .boxed()
    }

    fn specs(&self) -> BoxFuture<'_, Result<KnownSpecs, InboxError>> {
        async move {
            let registered = self.0.wait_specs().await.map_err(failed)?;
            let read = |content| {
                // A spec of a newer version of Spine: its runs are executed by workers of that version only.
                WaitSpec::read(content).map_err(|error| tracing::error!(%error, "a spec is left out")).ok()
            };
            let specs = Specs::of(registered.contents.iter().filter_map(read));
            Ok(KnownSpecs { registry_version: registered.version, specs })
        }
        .boxed()
    }

    fn deliver<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Outcome, InboxError>> {
        async move {
            Ok(match self.0.deliver_inbox(batch).await.map_err(failed)? {
                Delivered::Written => Outcome::Written,
                Delivered::Outdated => Outcome::Outdated,
                Delivered::Overtaken => Outcome::Overtaken,
            })
        }
        .boxed()
    }

    fn forget(&self, age: Duration) -> BoxFuture<'_, Result<(), InboxError>> {
        async move {
            while self.0.forget_inbox(age).await.map_err(failed)? > 0 {}
            Ok(())
        }
        .boxed()
    }
}

impl Turn for StoreTurn {
    fn lost(&mut self) -> BoxFuture<'_, ()> {
        self.0.lost().boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            if let Err(error) = self.0.release().await {
                tracing::debug!(%error, "the turn to read ends with its connection");
            }
        }
        .boxed()
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> InboxError {
    InboxError(error.into())
}
