//! Makes Temporal Schedules equal to the registry, and tells where they are not.
//!
//! Who wins: a disabled activity's schedules are paused, whatever else is wanted. A pause by an operator stays until
//! an operator ends it: no change of the registry does. One made in Temporal itself counts as such a pause, as soon
//! as it is noticed. Anything else that was changed in Temporal itself is undone.

mod proto;
pub(crate) mod state;
pub(crate) mod temporal;
pub(crate) mod wanted;

use std::collections::BTreeMap;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::Value;
use spine_store::{Applied, Change, Kind, Store};
use temporalio_client::Client;
use time::OffsetDateTime;

use wanted::Wanted;

/// How many revisions are looked at to spare the work on schedules; more than that, and it is done anyway.
const MAX_ASKED: usize = 200;
/// How many schedules are looked at or changed at once.
const AT_ONCE: usize = 16;
/// Who paused what was paused in Temporal itself.
const BY_HAND: &str = "somebody in Temporal";

/// What was done to one schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ScheduleChange {
    pub(crate) schedule: String,
    pub(crate) change: &'static str,
    /// Of one that somebody had changed in Temporal itself: what was put right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) drift: Vec<&'static str>,
}

impl ScheduleChange {
    fn new(schedule: &str, change: &'static str) -> Self {
        Self { schedule: schedule.to_owned(), change, drift: Vec::new() }
    }

    /// What was done, as people read it.
    pub(crate) fn people(&self) -> String {
        if self.drift.is_empty() {
            self.change.to_owned()
        } else {
            format!("{}: {}", self.change, self.drift.join(", "))
        }
    }
}

/// How closely schedules are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// At the notes of all, and at those whose note is not as it should be.
    Notes,
    /// At all of every schedule: finds what was changed in Temporal itself.
    Everything,
}

/// Creates, updates, pauses and deletes schedules until they are what the registry says. Those of others are left
/// alone.
pub(crate) async fn sync(client: &Client, store: &Store, look: Look) -> anyhow::Result<Vec<ScheduleChange>> {
    let wanted = wanted::all(store).await?;
    let mut listed = temporal::list(client).await?;
    let mut work = Vec::new();
    for (id, wanted) in wanted {
        let there = listed.remove(&id);
        let as_noted = there.as_ref().is_some_and(|it| it.note == wanted.note() && it.paused == wanted.is_paused());
        if look == Look::Everything || !as_noted {
            work.push(bring(client, store, wanted, true));
        }
    }
    let changed: Vec<_> = futures::stream::iter(work).buffered(AT_ONCE).try_collect().await?;
    let mut changes: Vec<ScheduleChange> = changed.into_iter().flatten().collect();
    for id in listed.into_keys() {
        temporal::delete(client, &id).await?;
        forget_pause(store, &id).await?;
        changes.push(ScheduleChange::new(&id, "deleted"));
    }
    Ok(changes)
}

/// Makes one schedule what it should be; `adopt` says that a pause made in Temporal itself is to stay.
pub(crate) async fn bring(
    client: &Client,
    store: &Store,
    mut wanted: Wanted,
    adopt: bool,
) -> anyhow::Result<Option<ScheduleChange>> {
    let id = wanted.id();
    let Some(there) = temporal::describe(client, &id).await? else { return create(client, &wanted).await };
    let schedule = there.schedule.unwrap_or_default();
    let state = schedule.state.clone().unwrap_or_default();
    let adopted = adopt && state.paused && !wanted.is_paused() && !wanted::says_paused(&state.notes);
    if adopted {
        wanted.pause = adopt_pause(store, &wanted, &state.notes).await?;
    }
    let mut drift = proto::differences(&wanted, &schedule);
    drift.extend((state.paused != wanted.is_paused()).then_some("pause"));
    if drift.is_empty() && state.notes == wanted.note() {
        return Ok(None);
    }
    // A note of another state is that of the registry as it was; else it has been somebody else.
    let by_hand = state.notes == wanted.note() || !wanted::is_ours(&state.notes);
    temporal::update(client, &id, wanted.proto(), there.conflict_token).await?;
    Ok(Some(match (adopted, by_hand) {
        (true, _) => ScheduleChange { drift, ..ScheduleChange::new(&id, "left paused") },
        (false, true) => ScheduleChange { drift, ..ScheduleChange::new(&id, "mended") },
        (false, false) => ScheduleChange::new(&id, "updated"),
    }))
}

/// Makes one, unless it would never tick again: Temporal deletes such schedules by itself.
async fn create(client: &Client, wanted: &Wanted) -> anyhow::Result<Option<ScheduleChange>> {
    if wanted.times.next_after(OffsetDateTime::now_utc().unix_timestamp()).is_none() {
        return Ok(None);
    }
    let id = wanted.id();
    let created = temporal::create(client, &id, wanted.proto()).await?;
    Ok(created.then(|| ScheduleChange::new(&id, "created")))
}

async fn adopt_pause(store: &Store, wanted: &Wanted, note: &str) -> anyhow::Result<Option<spine_store::PauseRow>> {
    let reason = Some(note).filter(|note| !wanted::is_ours(note) && !note.is_empty());
    store.pause_schedule(&wanted.activity, wanted.index, BY_HAND, reason).await?;
    let pauses = store.paused_schedules().await?;
    let ours = |pause: &spine_store::PauseRow| {
        pause.activity == wanted.activity && usize::try_from(pause.trigger) == Ok(wanted.index)
    };
    Ok(pauses.into_iter().find(ours))
}

/// A schedule that comes again under the same name does not come paused.
async fn forget_pause(store: &Store, id: &str) -> anyhow::Result<()> {
    let parts = id.strip_prefix("spine/").and_then(|name| name.split_once('/'));
    if let Some((activity, index)) = parts
        && let Ok(index) = index.parse()
    {
        store.resume_schedule(activity, index, "deletion").await?;
    }
    Ok(())
}

/// Whether a change of these may mean a change of schedules: if one of them has or had a schedule.
pub(crate) async fn are_touched(store: &Store, applied: &[Applied]) -> anyhow::Result<bool> {
    let changed = applied.iter().filter(|one| one.kind == Kind::Activity && one.change != Change::Unchanged);
    let mut asked = 0;
    for one in changed {
        for revision in [one.previous, one.revision].into_iter().flatten() {
            asked += 1;
            let found = store.revision(&one.name, revision).await?;
            if asked > MAX_ASKED || found.is_some_and(|found| has_schedule(&found.document)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn has_schedule(document: &Value) -> bool {
    let triggers = document.pointer("/spec/on").and_then(Value::as_array);
    triggers.is_some_and(|triggers| triggers.iter().any(|trigger| trigger.get("schedule").is_some()))
}

/// The schedule that an operator means: an activity's only one, or `NAME/INDEX`.
pub(crate) async fn named(store: &Store, name: &str) -> anyhow::Result<Wanted> {
    let all = wanted::all(store).await?;
    let candidates: BTreeMap<String, Wanted> = all
        .into_values()
        .filter(|wanted| wanted.activity == name || wanted.name() == name)
        .map(|wanted| (wanted.name(), wanted))
        .collect();
    let names: Vec<&str> = candidates.keys().map(String::as_str).collect();
    match names.as_slice() {
        [] => Err(anyhow::anyhow!("there is no schedule {name:?}; `spine schedules list` lists them")),
        [_] => candidates.into_values().next().context("find the schedule"),
        several => Err(crate::failure::invalid(format!("{name:?} has several schedules: {}", several.join(", ")))),
    }
}
