//! What became of an event: gathered from the streams, the database and Temporal.

mod history;
pub(crate) mod people;
pub(crate) mod timeline;

use std::time::{Duration, Instant};

use async_nats::jetstream;
use serde::Serialize;
use serde_json::Value;
use spine_core::decision::Decision;
use spine_core::key::EventKey;
use spine_core::run::RunStatus;
use spine_nats::decisions;
use spine_store::{AttemptRow, AuditRow, GivenTo, InstanceEvent, PublishState, RunEvent, RunRow, Store, TaskRow};
use temporalio_client::Client;

/// How many events of an instance are shown.
const EVENTS_SHOWN: u32 = 1000;
/// How often [`settled`] looks again.
const POLL: Duration = Duration::from_millis(50);

/// One event: its decisions and the runs that they started.
#[derive(Debug, Serialize)]
pub(crate) struct EventTrace {
    /// The event as it stands in the EVENTS stream, while it does and can be read.
    pub(crate) event: Option<Value>,
    /// The decision for each message with this source and id, the first first.
    pub(crate) decisions: Vec<Decision>,
    /// What became of it in stateful activities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) instances: Vec<GivenTo>,
    /// The runs.
    pub(crate) runs: Vec<RunTrace>,
}

/// One run: what it decided on, what it did, what it said.
#[derive(Debug, Serialize)]
pub(crate) struct RunTrace {
    pub(crate) run: RunRow,
    /// Of an instance: its last events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) given: Vec<InstanceEvent>,
    pub(crate) tasks: Vec<TaskRow>,
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) events: Vec<RunEvent>,
    pub(crate) audit: Vec<AuditRow>,
}

impl EventTrace {
    /// Whether nothing more will happen: every run that was started has ended and told the world.
    fn is_settled(&self) -> bool {
        let started =
            self.decisions.iter().flat_map(|decision| &decision.verdicts).filter_map(|verdict| verdict.run.as_ref());
        let mut started = started.peekable();
        let known = |run: &String| self.runs.iter().any(|trace| trace.run.id == *run && trace.is_settled());
        !self.decisions.is_empty() && self.is_given() && (started.peek().is_none() || started.all(known))
    }

    /// Whether every instance that it is for has folded it, or will not.
    fn is_given(&self) -> bool {
        let verdicts = self.decisions.iter().flat_map(|decision| &decision.verdicts);
        let mut meant = verdicts.filter(|verdict| verdict.instance.is_some());
        let given = |activity: &str| self.instances.iter().find(|given| given.activity == activity);
        meant.all(|verdict| given(&verdict.activity).is_some_and(|given| given.folded || given.reason.is_some()))
    }
}

impl RunTrace {
    fn is_settled(&self) -> bool {
        self.run.status != RunStatus::Running && self.events.iter().all(|event| event.state != PublishState::Pending)
    }
}

/// What is known of the events with this id, one trace a source.
pub(crate) async fn event(sources: &Sources<'_>, source: Option<&str>, id: &str) -> anyhow::Result<Vec<EventTrace>> {
    let found = match source {
        Some(source) => decisions::of_key(sources.jetstream, &EventKey::new(source, id)).await?,
        None => decisions::of_id(sources.jetstream, id).await?,
    };
    let mut traces: Vec<EventTrace> = Vec::new();
    for decision in found {
        match traces.iter_mut().find(|trace| trace.decisions.iter().any(|known| known.key == decision.key)) {
            Some(trace) => trace.decisions.push(decision),
            None => traces.push(EventTrace {
                event: None,
                decisions: vec![decision],
                instances: Vec::new(),
                runs: Vec::new(),
            }),
        }
    }
    for trace in &mut traces {
        trace.decisions.sort_by_key(|decision| decision.stream_sequence);
        trace.event = message(sources.jetstream, &trace.decisions).await?;
        trace.runs = runs(sources, &trace.decisions).await?;
        if let Some(decision) = trace.decisions.first() {
            trace.instances = sources.store.instances_of_event(decision.key.as_str()).await?;
        }
    }
    Ok(traces)
}

/// Where a trace is gathered from.
pub(crate) struct Sources<'a> {
    pub(crate) jetstream: &'a jetstream::Context,
    pub(crate) store: &'a Store,
    /// Knows how often foreign workers tried. Without it, that is left out.
    pub(crate) temporal: Option<&'a Client>,
}

/// The same, once nothing more will happen, or as it stands when the time is over.
pub(crate) async fn settled(
    sources: &Sources<'_>,
    source: Option<&str>,
    id: &str,
    at_most: Duration,
) -> anyhow::Result<Vec<EventTrace>> {
    let deadline = Instant::now() + at_most;
    loop {
        let traces = event(sources, source, id).await?;
        let settled = !traces.is_empty() && traces.iter().all(EventTrace::is_settled);
        if settled || Instant::now() >= deadline {
            return Ok(traces);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// One run, or `None` if there is none with this id.
pub(crate) async fn run(store: &Store, temporal: Option<&Client>, id: &str) -> anyhow::Result<Option<RunTrace>> {
    let Some(run) = store.load_run(id).await? else { return Ok(None) };
    let (mut tasks, mut attempts) = (store.tasks_of(id).await?, store.attempts_of(id).await?);
    if let Some(temporal) = temporal
        && tasks.iter().any(|task| task.uses.as_deref() == Some("worker"))
    {
        attempts.extend(history::attempts_of(temporal, id, &mut tasks).await);
    }
    let (events, audit) = (store.events_of_run(id).await?, store.audit_of(id).await?);
    let given = store.events_of_instance(id, EVENTS_SHOWN).await?;
    Ok(Some(RunTrace { run, given, tasks, attempts, events, audit }))
}

async fn message(jetstream: &jetstream::Context, found: &[Decision]) -> anyhow::Result<Option<Value>> {
    let Some(first) = found.first() else { return Ok(None) };
    let Some(message) = decisions::event_at(jetstream, first.stream_sequence).await? else { return Ok(None) };
    Ok(spine_nats::wire::decode(&message.headers, &message.payload).ok().map(|event| event.to_json()))
}

async fn runs(sources: &Sources<'_>, found: &[Decision]) -> anyhow::Result<Vec<RunTrace>> {
    let mut ids: Vec<&String> =
        found.iter().flat_map(|decision| &decision.verdicts).filter_map(|verdict| verdict.run.as_ref()).collect();
    ids.sort();
    ids.dedup();
    let mut runs = Vec::new();
    for id in ids {
        runs.extend(run(sources.store, sources.temporal, id).await?);
    }
    Ok(runs)
}
