//! Makes Temporal Schedules equal to the registry.

use std::collections::BTreeMap;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use serde::Serialize;
use serde_json::Value;
use spine_core::activity::{self, Calendar, Document, Overlap, ScheduleSpec as Rule, ScheduleTrigger, Trigger};
use spine_core::run::{RunInput, RunTrigger};
use spine_core::{canonical, names};
use spine_store::{Applied, Change, Kind, Store};
use temporalio_client::Client;
use temporalio_client::schedules::{
    CreateScheduleOptions, ListSchedulesOptions, ScheduleAction, ScheduleCalendarSpec, ScheduleOverlapPolicy,
    ScheduleSpec, ScheduleUpdate,
};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{PayloadConverter, RawValue};

/// How many revisions are looked at to spare the work on schedules; more than that, and it is done anyway.
const MAX_ASKED: usize = 200;

/// What was done to one schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ScheduleChange {
    pub(crate) schedule: String,
    pub(crate) change: &'static str,
}

/// One schedule as the registry wants it.
struct Wanted {
    activity: String,
    index: usize,
    enabled: bool,
    trigger: ScheduleTrigger,
    /// What stands in the schedule's note, so that a difference is seen without describing each.
    note: String,
}

/// Creates, updates and deletes schedules until they are what the registry says. Those of others are left alone.
pub(crate) async fn sync(client: &Client, store: &Store) -> anyhow::Result<Vec<ScheduleChange>> {
    let wanted = wanted(store).await?;
    let mut existing = existing(client).await.context("list Temporal schedules")?;
    let mut changes = Vec::new();
    for (id, wanted) in &wanted {
        let change = match existing.remove(id) {
            Some(note) if note == wanted.note => continue,
            Some(_) => {
                update(client, id, wanted).await?;
                "updated"
            }
            None => {
                create(client, id, wanted).await?;
                "created"
            }
        };
        changes.push(ScheduleChange { schedule: id.clone(), change });
    }
    for id in existing.into_keys() {
        delete(client, &id).await?;
        changes.push(ScheduleChange { schedule: id, change: "deleted" });
    }
    Ok(changes)
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

async fn wanted(store: &Store) -> anyhow::Result<BTreeMap<String, Wanted>> {
    let state = store.catalog_state().await?;
    let hashes: Vec<String> = state.activities.iter().map(|entry| entry.hash.clone()).collect();
    let documents: BTreeMap<String, Value> = store.documents(&hashes).await?.into_iter().collect();
    let mut all = BTreeMap::new();
    for entry in state.activities {
        let Some(document) = documents.get(&entry.hash) else { continue };
        let name = format!("{} revision {}", entry.name, entry.revision);
        for document in activity::parse(&name, &document.to_string())? {
            let Document::Activity(definition) = document else { continue };
            for (index, trigger) in definition.value.triggers.into_iter().enumerate() {
                let Trigger::Schedule(trigger) = trigger else { continue };
                let note = note(&trigger, entry.enabled);
                let wanted = Wanted { activity: entry.name.clone(), index, enabled: entry.enabled, trigger, note };
                all.insert(names::schedule_id(&entry.name, index), wanted);
            }
        }
    }
    Ok(all)
}

/// The note of every schedule of ours, by id.
async fn existing(client: &Client) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut schedules = client.list_schedules(ListSchedulesOptions::default());
    while let Some(schedule) = schedules.try_next().await? {
        if schedule.schedule_id().starts_with("spine/") {
            all.insert(schedule.schedule_id().to_owned(), schedule.note().unwrap_or_default().to_owned());
        }
    }
    Ok(all)
}

/// Says what the schedule was made from; the input is not part of it, the worker reads that when it ticks.
fn note(trigger: &ScheduleTrigger, enabled: bool) -> String {
    let rule = format!("{:?} {} {:?} {:?}", trigger.spec, trigger.timezone, trigger.jitter, trigger.overlap);
    format!("spine {} {}", if enabled { "enabled" } else { "disabled" }, canonical::hash(&Value::from(rule)))
}

async fn create(client: &Client, id: &str, wanted: &Wanted) -> anyhow::Result<()> {
    let input = RunInput { activity: wanted.activity.clone(), trigger: RunTrigger::Schedule { trigger: wanted.index } };
    let action = ScheduleAction::start_workflow(
        UntypedWorkflow::new(names::RUN_WORKFLOW),
        RawValue::from_value(&input, &PayloadConverter::default()),
        names::TASK_QUEUE,
        names::scheduled_run_prefix(&wanted.activity),
    );
    let options = CreateScheduleOptions::builder()
        .action(action)
        .spec(spec(&wanted.trigger))
        .overlap_policy(overlap(wanted.trigger.overlap))
        .paused(!wanted.enabled)
        .note(wanted.note.clone())
        .build();
    client.create_schedule(id, options).await.with_context(|| format!("create schedule {id}"))?;
    Ok(())
}

/// Changes all that the registry knows of; what Temporal knows, such as the last tick, stays.
async fn update(client: &Client, id: &str, wanted: &Wanted) -> anyhow::Result<()> {
    let (spec, overlap) = (spec(&wanted.trigger), overlap(wanted.trigger.overlap));
    let (paused, note) = (!wanted.enabled, wanted.note.clone());
    let change = move |schedule: &mut ScheduleUpdate| {
        schedule.set_spec(spec).set_overlap_policy(overlap).set_paused(paused).set_note(note);
    };
    let updated = client.get_schedule_handle(id).update(change, Default::default()).await;
    updated.with_context(|| format!("update schedule {id}"))
}

async fn delete(client: &Client, id: &str) -> anyhow::Result<()> {
    client.get_schedule_handle(id).delete(Default::default()).await.with_context(|| format!("delete schedule {id}"))
}

fn spec(trigger: &ScheduleTrigger) -> ScheduleSpec {
    let (mut cron, mut intervals, mut calendars) = (Vec::new(), Vec::new(), Vec::new());
    match &trigger.spec {
        Rule::Cron(text) => cron.push(text.clone()),
        Rule::Every(every) => intervals.push((*every).into()),
        Rule::Calendar(parts) => calendars.push(calendar(parts)),
    }
    let jitter = Some(trigger.jitter).filter(|jitter| !jitter.is_zero());
    ScheduleSpec::builder()
        .cron_strings(cron)
        .intervals(intervals)
        .calendars(calendars)
        .timezone_name(trigger.timezone.clone())
        .maybe_jitter(jitter)
        .build()
}

fn calendar(parts: &Calendar) -> ScheduleCalendarSpec {
    let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let any = |numbers: &Option<Vec<u32>>| numbers.as_deref().map_or_else(|| "*".to_owned(), list);
    ScheduleCalendarSpec::builder()
        .minute(list(&parts.minute))
        .hour(list(&parts.hour))
        .day_of_month(any(&parts.day_of_month))
        .month(any(&parts.month))
        .day_of_week(any(&parts.day_of_week))
        .year(any(&parts.year))
        .build()
}

fn overlap(overlap: Overlap) -> ScheduleOverlapPolicy {
    match overlap {
        Overlap::Skip => ScheduleOverlapPolicy::Skip,
        Overlap::BufferOne => ScheduleOverlapPolicy::BufferOne,
        Overlap::Allow => ScheduleOverlapPolicy::AllowAll,
        Overlap::CancelOther => ScheduleOverlapPolicy::CancelOther,
    }
}
