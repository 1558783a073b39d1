//! Stateful activities on the real stack: one instance for each key, events folded in stream order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use spine_core::event::{Data, Event};
use spine_core::run::{RunStatus, TaskStatus};
use spine_nats::publish::publish;
use spine_nats::wire::Mode;
use spine_store::{RunRow, Store, TaskRow};
use spine_testkit::{temporal, wait};
use temporalio_client::Client;

use crate::endpoint::{Answer, Endpoint};
use crate::histories::{closed_history, record};
use crate::world::{PATIENCE, SOURCE, World};

const ACTIVITIES: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: order}
spec:
  on:
    - {event: com.test.order.placed, starts: true}
    - {event: com.test.order.paid}
    - {event: com.test.order.reserved}
    - {event: com.test.order.cancelled, cancels: true}
  instance:
    key: event.subject
    state: {paid: false, reserved: false}
    set:
      - {when: 'event.type == "com.test.order.paid"', paid: true}
      - {when: 'event.type == "com.test.order.reserved"', reserved: true}
    completeWhen: tasks.ship.status == "completed"
  tasks:
    - id: hold
      uses: http
      with: {method: POST, url: "${ config.service }/hold"}
      undo: {uses: http, with: {method: POST, url: "${ config.service }/release"}}
    - id: ship
      when: state.paid && state.reserved
      uses: http
      with: {method: POST, url: "${ config.service }/ship/${ event.id }"}
      retry: {maxAttempts: 1}
    - id: notify
      each: event
      uses: emit
      with: {type: com.test.progressed, subject: "${ event.subject }", data: {because: "${ event.type }", paid: "${ state.paid }", reserved: "${ state.reserved }"}}
    - id: note
      each: event
      when: has(event.data.note)
      uses: http
      with: {method: POST, url: "${ config.service }/note/${ event.data.note }", headers: {X-Key: '${ secret("notes") }'}}
      undo: {uses: http, with: {method: POST, url: "${ config.service }/forget/${ event.data.note }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: count}
spec:
  on:
    - {event: com.test.counted, starts: true}
  instance:
    key: event.subject
    state: {next: 0, wrong: 0}
    set:
      - {wrong: "${ event.data.n == state.next ? state.wrong : state.wrong + 1 }", next: "${ event.data.n + 1 }"}
    completeWhen: state.next == event.data.of
  tasks:
    - {id: tell, each: event, uses: emit, with: {type: com.test.told, subject: "${ event.subject }", data: {n: "${ event.data.n }", wrong: "${ state.wrong }"}}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: desk}
spec:
  on:
    - {event: com.test.desk, starts: true}
  instance:
    key: event.subject
    state: {next: 0, wrong: 0}
    set:
      - {wrong: "${ event.data.n == state.next ? state.wrong : state.wrong + 1 }", next: "${ event.data.n + 1 }"}
    completeWhen: tasks.ask.status == "completed"
  tasks:
    - {id: ask, uses: human, deadline: 1h, with: {title: Look, assignees: [ops]}}
    - {id: heard, uses: wait, deadline: 1h, with: {event: com.test.heard, key: event.subject, equals: "${ event.subject }"}}
    - {id: tell, each: event, uses: emit, with: {type: com.test.told}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: hurry}
spec:
  on:
    - {event: com.test.hurry, starts: true}
  instance: {key: event.subject, expireAfter: 2s}
  tasks:
    - id: begin
      uses: http
      with: {method: POST, url: "${ config.service }/begin"}
      undo: {uses: http, with: {method: POST, url: "${ config.service }/end"}}
    - {id: never, when: "false", uses: emit, with: {type: com.test.never}}
"#;

struct Scene {
    world: World,
    store: Store,
    service: Endpoint,
    /// Whether `/ship` is refused.
    refuses: Arc<AtomicBool>,
}

impl Scene {
    async fn set() -> Self {
        let refuses = Arc::new(AtomicBool::new(false));
        let refused = refuses.clone();
        let service = Endpoint::start(move |request, _| {
            let path = request["path"].as_str().unwrap();
            match path.starts_with("/ship") && refused.load(Ordering::Relaxed) {
                true => Answer::Whole(400, "application/json", "{}".into()),
                false => Answer::json(&json!({"path": path})),
            }
        })
        .await;
        let world = World::boot().await;
        let file = world.folder.path().join("activities.yaml");
        std::fs::write(&file, ACTIVITIES).unwrap();
        world.ok(&["apply", "--file", file.to_str().unwrap()]);
        let store = Store::connect(world.stack.database_url()).await.unwrap();
        let mut scene = Self { world, store, service, refuses };
        scene.world.start("relay", &[]).await;
        scene.start_worker().await;
        scene.world.start("router", &[]).await;
        scene
    }

    async fn start_worker(&mut self) {
        let url = self.service.url.clone();
        self.world.start("worker", &[("SPINE_VALUES__service", &url), ("SPINE_SECRETS__notes", "k3y")]).await;
    }

    /// Publishes an event of `com.test.<what>` for this key.
    async fn publish(&self, what: &str, key: &str, id: &str, data: Value) -> Event {
        let event = event(what, key, id, data);
        self.send(std::slice::from_ref(&event)).await;
        event
    }

    /// Publishes events in order.
    async fn send(&self, events: &[Event]) {
        let client = async_nats::connect(self.world.stack.nats_url()).await.unwrap();
        let jetstream = async_nats::jetstream::new(client);
        for event in events {
            publish(&jetstream, event, Mode::Binary).await.unwrap();
        }
    }

    async fn run(&self, id: &str) -> Option<RunRow> {
        self.store.load_run(id).await.unwrap()
    }

    /// The run once it has ended so.
    async fn ended(&self, id: &str, status: RunStatus) -> RunRow {
        let ends = async || self.run(id).await.filter(|run| run.status != RunStatus::Running);
        let what = format!("{id} ends");
        let waits = wait::until(&what, PATIENCE * 2, ends);
        let Ok(run) = tokio::time::timeout(PATIENCE, waits).await else {
            let log = std::fs::read_to_string(self.world.folder.path().join("worker.log")).unwrap();
            panic!("{id} goes on:\n{}\n{log}", self.world.ok(&["runs", "show", id]));
        };
        assert_eq!(run.status, status, "{:?}", run.error);
        run
    }

    /// Waits until an instance has folded this many events, and all that runs for them has ended.
    async fn folded(&self, id: &str, count: u32) {
        wait::until(&format!("{id} has folded {count} events"), PATIENCE, async || {
            let folded = self.store.instance(id, None).await.ok()?.folded;
            (folded == count && self.store.unsettled_events(id).await.unwrap().is_empty()).then_some(())
        })
        .await;
    }

    async fn tasks(&self, id: &str) -> Vec<TaskRow> {
        self.store.tasks_of(id).await.unwrap()
    }

    /// Waits until a task that runs once has ended well.
    async fn done(&self, id: &str, task: &str) {
        wait::until(&format!("{task} of {id} is done"), PATIENCE, async || {
            let done = |row: &&TaskRow| row.is(task, 0) && row.status == TaskStatus::Completed;
            self.tasks(id).await.iter().find(done).map(drop)
        })
        .await;
    }

    /// The data of what a run emitted, in the order of publication.
    async fn emitted(&self, id: &str, event_type: &str) -> Vec<Value> {
        let events = self.store.events_of_run(id).await.unwrap();
        let mut events: Vec<Value> = events.into_iter().map(|event| json!(event)).collect();
        events.retain(|event| event["event"]["type"] == event_type);
        events.into_iter().map(|mut event| event["event"]["data"].take()).collect()
    }

    async fn temporal(&self) -> Client {
        temporal::client(self.world.stack.temporal_address()).await.unwrap()
    }

    /// What the service was asked since the last call: the paths.
    fn asked(&self) -> Vec<String> {
        self.service.taken().into_iter().map(|(what, _)| what.trim_start_matches("POST ").to_owned()).collect()
    }

    async fn end(self) {
        drop(self.service);
        self.world.end().await;
    }
}

fn event(what: &str, key: &str, id: &str, data: Value) -> Event {
    let mut event = Event::new(format!("com.test.{what}"), SOURCE, id);
    event.subject = Some(key.to_owned());
    event.datacontenttype = Some("application/json".into());
    event.data = Data::Json(data);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_folds_its_events_and_completes_and_another_begins() {
    let scene = Scene::set().await;
    let (first, second) = ("instance/order/A-1", "instance/order/A-1~2");
    scene.publish("order.paid", "A-1", "early", json!({})).await;
    scene.publish("order.placed", "A-1", "p1", json!({"note": "careful"})).await;
    scene.publish("order.placed", "B-2", "p2", json!({})).await;
    scene.publish("order.paid", "A-1", "p3", json!({})).await;
    scene.folded(first, 2).await;
    assert_eq!(scene.run(first).await.unwrap().status, RunStatus::Running);
    scene.publish("order.reserved", "A-1", "p4", json!({})).await;
    let run = scene.ended(first, RunStatus::Completed).await;
    assert_eq!((run.key.as_deref(), run.event.id.as_str()), (Some("A-1"), "p1"));
    let told = scene.emitted(first, "com.test.progressed").await;
    let expected = [("placed", false, false), ("paid", true, false), ("reserved", true, true)].map(
        |(what, paid, reserved)| json!({"because": format!("com.test.order.{what}"), "paid": paid, "reserved": reserved}),
    );
    assert_eq!(told, expected);
    let mut asked = scene.asked();
    asked.sort();
    assert_eq!(asked, ["/hold", "/hold", "/note/careful", "/ship/p4"]);
    let note = &scene.service.asked("/note")[..];
    assert!(note.is_empty(), "they were taken");

    let history = closed_history(&scene.temporal().await, first).await;
    assert!(!history.to_string().contains("TimerStarted"), "what waits for events alone needs no timer: {history:#}");
    record("instance", &history);

    // What comes late goes nowhere, and the key may begin again.
    scene.publish("order.paid", "A-1", "late", json!({})).await;
    scene.publish("order.placed", "A-1", "p5", json!({})).await;
    scene.done(second, "hold").await;
    scene.publish("order.cancelled", "A-1", "p6", json!({})).await;
    let run = scene.ended(second, RunStatus::Cancelled).await;
    assert!(run.error.unwrap().message.contains("cancelled it"));
    assert_eq!(scene.asked(), ["/hold", "/release"]);
    record("instance-cancelled", &closed_history(&scene.temporal().await, second).await);
    assert_eq!(scene.run("instance/order/B-2").await.unwrap().status, RunStatus::Running);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_for_one_key_arrives_whole_in_order_and_once_through_a_killed_worker() {
    let mut scene = Scene::set().await;
    let counted = |n: u32| event("counted", "K", &format!("c{n}"), json!({"n": n, "of": 1000}));
    let events: Vec<Event> = (0..1000).map(counted).collect();
    scene.send(&events[..400]).await;
    scene.world.kill("worker");
    scene.send(&events[400..]).await;
    // Once more, past the broker's own dedup.
    let client = async_nats::connect(scene.world.stack.nats_url()).await.unwrap();
    for event in &events[..50] {
        let (mut headers, payload) = spine_nats::wire::encode(event, Mode::Binary).unwrap();
        headers.insert("Nats-Msg-Id", format!("again-{}", event.id));
        let subject = format!("events.{}", event.event_type);
        let jetstream = async_nats::jetstream::new(client.clone());
        jetstream.publish_with_headers(subject, headers, payload).await.unwrap().await.unwrap();
    }
    scene.start_worker().await;
    let run = scene.ended("instance/count/K", RunStatus::Completed).await;
    let instance = scene.store.instance(&run.id, None).await.unwrap();
    assert_eq!((instance.received, instance.folded), (1000, 1000));
    assert_eq!(instance.state, Some(json!({"next": 1000, "wrong": 0})));
    let told = scene.emitted(&run.id, "com.test.told").await;
    let expected: Vec<Value> = (0..1000).map(|n| json!({"n": n, "wrong": 0})).collect();
    assert_eq!(told, expected);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_handed_over_with_nothing_lost_while_a_person_and_an_event_are_waited_for() {
    let scene = Scene::set().await;
    let id = "instance/desk/L";
    let mut executions = std::collections::BTreeSet::new();
    for n in 0..600_u32 {
        scene.publish("desk", "L", &format!("l{n}"), json!({"n": n})).await;
        // Given, not folded: some come while one execution hands over to the next.
        wait::until(&format!("event {n} is given"), PATIENCE, async || {
            (scene.store.instance(id, None).await.ok()?.received > n).then_some(())
        })
        .await;
        executions.extend(scene.run(id).await.unwrap().temporal_run_id);
    }
    scene.folded(id, 600).await;
    executions.extend(scene.run(id).await.unwrap().temporal_run_id);
    assert!(executions.len() > 1, "the history was never handed over: {executions:?}");
    scene.publish("heard", "L", "heard", json!({})).await;
    scene.done(id, "heard").await;
    let asked = scene.world.json(&["tasks", "list", "--activity", "desk"]);
    scene.world.ok(&["tasks", "complete", asked[0]["id"].as_str().unwrap(), "--data", "{}"]);
    let run = scene.ended(id, RunStatus::Completed).await;
    record("instance-handed-over", &closed_history(&scene.temporal().await, id).await);
    assert_eq!(scene.store.instance(&run.id, None).await.unwrap().state, Some(json!({"next": 600, "wrong": 0})));
    assert_eq!(scene.emitted(id, "com.test.told").await.len(), 600);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_fails_is_undone_and_its_retry_folds_what_came_meanwhile() {
    let scene = Scene::set().await;
    let id = "instance/order/F";
    scene.refuses.store(true, Ordering::Relaxed);
    scene.publish("order.placed", "F", "f1", json!({"note": "one"})).await;
    scene.folded(id, 1).await;
    scene.publish("order.paid", "F", "f2", json!({"note": "two"})).await;
    scene.folded(id, 2).await;
    scene.publish("order.reserved", "F", "f3", json!({})).await;
    scene.ended(id, RunStatus::Failed).await;
    let mut asked = scene.asked();
    let undone = asked.split_off(4);
    asked.sort();
    assert_eq!(asked, ["/hold", "/note/one", "/note/two", "/ship/f3"]);
    assert_eq!(undone.len(), 3, "{undone:?}");
    assert!(undone.contains(&"/release".to_owned()), "{undone:?}");
    let place = |path: &str| undone.iter().position(|one| one == path);
    assert!(place("/forget/two") < place("/forget/one"), "the newest first: {undone:?}");

    scene.publish("order.paid", "F", "f4", json!({"note": "three"})).await;
    let late = scene.world.settled("f4");
    let reason = late["instances"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "instance/order/F has ended, and this event starts none");
    scene.refuses.store(false, Ordering::Relaxed);
    scene.world.ok(&["runs", "retry", id]);
    scene.ended(id, RunStatus::Completed).await;
    let mut asked = scene.asked();
    asked.sort();
    assert_eq!(asked, ["/hold", "/note/one", "/note/three", "/note/two", "/ship/f3"]);
    assert_eq!(scene.emitted(id, "com.test.progressed").await.len(), 4, "each event is told once");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_expires_and_one_of_a_disabled_activity_goes_on() {
    let scene = Scene::set().await;
    scene.publish("hurry", "H", "h1", json!({})).await;
    scene.publish("order.placed", "D-1", "d1", json!({})).await;
    scene.folded("instance/order/D-1", 1).await;
    scene.world.ok(&["disable", "order", "--reason", "a test"]);
    let run = scene.ended("instance/hurry/H", RunStatus::Failed).await;
    let failure = run.error.unwrap();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("Expired", "it has not completed within 2s"));
    record("instance-expired", &closed_history(&scene.temporal().await, &run.id).await);
    let asked = scene.asked();
    assert!(asked.contains(&"/end".to_owned()), "{asked:?}");
    let tasks = scene.tasks("instance/hurry/H").await;
    let skipped = tasks.iter().find(|task| task.task == "never").unwrap();
    assert_eq!(skipped.reason.as_deref(), Some("the instance ended before it was decided"));

    scene.publish("order.placed", "D-2", "d2", json!({})).await;
    scene.publish("order.paid", "D-1", "d3", json!({})).await;
    scene.publish("order.reserved", "D-1", "d4", json!({})).await;
    scene.ended("instance/order/D-1", RunStatus::Completed).await;
    assert!(scene.run("instance/order/D-2").await.is_none());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_costs_what_the_docs_say() {
    let scene = Scene::set().await;
    let docs = include_str!("../../../docs/architecture.md");
    assert!(docs.contains("\n| an instance that one event begins and completes | 7 |\n"));
    let mut seen = Vec::new();
    for n in 0..3 {
        let (key, id) = (format!("S-{n}"), format!("instance/count/S-{n}"));
        scene.publish("counted", &key, &key, json!({"n": 0, "of": 1})).await;
        scene.ended(&id, RunStatus::Completed).await;
        let history = closed_history(&scene.temporal().await, &id).await;
        seen.push(history["events"].as_array().unwrap().len());
    }
    assert!(seen.contains(&7), "{seen:?}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_can_be_cancelled_and_shown() {
    let scene = Scene::set().await;
    let id = "instance/order/C";
    scene.publish("order.placed", "C", "x1", json!({"note": "n"})).await;
    scene.folded(id, 1).await;
    let shown = scene.world.ok(&["runs", "show", id]);
    for part in ["com.test.order.placed", "state", "hold/0", "note/0"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    scene.world.ok(&["runs", "cancel", id, "--reason", "a mistake"]);
    let run = scene.ended(id, RunStatus::Cancelled).await;
    assert_eq!(run.error.unwrap().message, "a mistake");
    let asked = scene.asked();
    assert!(asked.contains(&"/release".to_owned()) && asked.contains(&"/forget/n".to_owned()), "{asked:?}");
    scene.end().await;
}
