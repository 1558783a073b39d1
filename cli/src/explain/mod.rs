//! Why an event does what it does: said beforehand from definitions, or afterwards from what was recorded.

pub(crate) mod definitions;
pub(crate) mod earlier;
pub(crate) mod near;
pub(crate) mod people;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use spine_core::admission::{self, Delivery, Rejection};
use spine_core::decision::Verdict;
use spine_core::event::Event;
use spine_core::names;
use spine_core::planning::Request;
use spine_core::rehearsal::{self, Given, Rehearsal};
use spine_store::TaskRow;

use self::definitions::Definitions;
use self::earlier::Earlier;
use self::near::NearType;

/// What would become of an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Prediction {
    /// The event, if it is one.
    pub(crate) event: Option<Event>,
    /// What is known of earlier messages with its source and id, where servers were to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) earlier: Option<Earlier>,
    /// What a router would decide: `started`, `unmatched`, `duplicate` or `rejected`.
    pub(crate) decision: &'static str,
    /// Why it would be rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rejected: Option<Refusal>,
    /// Whether its payload was checked against a schema.
    pub(crate) schema_checked: bool,
    /// Each activity that listens to its type: those that match, then the nearest misses, then all others.
    pub(crate) verdicts: Vec<Verdict>,
    /// Types that were probably meant, the nearest first.
    pub(crate) near: Vec<NearType>,
    /// What each run would do.
    pub(crate) runs: Vec<PredictedRun>,
}

/// Why an event may not come in.
#[derive(Debug, Serialize)]
pub(crate) struct Refusal {
    /// The code.
    pub(crate) reason: &'static str,
    /// In words.
    pub(crate) detail: String,
}

/// What one run would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PredictedRun {
    pub(crate) activity: String,
    pub(crate) revision: u32,
    /// Its id, if an earlier message started it, so that another one does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_before: Option<String>,
    #[serde(flatten)]
    pub(crate) rehearsal: Rehearsal,
}

/// Decides about the bytes of an event (JSON event format) as a router would, and rehearses every run.
/// `given` answers for the outside world in each.
pub(crate) fn predict(definitions: &Definitions, bytes: &[u8], given: &Given) -> Prediction {
    let event = match Event::from_json(bytes) {
        Ok(event) => event,
        Err(error) => return rejected(None, error.into()),
    };
    let subject = names::event_subject(&event.event_type);
    let delivery = Delivery { subject: &subject, bytes: bytes.len(), deliveries: 1 };
    let schema = || definitions.schemas.validate(&event.event_type, &event.data);
    let admitted = admission::before_decode(&delivery)
        .and_then(|()| admission::after_decode(&delivery, &event))
        .and_then(|()| definitions.sources.check(&event, time::OffsetDateTime::now_utc()))
        .and_then(|()| {
            schema().map_err(|detail| Rejection::new(spine_core::decision::DeadReason::SchemaViolation, detail))
        });
    if let Err(rejection) = admitted {
        return rejected(Some(event), rejection);
    }
    let verdicts = verdicts(definitions, &event);
    let runs: Vec<PredictedRun> = verdicts
        .iter()
        .filter(|verdict| verdict.matched)
        .filter_map(|one| run(definitions, one, &event, given))
        .collect();
    Prediction {
        decision: if runs.is_empty() { "unmatched" } else { "started" },
        rejected: None,
        schema_checked: definitions.has_schema(&event.event_type),
        near: definitions.near(&event.event_type, &verdicts),
        event: Some(event),
        earlier: None,
        verdicts,
        runs,
    }
}

/// The nearest misses are those that the record of a decision would keep.
fn verdicts(definitions: &Definitions, event: &Event) -> Vec<Verdict> {
    let kept: BTreeSet<String> = definitions.index.decide(event).into_iter().map(|verdict| verdict.activity).collect();
    let mut verdicts = definitions.index.explain(event);
    verdicts.sort_by_key(|verdict| (!verdict.matched, !kept.contains(&verdict.activity)));
    verdicts
}

impl Prediction {
    /// Takes into account what earlier messages with this source and id became: no run is started twice.
    pub(crate) fn remember(&mut self, earlier: Earlier) {
        let Some(key) = self.event.as_ref().map(Event::key) else { return };
        for run in &mut self.runs {
            run.started_before = Some(names::run_id(&run.activity, &key)).filter(|id| earlier.started(id));
        }
        if !self.runs.is_empty() && self.runs.iter().all(|run| run.started_before.is_some()) {
            self.decision = "duplicate";
        }
        self.earlier = Some(earlier);
    }
}

fn rejected(event: Option<Event>, rejection: Rejection) -> Prediction {
    let refusal = Refusal { reason: rejection.reason.as_str(), detail: rejection.detail };
    Prediction {
        event,
        earlier: None,
        decision: "rejected",
        rejected: Some(refusal),
        schema_checked: false,
        verdicts: Vec::new(),
        near: Vec::new(),
        runs: Vec::new(),
    }
}

fn run(definitions: &Definitions, verdict: &Verdict, event: &Event, given: &Given) -> Option<PredictedRun> {
    let activity = definitions.activity(&verdict.activity)?;
    let rehearsal = rehearsal::rehearse(activity, verdict.revision, event, given);
    Some(PredictedRun {
        activity: verdict.activity.clone(),
        revision: verdict.revision,
        started_before: None,
        rehearsal,
    })
}

/// The rendered work of a task that a run decided, as it would stand under `with`.
pub(crate) fn rendered(task: &TaskRow) -> Option<Value> {
    let request: Request = serde_json::from_value(task.request.clone()?).ok()?;
    Some(request.with())
}
