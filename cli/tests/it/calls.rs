//! Runs that other runs call: retried with them, and found to be there already.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use spine_core::event::Event;
use spine_core::planning::Outcome;
use spine_core::run::{Failure, TaskStatus};
use spine_core::{names, notice};
use spine_store::{NewRun, NewTask, Opened, StepRecord, Store, Trigger};
use spine_testkit::wait;

use crate::endpoint::{Answer, Endpoint};
use crate::undo::{pairs, task, told};
use crate::world::{PATIENCE, SOURCE, World};

/// Three activities that call each other, and a service that refuses `/refuse` until it is mended.
struct Calls {
    world: World,
    service: Endpoint,
    mended: Arc<AtomicBool>,
}

impl Calls {
    async fn start() -> Self {
        let mended = Arc::new(AtomicBool::default());
        let is_mended = mended.clone();
        let service = Endpoint::start(move |request, _| {
            let refused = request["path"] == "/refuse" && !is_mended.load(Ordering::Relaxed);
            let status = if refused { 400 } else { 200 };
            Answer::Whole(status, "application/json", json!({"path": request["path"]}).to_string())
        })
        .await;
        let mut world = World::boot().await;
        apply(&world, ACTIVITIES);
        world.start("relay", &[]).await;
        world.start("worker", &[("SPINE_VALUES__service", &service.url)]).await;
        world.start("router", &[]).await;
        Self { world, service, mended }
    }

    fn publish(&self, activity: &str) -> String {
        let event_type = format!("com.test.{activity}");
        self.world.ok(&["publish", "--type", &event_type, "--source", SOURCE, "--id", activity, "--data", "{}"]);
        names::run_id(activity, &Event::new(event_type, SOURCE, activity).key())
    }

    /// The run of this event once it has ended.
    fn ended(&self, activity: &str) -> Value {
        self.world.settled(activity)["runs"][0].take()
    }

    /// The same once it has completed.
    async fn completed(&self, activity: &str) -> Value {
        wait::until("the run has completed", PATIENCE, async || {
            let run = self.ended(activity);
            (run["run"]["status"] == "completed").then_some(run)
        })
        .await
    }
}

fn apply(world: &World, text: &str) {
    let file = world.folder.path().join("calls.yaml");
    std::fs::write(&file, text).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_goes_on_in_the_runs_that_were_called_too() {
    let calls = Calls::start().await;
    let id = calls.publish("top");
    let run = calls.ended("top");
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    assert_eq!(task(&run, "middle")["error"]["type"], "HttpStatus", "{run:#}");
    let asked = [
        ("POST /top", "first/0"),
        ("POST /kept", "kept/0"),
        ("POST /taken-back", "taken_back/0"),
        ("POST /refuse", "refused/0"),
        ("DELETE /taken-back", "taken_back.undo/0"),
    ];
    assert_eq!(calls.service.taken(), pairs(asked));

    calls.mended.store(true, Ordering::Relaxed);
    let said = calls.world.ok(&["runs", "retry", &id]);
    let called = said.lines().filter(|line| line.ends_with("was called by it, and goes on as well")).count();
    assert_eq!(called, 2, "{said}");
    let run = calls.completed("top").await;
    // What was done below stands, what failed keeps its key, what was undone has a new one.
    let asked = [("POST /taken-back", "taken_back/0~1"), ("POST /refuse", "refused/0")];
    assert_eq!(calls.service.taken(), pairs(asked));
    assert_eq!(told(&run, "com.test.top-done")[0]["data"], json!({"path": "/refuse"}), "{run:#}");
    let middle = task(&run, "middle")["output"]["run"].as_str().unwrap();
    let middle = calls.world.json(&["runs", "show", middle]);
    assert_eq!(middle["run"]["retries"], 1, "{middle:#}");
    let retried = middle["audit"].as_array().unwrap().iter().find(|fact| fact["fact"] == "retried").unwrap();
    assert_eq!(retried["detail"]["with"], id, "{retried}");
    let told = calls.world.ok(&["runs", "show", middle["run"]["id"].as_str().unwrap()]);
    assert!(told.contains("retry 1 by ") && told.contains(&format!(", from what is done, with {id}")), "{told}");
    assert!(told.contains("failed: HttpStatus: task leaf: run "), "{told}");
    calls.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_what_was_not_there_can_be_retried_once_it_is() {
    let calls = Calls::start().await;
    let id = calls.publish("early");
    let run = calls.ended("early");
    assert_eq!(task(&run, "sub")["error"]["type"], "UnknownActivity", "{run:#}");
    apply(&calls.world, LATE);
    calls.world.ok(&["runs", "retry", &id]);
    let run = calls.completed("early").await;
    assert_eq!(task(&run, "sub")["output"]["tasks"]["do"], json!({"path": "/late"}), "{run:#}");
    calls.world.end().await;
}

/// The run that a call stands for may be there already: Temporal forgets an execution long before the run's row goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_as_the_run_that_is_there_already() {
    let calls = Calls::start().await;
    let store = Store::connect(calls.world.stack.database_url()).await.unwrap();
    let before = async |caller: &str| {
        let key = Event::new(format!("com.test.{caller}"), SOURCE, caller).key();
        let event_id = notice::call_id(&names::run_id(caller, &key), "sub", 0, 0);
        let event = Event::new(names::CALL_TYPE, notice::source(caller), event_id);
        let new = NewRun {
            id: names::run_id("leaf", &event.key()),
            temporal_run_id: Some("forgotten".into()),
            activity: "leaf".into(),
            revision: 1,
            trigger: Trigger::Call,
            event,
            replay: 0,
            key: None,
            sequence: None,
        };
        assert_eq!(store.open_run(&new).await.unwrap(), Opened::New);
        new.id
    };
    let failed = before("follows-failed").await;
    end(&store, &failed, Outcome::Failed(Failure::new("Boom", "it burst"))).await;
    calls.publish("follows-failed");
    let run = calls.ended("follows-failed");
    let error = &task(&run, "sub")["error"];
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    assert_eq!((&error["type"], &error["message"]), (&json!("Boom"), &json!(format!("run {failed}: it burst"))));

    let cancelled = before("follows-cancelled").await;
    end(&store, &cancelled, Outcome::Cancelled(Failure::cancelled("enough"))).await;
    calls.publish("follows-cancelled");
    assert_eq!(task(&calls.ended("follows-cancelled"), "sub")["error"]["class"], "cancelled");

    // One that goes on is waited for, and its output is the call's.
    let running = before("follows-running").await;
    let id = calls.publish("follows-running");
    let client = spine_testkit::temporal::client(calls.world.stack.temporal_address()).await.unwrap();
    wait::until("the run is waited for", PATIENCE, async || {
        let handle = client.get_workflow_handle::<temporalio_common::UntypedWorkflow>(&id);
        let described = handle.describe(Default::default()).await.ok()?;
        let pending = &described.raw().pending_activities;
        pending.iter().any(|one| one.activity_type.as_ref().is_some_and(|kind| kind.name == "FollowRun")).then_some(())
    })
    .await;
    end(&store, &running, Outcome::Completed).await;
    let run = calls.completed("follows-running").await;
    let output = &task(&run, "sub")["output"];
    assert_eq!((&output["run"], &output["tasks"]["refused"]), (&json!(running), &json!({"by": "another"})));
    assert!(calls.service.taken().is_empty(), "nothing was done a second time");
    calls.world.end().await;
}

/// Ends a run in its rows, as another execution would, with a task done.
async fn end(store: &Store, run: &str, outcome: Outcome) {
    let done = NewTask {
        task: "refused".into(),
        index: 0,
        uses: "http".into(),
        status: TaskStatus::Completed,
        retry: 0,
        ordinal: None,
        for_event: false,
        request: Value::Null,
        output: Some(json!({"by": "another"})),
    };
    let step = StepRecord { run: run.into(), created: vec![done], outcome: Some(outcome), ..StepRecord::default() };
    store.commit_step(&step).await.unwrap();
}

/// A run's rows say that it has failed a moment before Temporal closes its workflow.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_waits_until_the_last_execution_has_closed() {
    let calls = Calls::start().await;
    let id = calls.publish("waits");
    wait::until("the run waits", PATIENCE, async || {
        let trace = calls.world.json(&["trace", "waits"]);
        trace[0]["runs"][0]["tasks"].as_array().filter(|tasks| !tasks.is_empty()).map(drop)
    })
    .await;
    let store = Store::connect(calls.world.stack.database_url()).await.unwrap();
    end(&store, &id, Outcome::Failed(Failure::new("Boom", "it burst"))).await;
    let mut retry = calls.world.spine(&["runs", "retry", &id]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(retry.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("waiting for its last execution to close"), "{said}");
    let client = spine_testkit::temporal::client(calls.world.stack.temporal_address()).await.unwrap();
    let handle = client.get_workflow_handle::<temporalio_common::UntypedWorkflow>(&id);
    handle.terminate(Default::default()).await.unwrap();
    assert!(retry.wait().unwrap().success());
    wait::until("the retry has begun", PATIENCE, async || {
        store.load_run(&id).await.unwrap().unwrap().temporal_run_id.map(drop)
    })
    .await;
    calls.world.end().await;
}

const ACTIVITIES: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: top}
spec:
  on: [{event: com.test.top}]
  tasks:
    - {id: first, uses: http, with: {method: POST, url: "${ config.service }/top"}}
    - {id: middle, needs: [first], uses: activity, with: {name: middle}}
    - id: done
      needs: [middle]
      uses: emit
      with: {type: com.test.top-done, data: "${ tasks.middle.output.tasks.leaf.tasks.refused }"}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: middle}
spec:
  on: [{event: com.test.never}]
  tasks:
    - {id: leaf, uses: activity, with: {name: leaf}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: leaf}
spec:
  on: [{event: com.test.never}]
  tasks:
    - {id: kept, uses: http, with: {method: POST, url: "${ config.service }/kept"}}
    - id: taken_back
      needs: [kept]
      uses: http
      with: {method: POST, url: "${ config.service }/taken-back"}
      undo: {uses: http, with: {method: DELETE, url: "${ config.service }/taken-back"}}
    - {id: refused, needs: [taken_back], uses: http, with: {method: POST, url: "${ config.service }/refuse"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: early}
spec:
  on: [{event: com.test.early}]
  tasks:
    - {id: sub, uses: activity, with: {name: late}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: follows-failed}
spec:
  on: [{event: com.test.follows-failed}]
  tasks:
    - {id: sub, uses: activity, with: {name: leaf}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: follows-cancelled}
spec:
  on: [{event: com.test.follows-cancelled}]
  tasks:
    - {id: sub, uses: activity, with: {name: leaf}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: follows-running}
spec:
  on: [{event: com.test.follows-running}]
  tasks:
    - {id: sub, uses: activity, with: {name: leaf}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: waits}
spec:
  on: [{event: com.test.waits}]
  tasks:
    - {id: pause, uses: wait, with: {for: 1h}}
"#;

const LATE: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: late}
spec:
  on: [{event: com.test.never}]
  tasks:
    - {id: do, uses: http, with: {method: POST, url: "${ config.service }/late"}}
"#;
