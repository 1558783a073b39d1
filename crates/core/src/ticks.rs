//! What becomes of a schedule's ticks: the one that has arrived, and those that never will.
//!
//! Times are whole Unix seconds. A tick *arrives* when its workflow asks what to do. Temporal drops ticks: while
//! it was away for too long, while an earlier run goes on, while the schedule is paused. Such a tick never arrives;
//! it is recorded when a later one does.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::activity::{Missed, MissedPolicy, Overlap, ScheduleTrigger, Times};
use crate::words;

/// The most ticks of one gap that are recorded one by one: those nearest to the one that arrived. Older ones share
/// a record that counts them.
pub const MAX_RECORDS: usize = 100;
/// The furthest back that ticks are looked for that never arrived.
pub const MAX_GAP: i64 = 366 * 86_400;
/// The most starts that Temporal keeps waiting for one schedule; what comes then is dropped.
pub const MAX_WAITING: usize = 1000;

/// The shortest and the longest time for which Temporal makes up for ticks that it missed.
const CATCH_UP_BOUNDS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(365 * 86_400));

/// What Temporal does with a tick while a workflow of the same schedule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collision {
    /// It drops it.
    Drop,
    /// It keeps one.
    KeepOne,
    /// It keeps all, and starts them one after another.
    KeepAll,
    /// It starts it.
    Start,
    /// It cancels what runs, then starts it.
    Cancel,
}

/// How long after its time Temporal may still start a tick.
pub fn catch_up_window(missed: Missed) -> Duration {
    missed.within.clamp(CATCH_UP_BOUNDS.0, CATCH_UP_BOUNDS.1)
}

/// What Temporal is told to do with ticks that collide. To Temporal a run that waits for a worker is one that goes
/// on: where each tick is to be caught up, none may be dropped for that, and [`settle`] finds the real overlaps.
pub fn collision(missed: Missed, overlap: Overlap) -> Collision {
    match (missed.policy, overlap) {
        (MissedPolicy::CatchUp, Overlap::Skip | Overlap::BufferOne) => Collision::KeepAll,
        (_, Overlap::Skip) => Collision::Drop,
        (_, Overlap::BufferOne) => Collision::KeepOne,
        (_, Overlap::Allow) => Collision::Start,
        (_, Overlap::CancelOther) => Collision::Cancel,
    }
}

/// A time in which there is a reason for a tick not to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first second.
    pub from: i64,
    /// Its end, not part of it; `None` while it goes on.
    pub to: Option<i64>,
    /// What was going on.
    pub what: Reason,
}

impl Span {
    fn covers(&self, at: i64) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

/// Why a tick that comes in a [`Span`] does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A run of an earlier tick was going on.
    Run {
        /// Its id.
        id: String,
        /// The time of its tick.
        tick: i64,
    },
    /// The schedule was paused.
    Paused {
        /// By whom, and why.
        why: String,
    },
    /// The activity was disabled.
    Disabled,
}

/// A tick that has arrived, and what is known when it does.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// The schedule.
    pub schedule: &'a ScheduleTrigger,
    /// The tick's time.
    pub at: i64,
    /// Now.
    pub now: i64,
    /// Who asked for this tick, out of turn or again.
    pub asked_by: Option<&'a str>,
    /// The last tick before this one that is recorded, under the same rule.
    pub last: Option<i64>,
    /// What went on since then, in no particular order.
    pub spans: &'a [Span],
}

/// What becomes of it, and of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Of the tick that has arrived.
    pub verdict: Verdict,
    /// Of ticks that have not arrived, in order.
    pub others: Vec<Other>,
}

/// What becomes of a tick that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs.
    Run {
        /// With `compress`: the ticks that it stands for.
        ticks: Option<Window>,
    },
    /// It does not.
    Skip {
        /// Why.
        reason: String,
    },
}

/// The ticks that one run stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first of them.
    pub from: i64,
    /// The last of them.
    pub to: i64,
    /// How many.
    pub count: usize,
}

/// Ticks in a row that have not arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Which; one of them alone, unless they are many.
    pub ticks: Window,
    /// Why they are skipped; `None` if the run of the tick that arrived stands for them.
    pub skipped: Option<String>,
}

/// Decides.
pub fn settle(arrival: &Arrival<'_>, times: &Times) -> Settled {
    if arrival.asked_by.is_some() {
        let compress = arrival.schedule.missed.policy == MissedPolicy::Compress;
        let ticks = compress.then_some(Window { from: arrival.at, to: arrival.at, count: 1 });
        return Settled { verdict: Verdict::Run { ticks }, others: Vec::new() };
    }
    let missing = missing(arrival, times);
    match overlaps(arrival).or_else(|| too_late(arrival)) {
        Some(reason) => Settled { verdict: Verdict::Skip { reason }, others: grouped(missing) },
        None if arrival.schedule.missed.policy == MissedPolicy::Compress => compress(arrival, times, missing),
        None => Settled { verdict: Verdict::Run { ticks: None }, others: grouped(missing) },
    }
}

/// A tick that has not arrived, and what went on at its time.
type Lost<'a> = (i64, Option<&'a Reason>);

/// Every tick since the last recorded one. What has no reason in what went on, Temporal did not start.
fn missing<'a>(arrival: &Arrival<'a>, times: &Times) -> Vec<Lost<'a>> {
    let Some(last) = arrival.last else { return Vec::new() };
    let since = last.max(arrival.at - MAX_GAP);
    times.between(since, arrival.at - 1).map(|at| (at, reason_at(arrival.spans, at))).collect()
}

/// A pause says more than a run that was going on meanwhile.
fn reason_at(spans: &[Span], at: i64) -> Option<&Reason> {
    let mut reasons = spans.iter().filter(|span| span.covers(at)).map(|span| &span.what);
    let first = reasons.next()?;
    Some(reasons.find(|reason| !matches!(reason, Reason::Run { .. })).unwrap_or(first))
}

/// Where Temporal keeps colliding ticks for the sake of those that are caught up, the overlap is found here.
fn overlaps(arrival: &Arrival<'_>) -> Option<String> {
    let Arrival { schedule, at, spans, .. } = arrival;
    if collision(schedule.missed, schedule.overlap) != Collision::KeepAll {
        return None;
    }
    let runs = || {
        spans
            .iter()
            .filter_map(|span| if let Reason::Run { id, tick } = &span.what { Some((span, id, *tick)) } else { None })
    };
    let (_, going_on, _) = runs().find(|(span, _, _)| span.covers(*at))?;
    if schedule.overlap == Overlap::Skip {
        return Some(format!("overlap: {going_on} was going on"));
    }
    // One may wait: that it did shows in its beginning after this tick's time.
    let (_, waiting, _) = runs().find(|(span, _, tick)| span.from > *at && tick < at)?;
    Some(format!("overlap: {going_on} was going on, and {waiting} was waiting"))
}

fn too_late(arrival: &Arrival<'_>) -> Option<String> {
    let Arrival { schedule, at, now, .. } = arrival;
    let late = Duration::from_secs(u64::try_from(now - at).unwrap_or(0));
    let allowed = schedule.missed.within + schedule.jitter;
    let missed = || format!("missed: {} late, and {} is allowed", words::span(late), words::span(allowed));
    (late > allowed).then(missed)
}

/// One run for the tick that arrived, those that were missed before it and are not too old, and those that are due.
/// Ticks that overlapped a run count as missed, so that the windows of the runs have no hole.
fn compress(arrival: &Arrival<'_>, times: &Times, missing: Vec<Lost<'_>>) -> Settled {
    let Arrival { schedule, at, now, .. } = arrival;
    let oldest = now - i64::try_from(schedule.missed.within.as_secs()).unwrap_or(i64::MAX);
    let is_folded = |(at, reason): &Lost<'_>| *at >= oldest && matches!(reason, None | Some(Reason::Run { .. }));
    let (before, skipped): (Vec<Lost<'_>>, Vec<Lost<'_>>) = missing.into_iter().partition(is_folded);
    let due: Vec<i64> = times.between(*at, *now).collect();
    let folded: Vec<i64> = before.into_iter().map(|(at, _)| at).chain(due).collect();
    let ticks = Window {
        from: folded.first().map_or(*at, |first| *first.min(at)),
        to: folded.last().map_or(*at, |last| *last.max(at)),
        count: folded.len() + 1,
    };
    let mut others = grouped(skipped);
    others.extend(windows(&folded).into_iter().map(|ticks| Other { ticks, skipped: None }));
    Settled { verdict: Verdict::Run { ticks: Some(ticks) }, others }
}

/// One record for each of the last of them, and for the older ones a record for each reason.
fn grouped(lost: Vec<Lost<'_>>) -> Vec<Other> {
    let lost: Vec<(i64, String)> = lost.into_iter().map(|(at, reason)| (at, told(reason))).collect();
    let (old, recent) = lost.split_at(lost.len().saturating_sub(MAX_RECORDS));
    let old = old.chunk_by(|a, b| a.1 == b.1).map(|chunk| {
        let window = Window { from: chunk[0].0, to: chunk[chunk.len() - 1].0, count: chunk.len() };
        Other { ticks: window, skipped: Some(chunk[0].1.clone()) }
    });
    let recent = recent
        .iter()
        .map(|(at, reason)| Other { ticks: Window { from: *at, to: *at, count: 1 }, skipped: Some(reason.clone()) });
    old.chain(recent).collect()
}

fn told(reason: Option<&Reason>) -> String {
    match reason {
        None => {
            "missed: Temporal did not start it; it was away for longer than `missed` allows, or too many waited".into()
        }
        Some(Reason::Run { id, .. }) => format!("overlap: {id} was going on"),
        Some(Reason::Paused { why }) => format!("the schedule was paused {why}"),
        Some(Reason::Disabled) => "the activity was disabled".into(),
    }
}

fn windows(ticks: &[i64]) -> Vec<Window> {
    let (old, recent) = ticks.split_at(ticks.len().saturating_sub(MAX_RECORDS));
    let old = old.first().zip(old.last()).map(|(from, to)| Window { from: *from, to: *to, count: old.len() });
    old.into_iter().chain(recent.iter().map(|at| Window { from: *at, to: *at, count: 1 })).collect()
}
