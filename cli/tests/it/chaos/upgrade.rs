//! A run goes on with workers of another release, whose workflow takes another path.

use spine_core::event::Event;
use spine_core::names;
use spine_nats::publish::publish;
use spine_nats::wire::Mode;
use spine_testkit::{temporal, wait};
use temporalio_common::protos::temporal::api::enums::v1::WorkflowTaskFailedCause;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

use super::ENDS_WITHIN;
use super::oracle::{history, is_patched};
use super::scene::{Hands, Scene};
use crate::world::{PATIENCE, SOURCE, World};

/// `old` starts with this release, goes on with the next, and ends with this one again: its history keeps it on the
/// path that it took. `new` starts with the next release and takes the new path: a worker of this release can't
/// go on with it and says so, and the run waits, unharmed, for one that can.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_the_path_that_it_took_whichever_release_goes_on_with_it() {
    let Scene { mut world, hands, shop, settings } = Scene::set(Vec::new()).await;
    let client = temporal::client(world.stack.temporal_address()).await.unwrap();
    let file = world.folder.path().join("release.yaml");
    std::fs::write(&file, ACTIVITY).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;

    let old = begin(&hands, "release", "old").await;
    asked(&hands, &old, "first").await;
    world.stop("worker").await;
    world.launch("next", settings.next_worker(&world)).await;
    let new = begin(&hands, "release", "new").await;
    for run in [&old, &new] {
        answer(&world, &hands, run, "first").await;
        asked(&hands, run, "second").await;
    }

    world.stop("next").await;
    world.launch("worker", settings.worker(&world)).await;
    answer(&world, &hands, &old, "second").await;
    completed(&hands, &old).await;
    answer(&world, &hands, &new, "second").await;
    wait::until("the older worker says that it can't go on", PATIENCE, async || {
        history(&client, &new).await.iter().any(is_unlike).then_some(())
    })
    .await;
    hands.holds("select true from run where id = $1 and status = 'running'", &new).await;
    let log = std::fs::read_to_string(world.folder.path().join("worker.log")).unwrap();
    assert!(log.contains("TMPRL1100"), "the log does not tell: {log}");

    world.stop("worker").await;
    world.launch("next", settings.next_worker(&world)).await;
    completed(&hands, &new).await;
    assert!(!is_patched(&history(&client, &old).await) && is_patched(&history(&client, &new).await));
    assert!(!history(&client, &old).await.iter().any(is_unlike), "{old} met a path that is not its own");
    let done: Vec<String> = hands.sink.done().into_values().collect();
    assert_eq!(done.len(), 8, "{done:#?}");
    shop.stop().await.unwrap();
    world.end().await;
}

/// A worker that is told to end does not wait for what may take longer than its supervisor's patience: it gives the
/// attempt up, and another worker makes the next one at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_leaves_what_takes_long_to_another() {
    let Scene { mut world, hands, shop, settings } = Scene::set(Vec::new()).await;
    let file = world.folder.path().join("slow.yaml");
    std::fs::write(&file, SLOW).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    let run = begin(&hands, "release", "task").await;
    begin(&hands, "lookup", "context").await;
    wait::until("both requests hang", PATIENCE, async || (hands.sink.hanging() == 2).then_some(())).await;
    world.launch("other worker", settings.worker(&world)).await;
    let took = world.stop("worker").await;
    assert!(took < ENDS_WITHIN, "it took {took:?}");
    completed(&hands, &run).await;
    assert_eq!(hands.count("select count(*) from task_attempt where error ->> 'type' = 'WorkerStopped'").await, 1);
    wait::until("the other worker looks the same up", PATIENCE, async || (hands.sink.hanging() == 1).then_some(()))
        .await;
    shop.stop().await.unwrap();
    world.end().await;
}

/// What was recorded replays with the next release: the change is guarded as it should be.
#[tokio::test]
async fn recorded_histories_replay_with_the_next_release() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../worker/histories");
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let history = temporalio_client::WorkflowHistory::from_json(&std::fs::read(&file).unwrap()).unwrap();
        spine_worker_next::replay(history).await.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

async fn begin(hands: &Hands, activity: &str, id: &str) -> String {
    let event = Event::new(format!("com.chaos.{activity}"), SOURCE, id);
    publish(&hands.jetstream, &event, Mode::Structured).await.unwrap();
    names::run_id(activity, &event.key())
}

async fn asked(hands: &Hands, run: &str, task: &str) {
    let query = match task {
        "first" => "select true from task where run = $1 and task = 'first' and status = 'created'",
        _ => "select true from task where run = $1 and task = 'second' and status = 'created'",
    };
    hands.holds(query, run).await;
}

async fn answer(world: &World, hands: &Hands, run: &str, task: &str) {
    asked(hands, run, task).await;
    world.ok(&["tasks", "complete", &format!("{run}/{task}"), "--data", "true"]);
}

async fn completed(hands: &Hands, run: &str) {
    hands.holds("select true from run where id = $1 and status = 'completed'", run).await;
}

/// Whether a worker said that its code does something else than this history has.
fn is_unlike(event: &HistoryEvent) -> bool {
    matches!(&event.attributes, Some(Attributes::WorkflowTaskFailedEventAttributes(failed))
        if failed.cause() == WorkflowTaskFailedCause::NonDeterministicError)
}

const SLOW: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: release}
spec:
  on: [{event: com.chaos.release}]
  tasks:
    - {id: a, uses: http, timeout: 10m, with: {method: POST, url: "${ config.sink }/held/${ event.id }/a"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: lookup}
spec:
  on: [{event: com.chaos.lookup}]
  context:
    slow: {http: {url: "${ config.sink }/silent/lookup"}, timeout: 1m}
  tasks:
    - {id: a, uses: emit, with: {type: com.chaos.told}}
"#;

const ACTIVITY: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: release}
spec:
  on: [{event: com.chaos.release}]
  tasks:
    - {id: a, forEach: "['1', '2']", uses: http, with: {method: POST, url: "${ config.sink }/do/${ event.id }/${ item }"}}
    - {id: first, needs: [a], uses: human, with: {title: First, assignees: [ops]}}
    - {id: b, needs: [first], forEach: "['3', '4']", uses: http, with: {method: POST, url: "${ config.sink }/do/${ event.id }/${ item }"}}
    - {id: second, needs: [b], uses: human, with: {title: Second, assignees: [ops]}}
    - {id: tell, needs: [second], uses: emit, with: {type: com.chaos.told}}
"#;
