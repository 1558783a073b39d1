//! What each kind of run leaves in Temporal's history: how many events, and a path that later builds replay.
//!
//! `SPINE_RECORD_HISTORIES=1` writes what is seen here to `worker/histories`, where a test of the worker
//! replays it with the code of its day. A recorded history stays when the code changes: runs like it may be
//! in flight.

use std::ops::RangeInclusive;
use std::path::Path;

use futures::TryStreamExt as _;
use serde_json::{Value, json};
use spine_testkit::{temporal, wait};
use temporalio_client::{Client, WorkflowHistory, WorkflowStartOptions};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{PayloadConverter, RawValue};

use crate::world::{PATIENCE, World, until_metric};

/// Every kind, what docs/architecture.md calls it, and the fewest and most events that it costs: results that
/// arrive together share a workflow task.
const KINDS: [(&str, &str, usize, usize); 7] = [
    ("no-task", "nothing decided", 6, 6),
    ("emits", "`emit` tasks only", 6, 6),
    ("one-task", "one `http` task", 13, 13),
    ("one-foreign-task", "one `worker` task", 13, 13),
    ("three-at-once", "three tasks at once", 19, 25),
    ("three-in-a-row", "three tasks, each needs the one before", 27, 27),
    ("failing", "one task that fails for good, after two attempts", 13, 13),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_run_costs_what_the_docs_say() {
    let world = World::shop().await;
    let file = world.folder.path().join("kinds.yaml");
    std::fs::write(&file, ACTIVITIES).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    let client = temporal::client(world.stack.temporal_address()).await.unwrap();
    let docs = include_str!("../../../docs/architecture.md");
    for (kind, name, fewest, most) in KINDS {
        record(kind, &history_of(&world, &client, kind, fewest..=most).await);
        let stated = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        assert!(docs.contains(&format!("\n| {name} | {stated} |\n")), "the docs do not say {stated} of {name}");
    }
    world.end().await;
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

/// The history of a run of this kind that costs what it should.
///
/// A machine that stalls for seconds has workflow tasks time out, which costs events of its own: a kind may try
/// a few times, and code that costs more costs it each time.
async fn history_of(world: &World, client: &Client, kind: &str, expected: RangeInclusive<usize>) -> Value {
    let mut seen = Vec::new();
    for attempt in 0..3 {
        let run = run(world, kind, &format!("{kind}-{attempt}"));
        let history = closed_history(client, &run).await;
        let events = history["events"].as_array().unwrap();
        if expected.contains(&events.len()) {
            return history;
        }
        seen.push(events.iter().map(|event| event["eventType"].to_string()).collect::<Vec<_>>());
    }
    panic!("{kind}: {expected:?} events were expected: {seen:#?}");
}

/// Publishes the event that starts a run of this kind; returns its id once it has ended.
fn run(world: &World, kind: &str, event: &str) -> String {
    world.ok(&[
        "publish",
        "--type",
        &format!("com.test.{kind}"),
        "--source",
        "https://test.example",
        "--id",
        event,
        "--data",
        r#"{"total": 10, "tier": "gold", "orders": 1}"#,
    ]);
    let trace = world.settled(event);
    let run = &trace["runs"][0]["run"];
    let expected = if kind == "failing" { "failed" } else { "completed" };
    assert_eq!(run["status"], expected, "{trace:#}");
    run["id"].as_str().unwrap().to_owned()
}

/// The history of a workflow once it has ended, as it is written to a file.
pub(crate) async fn closed_history(client: &Client, run: &str) -> Value {
    let handle = client.get_workflow_handle::<UntypedWorkflow>(run);
    wait::until("Temporal has closed the run", PATIENCE, async || {
        let events: Vec<_> = handle.fetch_history(Default::default()).try_collect().await.unwrap();
        let last = events.last()?.event_type().as_str_name();
        if !["EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED", "EVENT_TYPE_WORKFLOW_EXECUTION_FAILED"].contains(&last) {
            return None;
        }
        let history = temporalio_common::protos::temporal::api::history::v1::History { events };
        Some(serde_json::from_slice(&WorkflowHistory::from(history).to_json().await.unwrap()).unwrap())
    })
    .await
}

/// Writes a history for later builds to replay, without the names of this machine's processes.
pub(crate) fn record(kind: &str, history: &Value) {
    if std::env::var_os("SPINE_RECORD_HISTORIES").is_none() {
        return;
    }
    let mut history = history.clone();
    without_identities(&mut history);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../worker/histories/{kind}.json"));
    std::fs::write(file, format!("{history}\n")).unwrap();
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

const ACTIVITIES: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: no-task}
spec:
  on: [{event: com.test.no-task}]
  tasks:
    - {id: never, when: "event.data.total > 100", uses: emit, with: {type: com.test.never}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: emits}
spec:
  on: [{event: com.test.emits}]
  tasks:
    - {id: one, uses: emit, with: {type: com.test.emitted}}
    - {id: two, needs: [one], uses: emit, with: {type: com.test.emitted, data: "${ tasks.one.output.id }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: one-task}
spec:
  on: [{event: com.test.one-task}]
  tasks:
    - {id: one, uses: http, with: {method: GET, url: "${ config.crm_url }/customers/ada"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: one-foreign-task}
spec:
  on: [{event: com.test.one-foreign-task}]
  tasks:
    - {id: score, uses: worker, with: {taskQueue: risk, activity: ScoreOrder, input: "${ event.data }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: three-at-once}
spec:
  on: [{event: com.test.three-at-once}]
  tasks:
    - {id: each, forEach: "[1, 2, 3]", uses: http, with: {method: GET, url: "${ config.crm_url }/customers/ada"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: three-in-a-row}
spec:
  on: [{event: com.test.three-in-a-row}]
  tasks:
    - {id: a, uses: http, with: {method: GET, url: "${ config.crm_url }/customers/ada"}}
    - {id: b, needs: [a], uses: http, with: {method: GET, url: "${ config.crm_url }/customers/${ tasks.a.output.id }"}}
    - {id: c, needs: [b], uses: http, with: {method: GET, url: "${ config.crm_url }/customers/${ tasks.b.output.id }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: failing}
spec:
  on: [{event: com.test.failing}]
  tasks:
    - id: fails
      uses: http
      with: {method: GET, url: "http://127.0.0.1:1/"}
      retry: {maxAttempts: 2, initialInterval: 10ms}
    - {id: after, needs: [fails], uses: emit, with: {type: com.test.after}}
"#;

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
