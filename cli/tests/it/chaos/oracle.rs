//! What must be so in the end, read from where it stands: rows, streams, histories, and what the sink did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use spine_core::event::Event;
use spine_nats::wire;
use spine_testkit::temporal;
use temporalio_client::Client;
use temporalio_common::UntypedWorkflow;
use temporalio_common::protos::temporal::api::enums::v1::WorkflowTaskFailedCause;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

use super::scene::Hands;
use crate::world::World;

/// What people read of a test that went well.
pub(super) struct Report {
    runs: usize,
    events: usize,
    attempts_repeated: usize,
    requests_repeated: u32,
    workflow_tasks_lost: usize,
}

impl Report {
    /// Whether workers died in the middle of what they did.
    pub(super) fn has_seen_chaos(&self) -> bool {
        self.attempts_repeated > 0 && self.requests_repeated > 0 && self.workflow_tasks_lost > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} runs, {} events", self.runs, self.events)?;
        writeln!(f, "attempts of tasks repeated: {}", self.attempts_repeated)?;
        writeln!(f, "requests repeated under their key: {}", self.requests_repeated)?;
        write!(f, "workflow tasks that were lost and given out again: {}", self.workflow_tasks_lost)
    }
}

/// Looks at everything.
pub(super) async fn check(hands: &Hands, world: &World) -> Report {
    runs(hands).await;
    effects(hands);
    ledgered(hands).await;
    mailed(hands).await;
    audited(hands).await;
    let events = published(hands).await;
    let (runs, workflow_tasks_lost) = workflow_tasks(hands, world).await;
    Report {
        runs,
        events,
        attempts_repeated: hands.count("select count(*) from task_attempt where attempt > 1").await,
        requests_repeated: hands.sink.repeated(),
        workflow_tasks_lost,
    }
}

/// Every run ended as it should, none is there that should not be, and no row waits for anything.
async fn runs(hands: &Hands) {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select id, status from run").fetch_all(&hands.pool).await.unwrap();
    let expected = hands.plan.iter().flat_map(|one| {
        let own = (one.run.clone(), one.kind.status.to_owned());
        [own].into_iter().chain(one.called().map(|run| (run, "completed".to_owned())))
    });
    assert_same("runs", expected.collect(), rows.into_iter().collect());
    for query in [
        "select count(*) from task where status = 'created'",
        "select count(*) from wake",
        "select count(*) from outbox_dead",
        "select count(*) from audit where fact = 'undo_failed'",
        "select count(*) from run where error ->> 'message' like '%StoreFailed%'",
    ] {
        assert_eq!(hands.count(query).await, 0, "{query}");
    }
}

/// Each effect was had, under its own key and no other.
fn effects(hands: &Hands) {
    let expected = hands.plan.iter().flat_map(super::load::Planned::effects);
    assert_same("effects", expected.collect(), hands.sink.done().into_iter().collect());
}

/// Each statement was done once.
async fn ledgered(hands: &Hands) {
    let entries: Vec<String> =
        sqlx::query_scalar("select event from entry order by event").fetch_all(&hands.ledger).await.unwrap();
    assert_eq!(entries, events_of(hands, "ledger"), "what the statements wrote");
}

/// Each message stands in its stream once.
async fn mailed(hands: &Hands) {
    let mut mails: Vec<String> = messages(hands, "MAIL")
        .await
        .iter()
        .map(|message| message.subject.trim_start_matches("mail.").to_owned())
        .collect();
    mails.sort();
    assert_eq!(mails, events_of(hands, "message"), "what the messages said");
}

/// The ids of the events that start an activity, in order.
fn events_of(hands: &Hands, activity: &str) -> Vec<String> {
    let events = hands.plan.iter().filter(|one| one.kind.activity == activity);
    let mut ids: Vec<String> = events.map(|one| one.event.id.clone()).collect();
    ids.sort();
    ids
}

/// Of each run, each end and each decision was noted once.
async fn audited(hands: &Hands) {
    let facts: Vec<(String, String, String, Value)> =
        sqlx::query_as("select run, fact, discriminator, detail from audit").fetch_all(&hands.pool).await.unwrap();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let mut decided = BTreeSet::new();
    for (run, fact, discriminator, detail) in facts {
        let retry = discriminator.split_once('~').map_or("", |(_, retry)| retry).to_owned();
        match fact.as_str() {
            "ended" => *ends.entry(run).or_default() += 1,
            "decided" => {
                for instance in detail["produced"].as_array().unwrap() {
                    let once = (run.clone(), retry.clone(), instance.to_string());
                    assert!(decided.insert(once), "{run} decided {instance} twice");
                }
            }
            _ => {}
        }
    }
    for one in &hands.plan {
        let expected = if one.kind.activity == "retried" { 2 } else { 1 };
        assert_eq!(ends.remove(&one.run), Some(expected), "ends of {}", one.run);
    }
}

/// The stream has every event that a run wrote, and none of them twice. Returns how many it has.
async fn published(hands: &Hands) -> usize {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut emitted = BTreeSet::new();
    let messages = messages(hands, "EVENTS").await;
    for message in &messages {
        let headers = message.headers.clone().unwrap_or_default();
        let event: Event = wire::decode(&headers, &message.payload).unwrap();
        if event.event_type == "com.chaos.told" {
            emitted.insert(event.id.clone());
        }
        *seen.entry((event.source, event.id)).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "events that stand more than once in the stream: {twice:#?}");
    assert_same("emitted events", hands.plan.iter().flat_map(super::load::Planned::emitted).collect(), emitted);
    let written: Vec<(String, String)> =
        sqlx::query_as("select event_source, event_id from outbox").fetch_all(&hands.pool).await.unwrap();
    let lost: Vec<_> = written.iter().filter(|one| !seen.contains_key(*one)).collect();
    assert!(lost.is_empty(), "events that are said to be published and are not in the stream: {lost:#?}");
    messages.len()
}

/// All that a stream has.
async fn messages(hands: &Hands, name: &str) -> Vec<async_nats::Message> {
    let mut stream = hands.jetstream.get_stream(name).await.unwrap();
    let count = usize::try_from(stream.info().await.unwrap().state.messages).unwrap();
    let consumer = stream.create_consumer(OrderedConfig::default()).await.unwrap();
    let messages = consumer.messages().await.unwrap().take(count);
    messages.map_ok(|message| message.message).try_collect().await.unwrap()
}

/// No workflow task failed: none was replayed otherwise than it went, none panicked. Returns how many runs there are,
/// and how many workflow tasks went to a worker that did not answer.
async fn workflow_tasks(hands: &Hands, world: &World) -> (usize, usize) {
    let mut lost = 0;
    let histories = histories(hands, world).await;
    for (run, events) in &histories {
        for event in events {
            match &event.attributes {
                Some(Attributes::WorkflowTaskTimedOutEventAttributes(_)) => lost += 1,
                Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => {
                    // Something happened while the workflow said that it is over: it is asked once more.
                    let harmless = WorkflowTaskFailedCause::UnhandledCommand;
                    assert_eq!(failed.cause(), harmless, "a workflow task of {run} failed: {:?}", failed.failure);
                }
                _ => {}
            }
        }
    }
    (histories.len(), lost)
}

/// How many runs took a path that a patch guards.
pub(super) async fn count_patched(hands: &Hands, world: &World) -> usize {
    histories(hands, world).await.iter().filter(|(_, events)| is_patched(events)).count()
}

pub(super) fn is_patched(history: &[HistoryEvent]) -> bool {
    history.iter().any(|event| {
        matches!(&event.attributes, Some(Attributes::MarkerRecordedEventAttributes(marker))
            if marker.marker_name == "core_patch")
    })
}

/// Every run with the history of its last execution.
async fn histories(hands: &Hands, world: &World) -> Vec<(String, Vec<HistoryEvent>)> {
    let client = temporal::client(world.stack.temporal_address()).await.unwrap();
    let runs: Vec<String> = sqlx::query_scalar("select id from run").fetch_all(&hands.pool).await.unwrap();
    let histories = stream::iter(runs).map(|run| async {
        let events = history(&client, &run).await;
        (run, events)
    });
    histories.buffer_unordered(8).collect().await
}

/// What Temporal knows of the last execution of a run.
pub(super) async fn history(client: &Client, run: &str) -> Vec<HistoryEvent> {
    let handle = client.get_workflow_handle::<UntypedWorkflow>(run);
    handle.fetch_history(Default::default()).try_collect().await.unwrap()
}

/// An event of a history in a few words.
pub(super) fn describe(event: &HistoryEvent) -> String {
    match &event.attributes {
        Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => {
            let failure = failed.failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
            format!("{} workflow task failed: {:?} {failure}", event.event_id, failed.cause())
        }
        _ => format!("{} {}", event.event_id, event.event_type().as_str_name().trim_start_matches("EVENT_TYPE_")),
    }
}

/// Names what is missing and what is too much, instead of printing all there is.
#[track_caller]
fn assert_same<T: Ord + fmt::Debug>(what: &str, expected: BTreeSet<T>, found: BTreeSet<T>) {
    let missing: Vec<_> = expected.difference(&found).collect();
    let beyond: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && beyond.is_empty(), "{what}: missing {missing:#?}, beyond {beyond:#?}");
}
