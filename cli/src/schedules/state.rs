//! How a schedule stands: what is wanted, what Temporal has, and what its ticks became.

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use spine_core::{ticks, words};
use spine_store::{PauseRow, Store, TickRow, rfc3339};
use temporalio_client::Client;
use time::OffsetDateTime;

use super::wanted::{self, Wanted};
use super::{AT_ONCE, proto, temporal};

/// One schedule in a list.
#[derive(Serialize)]
pub(crate) struct State {
    /// `NAME/INDEX`.
    pub(crate) schedule: String,
    pub(crate) activity: String,
    pub(crate) trigger: usize,
    pub(crate) rule: String,
    /// The next tick, before jitter; none while it is paused, or if none comes.
    pub(crate) next: Option<String>,
    pub(crate) last: Option<TickRow>,
    pub(crate) enabled: bool,
    pub(crate) paused: Option<PauseRow>,
    /// What is not in Temporal as it should be.
    pub(crate) drift: Vec<&'static str>,
}

/// What Temporal counts.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    pub(crate) started: i64,
    pub(crate) beyond_catch_up_window: i64,
    pub(crate) dropped_for_overlap: i64,
    pub(crate) dropped_as_too_many: i64,
    pub(crate) waiting: i64,
}

/// Every schedule, by name, and those in Temporal that nobody wants.
pub(crate) async fn all(client: &Client, store: &Store) -> anyhow::Result<Vec<State>> {
    let wanted = wanted::all(store).await?;
    let mut strays = temporal::list(client).await?;
    strays.retain(|id, _| !wanted.contains_key(id));
    let states = wanted.values().map(|wanted| async move {
        let (drift, _) = drift(client, wanted).await?;
        state(store, wanted, drift).await
    });
    let states: Vec<_> = states.collect();
    let mut states: Vec<State> = futures::stream::iter(states).buffered(AT_ONCE).try_collect().await?;
    states.extend(strays.into_keys().map(|id| stray(&id)));
    Ok(states)
}

/// One schedule.
pub(crate) async fn state(store: &Store, wanted: &Wanted, drift: Vec<&'static str>) -> anyhow::Result<State> {
    Ok(State {
        schedule: wanted.name(),
        activity: wanted.activity.clone(),
        trigger: wanted.index,
        rule: wanted.rule(),
        next: next(wanted, 1).pop(),
        last: store.ticks_of(&wanted.activity, wanted.index, 1).await?.pop(),
        enabled: wanted.enabled,
        paused: wanted.pause.clone(),
        drift,
    })
}

/// Its next ticks, before jitter; none while it is paused.
pub(crate) fn next(wanted: &Wanted, count: usize) -> Vec<String> {
    if wanted.is_paused() {
        return Vec::new();
    }
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let next = std::iter::successors(wanted.times.next_after(now), |at| wanted.times.next_after(*at));
    next.take(count).filter_map(time).map(rfc3339).collect()
}

/// A time in whole seconds, as one.
pub(crate) fn time(second: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(second).ok()
}

/// What is not in Temporal as it should be, and what Temporal counts.
pub(crate) async fn drift(client: &Client, wanted: &Wanted) -> anyhow::Result<(Vec<&'static str>, Counts)> {
    let Some(there) = temporal::describe(client, &wanted.id()).await? else {
        let due = wanted.times.next_after(OffsetDateTime::now_utc().unix_timestamp()).is_some();
        return Ok((if due { vec!["missing"] } else { Vec::new() }, Counts::default()));
    };
    let schedule = there.schedule.unwrap_or_default();
    let mut drift = proto::differences(wanted, &schedule);
    let paused = schedule.state.as_ref().is_some_and(|state| state.paused);
    drift.extend((paused != wanted.is_paused()).then_some("pause"));
    let info = there.info.unwrap_or_default();
    let counts = Counts {
        started: info.action_count,
        beyond_catch_up_window: info.missed_catchup_window,
        dropped_for_overlap: info.overlap_skipped,
        dropped_as_too_many: info.buffer_dropped,
        waiting: info.buffer_size,
    };
    Ok((drift, counts))
}

fn stray(id: &str) -> State {
    State {
        schedule: id.trim_start_matches("spine/").to_owned(),
        activity: String::new(),
        trigger: 0,
        rule: String::new(),
        next: None,
        last: None,
        enabled: false,
        paused: None,
        drift: vec!["not in the registry"],
    }
}

/// What `missed` says, in words.
pub(crate) fn missed(wanted: &Wanted) -> String {
    use spine_core::activity::MissedPolicy;
    let missed = wanted.trigger.missed;
    let policy = match missed.policy {
        MissedPolicy::CatchUp => "catch_up",
        MissedPolicy::Skip => "skip",
        MissedPolicy::Compress => "compress",
    };
    let window = words::span(ticks::catch_up_window(missed));
    format!("{policy} within {}; Temporal makes up for {window}", words::span(missed.within))
}
