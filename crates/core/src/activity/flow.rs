//! Flow control: how many runs there are, and when.

use std::time::Duration;

use crate::expression::Expression;

/// Limits on the runs of an activity. At least one is set.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What the limits are counted by; the activity as a whole if there is none.
    pub key: Option<Expression>,
    /// Runs at once; the rest waits.
    pub concurrency: Option<u32>,
    /// Starts in a span of time; the rest waits.
    pub throttle: Option<Rate>,
    /// Starts in a span of time; the rest is skipped.
    pub rate_limit: Option<Rate>,
    /// One run, for the last event, once no more have come for a while.
    pub debounce: Option<Debounce>,
    /// One run for many events.
    pub batch: Option<Batch>,
    /// Gives a whole number: of what waits, the smallest goes first.
    pub priority: Option<Expression>,
    /// At most one run at once.
    pub singleton: Option<Singleton>,
}

/// So many in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub limit: u32,
    /// In which time.
    pub per: Duration,
}

/// Waits for quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    /// How long no event must come.
    pub quiet: Duration,
    /// How long the first event waits at most; no less than `quiet`.
    pub at_most: Duration,
}

/// Gathers events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many fill it.
    pub size: u32,
    /// How long the first event waits at most.
    pub within: Duration,
}

/// What an event does that comes while a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Singleton {
    /// It is skipped.
    Skip,
    /// It cancels the run that goes on.
    CancelRunning,
}
