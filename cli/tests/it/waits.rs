//! Tasks that wait for an event.

use serde_json::{Value, json};
use spine_core::event::Event;
use spine_core::names;
use spine_testkit::wait;
use tokio::sync::watch;

use crate::endpoint::{Answer, Endpoint};
use crate::world::{PATIENCE, SOURCE, World, until_metric};

const INSTANT: &str = r#"spine_inbox_delivered_total{to="wait"}"#;

/// An endpoint that answers once it is opened; `/refuse` then as well, with a refusal until it is mended.
struct Gate {
    endpoint: Endpoint,
    open: watch::Sender<bool>,
    mended: watch::Sender<bool>,
}

impl Gate {
    async fn start() -> Self {
        let (open, opened) = watch::channel(false);
        let (mended, is_mended) = watch::channel(false);
        let endpoint = Endpoint::start(move |request, _| {
            let refuses = request["path"] == "/refuse" && !*is_mended.borrow();
            let mut opened = opened.clone();
            Answer::Later(Box::pin(async move {
                opened.wait_for(|open| *open).await.unwrap();
                Answer::Whole(if refuses { 400 } else { 200 }, "application/json", "{}".into())
            }))
        })
        .await;
        Self { endpoint, open, mended }
    }
}

struct Scene {
    world: World,
    gate: Gate,
}

impl Scene {
    async fn set() -> Self {
        let gate = Gate::start().await;
        let mut world = World::boot().await;
        let file = world.folder.path().join("activities.yaml");
        std::fs::write(&file, ACTIVITIES).unwrap();
        world.ok(&["apply", "--file", file.to_str().unwrap()]);
        world.start("relay", &[]).await;
        let scene = Self { world, gate };
        let mut scene = scene;
        scene.start_worker().await;
        scene.world.start("router", &[]).await;
        scene
    }

    async fn start_worker(&mut self) {
        let url = self.gate.endpoint.url.clone();
        self.world.start("worker", &[("SPINE_VALUES__gate", &url)]).await;
    }

    /// Publishes an event that starts a run of the activity with this name; returns the run's id.
    fn begin(&self, activity: &str, id: &str) -> String {
        let event_type = format!("com.test.{activity}");
        self.publish(&event_type, id, "{}");
        names::run_id(activity, &Event::new(event_type, SOURCE, id).key())
    }

    fn publish(&self, event_type: &str, id: &str, data: &str) -> Value {
        self.world.json(&["publish", "--type", event_type, "--source", SOURCE, "--id", id, "--data", data])
    }

    fn pay(&self, id: &str, order: &str, status: &str) -> Value {
        self.publish("com.test.paid", id, &json!({"order": order, "status": status}).to_string())
    }

    /// The run once one of its tasks stands so.
    async fn until_task(&self, run: &str, task: &str, status: &str) -> Value {
        wait::until(&format!("{task} of {run} is {status}"), PATIENCE, async || {
            let output = self.world.spine(&["runs", "show", run, "--output", "json"]).output().unwrap();
            let trace: Value = serde_json::from_slice(&output.stdout).ok()?;
            let is = trace["tasks"].as_array()?.iter().any(|one| one["task"] == task && one["status"] == status);
            is.then_some(trace)
        })
        .await
    }

    async fn until_ended(&self, run: &str, status: &str) -> Value {
        wait::until(&format!("{run} is {status}"), PATIENCE, async || {
            let output = self.world.spine(&["runs", "show", run, "--output", "json"]).output().unwrap();
            let trace: Value = serde_json::from_slice(&output.stdout).ok()?;
            (trace["run"]["status"] == status).then_some(trace)
        })
        .await
    }

    /// How many waits are open.
    async fn open_waits(&self) -> String {
        self.world.sql("select count(*) from event_wait").await
    }

    async fn end(self) {
        drop(self.gate);
        self.world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fits_ends_a_wait_once_and_no_other_does() {
    let scene = Scene::set().await;
    let run = scene.begin("order", "o1");
    scene.until_task(&run, "paid", "created").await;
    // Another order, another status, another type; all but the last meet some spec and are kept.
    scene.pay("p1", "o2", "ok");
    scene.pay("p2", "o1", "refused");
    scene.publish("com.test.paid.late", "p3", r#"{"order": "o1", "status": "ok"}"#);
    scene.publish("com.test.news.a", "n1", "{}");
    until_metric(&scene.world, "relay", INSTANT, 2.0).await;
    let waiting = scene.until_task(&run, "paid", "created").await;
    assert_eq!(waiting["run"]["status"], "running");
    assert_eq!(scene.open_waits().await, "1");

    let place = scene.pay("p4", "o1", "ok")["sequence"].as_u64().unwrap();
    let ended = scene.until_ended(&run, "completed").await;
    assert_eq!(told(&ended, "com.test.shipped")[0]["data"], json!({"order": "o1", "status": "ok"}));
    let completed = told(&ended, "com.spine.task.completed");
    let by = &completed.iter().find(|event| event["data"]["task"] == "paid").unwrap()["data"]["event"];
    assert_eq!(*by, json!({"type": "com.test.paid", "source": SOURCE, "id": "p4", "sequence": place}));
    assert_eq!(scene.open_waits().await, "0");
    let shown = scene.world.ok(&["runs", "show", &run]);
    assert!(shown.contains(&format!("com.test.paid p4, EVENTS:{place}")), "{shown}");

    // The same event again, as a message of its own: it changes nothing, for those who waited and who come.
    let before = scene.world.sql("select * from inbox_event order by spec, sequence").await;
    let again = republish(&scene.world, "com.test.paid", "p4", r#"{"order": "o1", "status": "ok"}"#).await;
    assert!(again > place);
    scene.world.until_read(again).await;
    assert_eq!(scene.world.sql("select * from inbox_event order by spec, sequence").await, before);
    let after = scene.until_ended(&run, "completed").await;
    assert_eq!(after["tasks"], ended["tasks"]);
    assert_eq!(after["audit"], ended["audit"]);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_came_before_the_wait_began_ends_it_and_one_from_before_the_run_does_not() {
    let scene = Scene::set().await;
    scene.pay("early", "o1", "ok");
    let run = scene.begin("gated", "o1");
    scene.until_task(&run, "gate", "created").await;
    let place = scene.pay("between", "o1", "ok")["sequence"].as_u64().unwrap();
    scene.world.until_read(place).await;
    scene.pay("later", "o1", "ok");
    scene.gate.open.send_replace(true);
    let ended = scene.until_ended(&run, "completed").await;
    assert_eq!(task(&ended, "paid")["output"]["id"], "between", "{ended:#}");
    // The event, the run that it ends and what it lets follow are one step: nobody had to wake the run.
    assert_eq!(told(&ended, "com.test.shipped").len(), 1);
    assert_eq!(scene.open_waits().await, "0");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_has_a_deadline_and_one_event_ends_the_waits_of_two_runs() {
    let scene = Scene::set().await;
    let late = scene.begin("late", "l1");
    let (first, second) = (scene.begin("news", "1"), scene.begin("news", "2"));
    for run in [&first, &second] {
        scene.until_task(run, "heard", "created").await;
    }
    scene.publish("com.test.news.local", "n1", r#"{"text": "hello"}"#);
    for run in [&first, &second] {
        let ended = scene.until_ended(run, "completed").await;
        assert_eq!(task(&ended, "heard")["output"]["data"], json!({"text": "hello"}));
    }
    let ended = scene.until_ended(&late, "completed").await;
    assert_eq!(told(&ended, "com.test.shipped")[0]["data"], json!({"paid": false, "order": "l1"}));
    assert_eq!(scene.open_waits().await, "0");
    // Too late.
    let place = scene.publish("com.test.never", "n", "{}")["sequence"].as_u64().unwrap();
    scene.world.until_read(place).await;
    assert_eq!(scene.until_ended(&late, "completed").await["tasks"], ended["tasks"]);

    let large = scene.begin("news", "3");
    scene.until_task(&large, "heard", "created").await;
    let long = json!({"text": "x".repeat(200_000), "more": "y".repeat(100_000)}).to_string();
    republish(&scene.world, "com.test.news.long", "n2", &long).await;
    let ended = scene.until_ended(&large, "failed").await;
    assert_eq!(task(&ended, "heard")["error"]["type"], "OutputTooLarge", "{ended:#}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_outlives_the_processes_and_the_revision() {
    let mut scene = Scene::set().await;
    let (first, second) = (scene.begin("order", "o1"), scene.begin("order", "o2"));
    for run in [&first, &second] {
        scene.until_task(run, "paid", "created").await;
    }
    // The revision that waits is replaced by one that wants other events.
    let file = scene.world.folder.path().join("order.yaml");
    std::fs::write(&file, OTHER_ORDER).unwrap();
    scene.world.ok(&["apply", "--file", file.to_str().unwrap()]);
    until_metric(&scene.world, "router", "spine_router_catalog_version", 2.0).await;
    scene.pay("p1", "o1", "ok");
    scene.until_ended(&first, "completed").await;
    let other = scene.begin("order", "o3");
    scene.until_task(&other, "paid", "created").await;
    scene.pay("p3", "o3", "ok");
    scene.publish("com.test.settled", "s3", "{}");
    let ended = scene.until_ended(&other, "completed").await;
    assert_eq!(task(&ended, "paid")["output"]["id"], "s3");

    scene.world.kill("worker");
    scene.world.kill("relay");
    let place = scene.pay("p2", "o2", "ok")["sequence"].as_u64().unwrap();
    scene.world.start("relay", &[]).await;
    scene.world.until_read(place).await;
    let rows = scene.until_task(&second, "paid", "completed").await;
    assert_eq!(rows["run"]["status"], "running", "no worker is there to go on");
    scene.start_worker().await;
    let ended = scene.until_ended(&second, "completed").await;
    assert_eq!(told(&ended, "com.test.shipped").len(), 1);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_gives_its_wait_up_and_a_retry_waits_anew() {
    let scene = Scene::set().await;
    let run = scene.begin("failing", "f1");
    scene.until_task(&run, "paid", "created").await;
    assert_eq!(scene.open_waits().await, "1");
    scene.gate.open.send_replace(true);
    let failed = scene.until_ended(&run, "failed").await;
    assert_eq!(task(&failed, "paid")["status"], "cancelled", "{failed:#}");
    assert_eq!(scene.open_waits().await, "0");
    // It comes while nobody waits, and is there when the retry does.
    let place = scene.pay("p1", "f1", "ok")["sequence"].as_u64().unwrap();
    scene.world.until_read(place).await;
    assert_eq!(scene.until_ended(&run, "failed").await["tasks"], failed["tasks"]);
    scene.gate.mended.send_replace(true);
    scene.world.ok(&["runs", "retry", &run]);
    let ended = scene.until_ended(&run, "completed").await;
    assert_eq!(task(&ended, "paid")["output"]["id"], "p1");

    let run = scene.begin("order", "c1");
    scene.until_task(&run, "paid", "created").await;
    scene.world.ok(&["runs", "cancel", &run]);
    scene.until_ended(&run, "cancelled").await;
    assert_eq!(scene.open_waits().await, "0");
    scene.end().await;
}

/// Publishes an event past the broker's deduplication; returns where it stands.
async fn republish(world: &World, event_type: &str, id: &str, data: &str) -> u64 {
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", "application/cloudevents+json");
    let data: Value = serde_json::from_str(data).unwrap();
    let event = json!({"specversion": "1.0", "type": event_type, "source": SOURCE, "id": id, "data": data});
    let ack = jetstream.publish_with_headers(format!("events.{event_type}"), headers, event.to_string().into());
    ack.await.unwrap().await.unwrap().sequence
}

fn told<'a>(run: &'a Value, event_type: &str) -> Vec<&'a Value> {
    let events = run["events"].as_array().unwrap().iter().map(|event| &event["event"]);
    events.filter(|event| event["type"] == event_type).collect()
}

fn task<'a>(run: &'a Value, id: &str) -> &'a Value {
    run["tasks"].as_array().unwrap().iter().find(|task| task["task"] == id).unwrap_or_else(|| panic!("{id}: {run:#}"))
}

const OTHER_ORDER: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: order}
spec:
  on: [{event: com.test.order}]
  tasks:
    - {id: paid, uses: wait, with: {event: com.test.settled}}
"#;

const ACTIVITIES: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: order}
spec:
  on: [{event: com.test.order}]
  tasks:
    - id: paid
      uses: wait
      with:
        event: com.test.paid
        source: https://test.*
        match: {data: {status: [ok]}}
        key: event.data.order
        equals: "${ event.id }"
    - {id: tell, needs: [paid], uses: emit, with: {type: com.test.shipped, data: "${ tasks.paid.output.data }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: gated}
spec:
  on: [{event: com.test.gated}]
  tasks:
    - {id: gate, uses: http, with: {method: GET, url: "${ config.gate }/"}}
    - {id: paid, needs: [gate], uses: wait, with: {event: com.test.paid, key: event.data.order, equals: "${ event.id }"}}
    - {id: tell, needs: [paid], uses: emit, with: {type: com.test.shipped}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: late}
spec:
  on: [{event: com.test.late}]
  tasks:
    - id: paid
      uses: wait
      with: {event: com.test.never}
      deadline: 1s
      onTimeout: {output: {paid: false, order: "${ event.id }"}}
    - {id: tell, needs: [paid], uses: emit, with: {type: com.test.shipped, data: "${ tasks.paid.output }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: news}
spec:
  on: [{event: com.test.news}]
  tasks:
    - {id: heard, uses: wait, with: {event: com.test.news.*}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: failing}
spec:
  on: [{event: com.test.failing}]
  tasks:
    - {id: paid, uses: wait, with: {event: com.test.paid, key: event.data.order, equals: "${ event.id }"}}
    - {id: boom, uses: http, with: {method: GET, url: "${ config.gate }/refuse"}}
"#;
