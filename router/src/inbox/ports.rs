//! What the reader asks of whoever keeps the inbox.

use std::time::Duration;

use futures::future::BoxFuture;
use spine_core::inbox::{Batch, Specs};

/// Where batches go, and the position with them.
pub trait Inbox: Send + Sync {
    /// Takes the turn to read, or returns `None` while another process has it.
    fn take_turn(&self) -> BoxFuture<'_, Result<Option<Box<dyn Turn>>, InboxError>>;

    /// The sequence of the last message that was read.
    fn position(&self) -> BoxFuture<'_, Result<u64, InboxError>>;

    /// The specs of every revision that there is or was.
    fn specs(&self) -> BoxFuture<'_, Result<KnownSpecs, InboxError>>;

    /// Writes a batch and moves the position, both or neither.
    fn deliver<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Outcome, InboxError>>;

    /// Forgets events that were received longer ago than this, as many as may be done at once.
    fn forget(&self, age: Duration) -> BoxFuture<'_, Result<(), InboxError>>;
}

/// The turn to read, for as long as it lives.
pub trait Turn: Send {
    /// Returns when it is lost. Safe to cancel.
    fn lost(&mut self) -> BoxFuture<'_, ()>;

    /// Gives it back at once.
    fn release(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Specs, and when they were all.
#[derive(Clone, Debug)]
pub struct KnownSpecs {
    /// The version of the registry that they were loaded under.
    pub registry_version: u64,
    /// The specs.
    pub specs: Specs,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is written.
    Written,
    /// Nothing was written: the registry has changed since the specs were loaded.
    Outdated,
    /// Nothing was written: the position is not where the batch begins.
    Overtaken,
}

/// Why the inbox did not do what it was asked; it may later.
#[derive(Debug, thiserror::Error)]
#[error("use the inbox")]
pub struct InboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
