//! Schedules as the registry and its operators want them.

use std::collections::BTreeMap;

use anyhow::anyhow;
use serde_json::Value;
use spine_core::activity::{self, Document, ScheduleSpec, ScheduleTrigger, Times, Trigger};
use spine_core::run::{RunInput, RunTrigger};
use spine_core::{canonical, names, words};
use spine_store::{PauseRow, Store};
use temporalio_common::protos::temporal::api::schedule::v1::Schedule;

use super::proto;

/// Every note of ours begins so; the word after it says in which state, and then comes a hash of the rest.
const MARK: &str = "spine ";

/// One schedule.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) activity: String,
    /// Which of the activity's triggers.
    pub(crate) index: usize,
    pub(crate) enabled: bool,
    pub(crate) pause: Option<PauseRow>,
    pub(crate) trigger: ScheduleTrigger,
    pub(crate) times: Times,
}

impl Wanted {
    pub(crate) fn id(&self) -> String {
        names::schedule_id(&self.activity, self.index)
    }

    /// What operators call it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.activity, self.index)
    }

    pub(crate) fn is_paused(&self) -> bool {
        !self.enabled || self.pause.is_some()
    }

    /// What starts each of its runs.
    pub(crate) fn input(&self) -> RunInput {
        RunInput { activity: self.activity.clone(), trigger: RunTrigger::Schedule { trigger: self.index } }
    }

    /// What stands in Temporal as the schedule's note: in which state it is and why, and a hash of all the rest, so
    /// that a difference shows without asking for each schedule.
    pub(crate) fn note(&self) -> String {
        let hash = canonical::hash(&Value::from(format!("{:?}", proto::without_state(self))));
        match &self.pause {
            _ if !self.enabled => format!("{MARK}disabled {hash}"),
            Some(pause) => format!("{MARK}paused {hash} by {}", who_and_why(pause)),
            None => format!("{MARK}enabled {hash}"),
        }
    }

    /// The whole of it, as Temporal takes it.
    pub(crate) fn proto(&self) -> Schedule {
        proto::with_state(self, self.is_paused(), self.note())
    }

    /// Its rule, in words.
    pub(crate) fn rule(&self) -> String {
        let rule = match &self.trigger.spec {
            ScheduleSpec::Cron(text) => format!("cron {text}"),
            ScheduleSpec::Every(every) => return format!("every {}", words::span(*every)),
            ScheduleSpec::Calendar(_) => "calendar".into(),
        };
        format!("{rule} {}", self.trigger.timezone)
    }
}

/// `ada: maintenance`.
pub(crate) fn who_and_why(pause: &PauseRow) -> String {
    pause.reason.as_ref().map_or_else(|| pause.by.clone(), |reason| format!("{}: {reason}", pause.by))
}

/// Whether Temporal's note says that we have paused the schedule.
pub(super) fn says_paused(note: &str) -> bool {
    ["disabled", "paused"].iter().any(|state| note.starts_with(&format!("{MARK}{state} ")))
}

/// Whether Temporal's note is one of ours.
pub(super) fn is_ours(note: &str) -> bool {
    note.starts_with(MARK)
}

/// All schedules, by id.
pub(crate) async fn all(store: &Store) -> anyhow::Result<BTreeMap<String, Wanted>> {
    let state = store.catalog_state().await?;
    let hashes: Vec<String> = state.activities.iter().map(|entry| entry.hash.clone()).collect();
    let documents: BTreeMap<String, Value> = store.documents(&hashes).await?.into_iter().collect();
    let mut pauses: BTreeMap<(String, usize), PauseRow> = BTreeMap::new();
    for pause in store.paused_schedules().await? {
        pauses.insert((pause.activity.clone(), usize::try_from(pause.trigger)?), pause);
    }
    let mut all = BTreeMap::new();
    for entry in state.activities {
        let Some(document) = documents.get(&entry.hash) else { continue };
        let name = format!("{} revision {}", entry.name, entry.revision);
        for (index, trigger) in schedules_of(&name, document)? {
            let times = Times::of(&trigger).map_err(|message| anyhow!("{name}: spec.on[{index}]: {message}"))?;
            let pause = pauses.remove(&(entry.name.clone(), index));
            let activity = entry.name.clone();
            let wanted = Wanted { activity, index, enabled: entry.enabled, pause, trigger, times };
            all.insert(wanted.id(), wanted);
        }
    }
    Ok(all)
}

fn schedules_of(name: &str, document: &Value) -> anyhow::Result<Vec<(usize, ScheduleTrigger)>> {
    let mut found = Vec::new();
    for document in activity::parse(name, &document.to_string())? {
        let Document::Activity(definition) = document else { continue };
        for (index, trigger) in definition.value.triggers.into_iter().enumerate() {
            if let Trigger::Schedule(trigger) = trigger {
                found.push((index, trigger));
            }
        }
    }
    Ok(found)
}
