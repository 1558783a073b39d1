//! What starts a run by itself.

mod times;

use std::time::Duration;

use serde_json::Value;

use crate::canonical;

pub use times::{Rhythm, Times};

/// When a schedule ticks.
#[derive(Clone, Debug)]
pub struct ScheduleTrigger {
    /// The rule.
    pub spec: ScheduleSpec,
    /// IANA time zone name; `UTC` if none is given.
    pub timezone: String,
    /// The most by which a tick is moved, at random.
    pub jitter: Duration,
    /// What becomes of ticks that no one could act on in time.
    pub missed: Missed,
    /// What happens when a tick comes while a run of an earlier one is going on.
    pub overlap: Overlap,
    /// `input`: becomes `event.data` of the trigger event.
    pub input: Value,
}

impl ScheduleTrigger {
    /// A hash of what its times follow from.
    pub fn rule(&self) -> String {
        canonical::hash(&Value::from(format!("{:?} {}", self.spec, self.timezone)))
    }
}

/// The rule of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleSpec {
    /// Five fields, as in crontab(5).
    Cron(String),
    /// A fixed interval, at least one second, counted from the Unix epoch.
    Every(Duration),
    /// Times by their parts.
    Calendar(Calendar),
}

/// Times by their parts, all of which must fit. Each part holds every number that fits; `None` stands for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// 0 to 59.
    pub minute: Vec<u32>,
    /// 0 to 23.
    pub hour: Vec<u32>,
    /// 1 to 31.
    pub day_of_month: Option<Vec<u32>>,
    /// 1 to 12.
    pub month: Option<Vec<u32>>,
    /// 0 (Sunday) to 6.
    pub day_of_week: Option<Vec<u32>>,
    /// 2000 to 2100.
    pub year: Option<Vec<u32>>,
}

/// What becomes of ticks that no one could act on in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// What becomes of them.
    pub policy: MissedPolicy,
    /// How late a tick may run; [`Missed::PUNCTUAL`] with [`MissedPolicy::Skip`].
    pub within: Duration,
}

impl Missed {
    /// How late a tick may run that is not to run late: room for a worker that is being replaced, and for clocks
    /// that differ.
    pub const PUNCTUAL: Duration = Duration::from_secs(60);
}

impl Default for Missed {
    fn default() -> Self {
        Self { policy: MissedPolicy::Skip, within: Self::PUNCTUAL }
    }
}

/// What becomes of missed ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedPolicy {
    /// Each runs late.
    CatchUp,
    /// None runs.
    Skip,
    /// One run stands for them all.
    Compress,
}

/// What happens when a tick comes while a run of an earlier one is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overlap {
    /// The tick is skipped.
    #[default]
    Skip,
    /// One run waits, further ticks are skipped.
    BufferOne,
    /// Both run.
    Allow,
    /// The earlier run is cancelled.
    CancelOther,
}
