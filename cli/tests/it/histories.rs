//! What each kind of run leaves in Temporal's history: how many events, and a path that later builds replay.
//!
//! A kind is one line of `KINDS` and one activity of `histories/activities.yaml`. `SPINE_RECORD_HISTORIES=1` writes
//! the histories that are not there yet to `worker/histories`, where a test of the worker replays them with the code
//! of its day. One that is there stays when the code changes: runs like it may be in flight.

use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use serde_json::{Value, json};
use spine_testkit::{temporal, wait};
use temporalio_client::{Client, WorkflowHistory, WorkflowStartOptions};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{PayloadConverter, RawValue};

use crate::world::{PATIENCE, SOURCE, World, until_metric};

/// One kind of run: its activity, what docs/architecture.md calls it, the fewest and most events that it costs
/// (results that arrive together share a workflow task), how it ends, and what somebody does meanwhile.
type Kind = (&'static str, &'static str, usize, usize, &'static str, &'static [Act]);

/// What somebody does while a run goes on.
enum Act {
    /// Answers what this person is asked.
    Answer(&'static str),
    /// Says that it can't be done.
    Decline(&'static str),
    /// Cancels the run once this task of it waits.
    Cancel(&'static str),
    /// Publishes the event that this task waits for.
    Happen(&'static str),
    /// Retries the run once it has failed.
    Retry,
}
use Act::{Answer, Cancel, Decline, Happen, Retry};

const KINDS: [Kind; 25] = [
    ("no-task", "nothing decided", 6, 6, "completed", &[]),
    ("emits", "`emit` tasks only", 6, 6, "completed", &[]),
    ("one-task", "one `http` task", 13, 13, "completed", &[]),
    ("one-foreign-task", "one `worker` task", 13, 13, "completed", &[]),
    ("three-at-once", "three tasks at once", 19, 25, "completed", &[]),
    ("three-in-a-row", "three tasks, each needs the one before", 27, 27, "completed", &[]),
    ("failing", "one task that fails for good, after two attempts", 13, 13, "failed", &[]),
    ("sql", "one `sql` task", 13, 13, "completed", &[]),
    ("nats", "one `nats` task", 13, 13, "completed", &[]),
    ("wait", "one `wait` task", 12, 12, "completed", &[]),
    ("wait-event", "one `wait` task for an event", 11, 11, "completed", &[Happen("happened")]),
    ("child", "one `activity` task, without the run that it calls", 13, 16, "completed", &[]),
    ("child-failing", "one `activity` task whose run fails", 13, 16, "failed", &[]),
    ("child-late", "one `activity` task whose deadline is over", 23, 26, "failed", &[]),
    ("child-cancelled", "one `activity` task, in a run that is cancelled", 23, 26, "cancelled", &[Cancel("sub")]),
    ("human", "one `human` task", 11, 11, "completed", &[Answer("ops")]),
    ("human-in-time", "one `human` task with a deadline, answered in time", 12, 12, "completed", &[Answer("ops")]),
    ("human-late", "one `human` task whose deadline is over", 12, 12, "completed", &[]),
    ("human-escalated", "one `human` task that is escalated and answered", 18, 18, "completed", &[Answer("lead")]),
    ("on-timeout", "one task whose deadline is over", 12, 12, "completed", &[]),
    ("undone", "one task that is done, one that fails, one undo", 27, 27, "failed", &[]),
    ("undone-at-once", "three tasks at once, one that fails, three undos", 44, 50, "failed", &[]),
    (
        "cancelled",
        "one task that is done, one that waits when the run is cancelled, one undo",
        27,
        27,
        "cancelled",
        &[Cancel("pause")],
    ),
    ("declined", "one task that is done, one that a person declines, one undo", 25, 25, "failed", &[Decline("ops")]),
    (
        "retried",
        "the retry of that, which does both, answered",
        18,
        18,
        "completed",
        &[Decline("ops"), Retry, Answer("ops")],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_run_costs_what_the_docs_say() {
    let world = World::shop().await;
    let file = world.folder.path().join("kinds.yaml");
    std::fs::write(&file, include_str!("histories/activities.yaml")).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    audit_stream(&world).await;
    let client = temporal::client(world.stack.temporal_address()).await.unwrap();
    let docs = include_str!("../../../docs/architecture.md");
    let mut wrong = Vec::new();
    for kind @ (activity, name, fewest, most, ..) in &KINDS {
        match history_of(&world, &client, kind).await {
            Ok(history) => record(activity, &history),
            Err(seen) => wrong.push(format!("{activity}: {fewest} to {most} events were expected: {seen}")),
        }
        if !file_of(activity).exists() {
            wrong.push(format!("{activity} is not recorded: run this with SPINE_RECORD_HISTORIES=1"));
        }
        let stated = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        if !docs.contains(&format!("\n| {name} | {stated} |\n")) {
            wrong.push(format!("docs/architecture.md does not say {stated} of {name}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.end().await;
}

async fn audit_stream(world: &World) {
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let config = async_nats::jetstream::stream::Config {
        name: "AUDIT".into(),
        subjects: vec!["audit.>".into()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_and_a_start_that_is_no_run_end_well() {
    let mut world = World::boot().await;
    world.start_all().await;
    let file = world.folder.path().join("tick.yaml");
    std::fs::write(&file, TICK).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    let client = temporal::client(world.stack.temporal_address()).await.unwrap();
    let tick = wait::until("a tick has run", PATIENCE, async || {
        let runs = world.json(&["runs", "list"]);
        runs.as_array().unwrap().iter().find(|run| run["status"] == "completed").map(|run| run["id"].clone())
    })
    .await;
    record("tick", &closed_history(&client, tick.as_str().unwrap()).await);

    // Whoever may start workflows may start nonsense: it ends, named, and is not tried for ever.
    let nonsense = RawValue::from_value(&json!({"no": "run"}), &PayloadConverter::default());
    let options = WorkflowStartOptions::new(spine_core::names::TASK_QUEUE, "run/nonsense/1").build();
    client.start_workflow(UntypedWorkflow::new("RunActivity"), nonsense, options).await.unwrap();
    let history = closed_history(&client, "run/nonsense/1").await;
    let last = history["events"].as_array().unwrap().last().unwrap();
    assert!(last.to_string().contains("InvalidInput"), "{last:#}");
    record("invalid-input", &history);
    world.end().await;
}

/// The history of a run of this kind that costs what it should; else what each that was tried has.
///
/// A machine that stalls for seconds has workflow tasks time out, which costs events of its own: a kind may try
/// a few times, and code that costs more costs it each time.
async fn history_of(world: &World, client: &Client, kind: &Kind) -> Result<Value, String> {
    let (activity, _, fewest, most, ..) = kind;
    let mut seen = Vec::new();
    for attempt in 0..3 {
        let run = run(world, kind, &format!("{activity}-{attempt}")).await;
        let history = closed_history(client, &run).await;
        let events = history["events"].as_array().unwrap();
        if (*fewest..=*most).contains(&events.len()) {
            return Ok(history);
        }
        let types = events.iter().filter_map(|event| event["attributes"].as_object()?.keys().next());
        let types = types.map(|name| name.trim_end_matches("EventAttributes"));
        seen.push(format!("{} ({})", events.len(), types.collect::<Vec<_>>().join(", ")));
    }
    Err(seen.join("; "))
}

/// Publishes the event that starts a run of this kind, and does what is to be done meanwhile; returns the run's id
/// once it has ended as it should.
async fn run(world: &World, (activity, _, _, _, status, acts): &Kind, event: &str) -> String {
    let event_type = format!("com.test.{activity}");
    let data = r#"{"total": 10, "tier": "gold", "orders": 1}"#;
    world.ok(&["publish", "--type", &event_type, "--source", SOURCE, "--id", event, "--data", data]);
    for act in *acts {
        perform(world, activity, event, act).await;
    }
    wait::until(&format!("{event} is {status}"), PATIENCE, async || {
        let trace = world.settled(event);
        let run = &trace["runs"][0]["run"];
        (run["status"] == *status).then(|| run["id"].as_str().unwrap().to_owned())
    })
    .await
}

async fn perform(world: &World, activity: &str, event: &str, act: &Act) {
    match act {
        Answer(person) => {
            let task = asked(world, activity, event, person).await;
            world.ok(&["tasks", "complete", &task, "--data", r#"{"approve": true}"#]);
        }
        Decline(person) => {
            let task = asked(world, activity, event, person).await;
            world.ok(&["tasks", "fail", &task, "--reason", "no"]);
        }
        Cancel(task) => {
            let run = waiting(world, event, task).await;
            world.ok(&["runs", "cancel", &run]);
        }
        Happen(task) => {
            waiting(world, event, task).await;
            let (id, data) = (format!("{event}-{task}"), json!({"to": event}).to_string());
            world.ok(&["publish", "--type", "com.test.happened", "--source", SOURCE, "--id", &id, "--data", &data]);
        }
        Retry => {
            let run = world.settled(event)["runs"][0]["run"].take();
            assert_eq!(run["status"], "failed", "{run:#}");
            world.ok(&["runs", "retry", run["id"].as_str().unwrap()]);
        }
    }
}

/// The run of this event once it has this task.
async fn waiting(world: &World, event: &str, task: &str) -> String {
    wait::until("the run waits", PATIENCE, async || {
        let trace = world.json(&["trace", event]);
        let run = &trace[0]["runs"][0];
        run["tasks"].as_array()?.iter().find(|row| row["task"] == task)?;
        Some(run["run"]["id"].as_str().unwrap().to_owned())
    })
    .await
}

/// The task of this event's run that this person is asked.
async fn asked(world: &World, activity: &str, event: &str, person: &str) -> String {
    wait::until("somebody is asked", PATIENCE, async || {
        let tasks = world.json(&["tasks", "list", "--activity", activity, "--assignee", person]);
        let task = tasks.as_array()?.iter().find(|task| task["title"] == event)?;
        Some(task["id"].as_str().unwrap().to_owned())
    })
    .await
}

/// The history of a workflow once it has ended, as it is written to a file.
pub(crate) async fn closed_history(client: &Client, run: &str) -> Value {
    let handle = client.get_workflow_handle::<UntypedWorkflow>(run);
    wait::until("Temporal has closed the run", PATIENCE, async || {
        let events: Vec<_> = handle.fetch_history(Default::default()).try_collect().await.unwrap();
        let last = events.last()?.event_type().as_str_name();
        if !["COMPLETED", "FAILED", "CANCELED"].iter().any(|end| last == format!("EVENT_TYPE_WORKFLOW_EXECUTION_{end}"))
        {
            return None;
        }
        let history = temporalio_common::protos::temporal::api::history::v1::History { events };
        Some(serde_json::from_slice(&WorkflowHistory::from(history).to_json().await.unwrap()).unwrap())
    })
    .await
}

/// Where the history of a kind stands.
fn file_of(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../worker/histories/{kind}.json"))
}

/// Writes a history that is not there yet for later builds to replay, without the names of this machine's processes.
pub(crate) fn record(kind: &str, history: &Value) {
    if std::env::var_os("SPINE_RECORD_HISTORIES").is_none() || file_of(kind).exists() {
        return;
    }
    let mut history = history.clone();
    without_identities(&mut history);
    std::fs::write(file_of(kind), format!("{history}\n")).unwrap();
}

fn without_identities(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if name == "identity" {
                    *value = json!("spine");
                } else {
                    without_identities(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_identities),
        _ => {}
    }
}

const TICK: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: tick}
spec:
  on:
    - schedule: {every: 1s}
  tasks:
    - {id: ticked, uses: emit, with: {type: com.test.ticked}}
"#;
