//! Runs that don't go straight to their end: undone, cancelled, late, retried, and waiting for other runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use spine_testkit::wait;

use crate::endpoint::{Answer, Endpoint};
use crate::world::{PATIENCE, SOURCE, World};

/// A service that does and undoes, and refuses `/refuse` until it is mended.
struct Scene {
    world: World,
    service: Endpoint,
    mended: Arc<AtomicBool>,
}

impl Scene {
    async fn set() -> Self {
        let mended = Arc::new(AtomicBool::default());
        let is_mended = mended.clone();
        let service = Endpoint::start(move |request, _| {
            let path = request["path"].as_str().unwrap();
            let refused = path == "/refuse" && !is_mended.load(Ordering::Relaxed);
            let status = if refused || path == "/stays" { 400 } else { 200 };
            Answer::Whole(
                status,
                "application/json",
                json!({"id": path.rsplit('/').next(), "key": request["headers"]["idempotency-key"]}).to_string(),
            )
        });
        let service = service.await;
        let mut world = World::boot().await;
        let file = world.folder.path().join("activities.yaml");
        std::fs::write(&file, ACTIVITIES).unwrap();
        world.ok(&["apply", "--file", file.to_str().unwrap()]);
        world.start("relay", &[]).await;
        world.start("worker", &[("SPINE_VALUES__service", &service.url)]).await;
        world.start("router", &[]).await;
        Self { world, service, mended }
    }

    fn publish(&self, what: &str) -> String {
        let event_type = format!("com.test.{what}");
        self.world.ok(&["publish", "--type", &event_type, "--source", SOURCE, "--id", what, "--data", "{}"]);
        let key = spine_core::event::Event::new(event_type, SOURCE, what).key();
        spine_core::names::run_id(what, &key)
    }

    /// The run of this event once it has ended.
    fn ended(&self, what: &str) -> Value {
        self.world.settled(what)["runs"][0].take()
    }

    async fn end(self) {
        self.world.end().await;
    }
}

pub(crate) fn told<'a>(run: &'a Value, event_type: &str) -> Vec<&'a Value> {
    let events = run["events"].as_array().unwrap().iter().map(|event| &event["event"]);
    events.filter(|event| event["type"] == event_type).collect()
}

pub(crate) fn task<'a>(run: &'a Value, id: &str) -> &'a Value {
    run["tasks"].as_array().unwrap().iter().find(|task| task["task"] == id).unwrap_or_else(|| panic!("{id}: {run:#}"))
}

pub(crate) fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(what, key)| (what.to_owned(), key.to_owned())).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_undone_newest_first_and_a_retry_goes_on_from_what_is_done() {
    let scene = Scene::set().await;
    scene.publish("saga");
    let run = scene.ended("saga");
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    let error = &task(&run, "refused")["error"];
    assert_eq!((&error["type"], &error["class"]), (&json!("HttpStatus"), &json!("non_retryable")));
    let mut asked = scene.service.taken();
    // The two of `each` run at once, in any order.
    asked[1..3].sort();
    let undone_first = asked.remove(5);
    let undone_second = asked.remove(5);
    let mut each_undone = [undone_first, undone_second];
    each_undone.sort();
    let expected = [
        ("POST /do/a", "a/0"),
        ("POST /do/1", "each/0"),
        ("POST /do/2", "each/1"),
        ("POST /do/kept", "kept/0"),
        ("POST /refuse", "refused/0"),
        ("DELETE /undo/a", "a.undo/0"),
    ];
    assert_eq!(asked, pairs(expected));
    assert_eq!(each_undone.to_vec(), pairs([("DELETE /undo/1", "each.undo/0"), ("DELETE /undo/2", "each.undo/1")]));
    assert_eq!(told(&run, "com.spine.run.failed").len(), 1);
    assert_eq!(told(&run, "com.spine.run.failed")[0]["data"]["notUndone"], Value::Null);

    // What was undone is done again, under a key of its own; what failed, under the key that it had; what stands, not.
    scene.mended.store(true, Ordering::Relaxed);
    let id = run["run"]["id"].as_str().unwrap();
    scene.world.ok(&["runs", "retry", id]);
    let run = wait::until("the retry has ended", PATIENCE, async || {
        let run = scene.ended("saga");
        (run["run"]["status"] == "completed").then_some(run)
    })
    .await;
    // After what it needs again, and with what that gives now.
    let refused = scene.service.asked("/refuse")[0]["body"].as_str().unwrap().to_owned();
    assert!(refused.ends_with("/a/0~1\"}"), "{refused}");
    let mut asked = scene.service.taken();
    asked[1..].sort();
    let expected = [
        ("POST /do/a", "a/0~1"),
        ("POST /do/1", "each/0~1"),
        ("POST /do/2", "each/1~1"),
        ("POST /refuse", "refused/0"),
    ];
    assert_eq!(asked, pairs(expected));
    assert_eq!(told(&run, "com.test.saga-done").len(), 1, "{run:#}");
    let whole = scene.world.json(&["runs", "show", id]);
    let tried = |retry: u64| {
        let attempts = whole["attempts"].as_array().unwrap().iter();
        attempts
            .filter(move |one| one["task"] == "refused" && one["retry"] == retry)
            .map(|one| one["error"]["type"].clone())
    };
    assert_eq!(tried(0).chain(tried(1)).collect::<Vec<_>>(), [json!("HttpStatus"), json!(null)], "{whole:#}");
    assert_eq!(told(&run, "com.spine.run.completed").len(), 1);
    let refused = scene.world.spine(&["runs", "retry", id]).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("only one that failed or was cancelled"), "{refused:?}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_last_task_fails_waits_for_no_person() {
    let scene = Scene::set().await;
    scene.publish("alone");
    let run = scene.ended("alone");
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    assert_eq!(task(&run, "ask")["status"], "cancelled");
    scene.end().await;
}

/// Of a `forEach`, what is done stands, and what failed is decided again, as is what was never asked of a person.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_decides_again_what_failed_of_many() {
    let scene = Scene::set().await;
    let id = scene.publish("partly");
    let run = scene.ended("partly");
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    let mut asked = scene.service.taken();
    asked.sort();
    assert_eq!(asked, pairs([("POST /one", "each/0"), ("POST /refuse", "each/1"), ("POST /three", "each/2")]));
    assert_eq!(task(&run, "ask")["status"], "cancelled");
    scene.mended.store(true, Ordering::Relaxed);
    scene.world.ok(&["runs", "retry", &id]);
    let person = wait::until("a person is asked", PATIENCE, async || {
        scene.world.json(&["tasks", "list"]).get(0).and_then(|one| one["id"].as_str().map(str::to_owned))
    })
    .await;
    scene.world.ok(&["tasks", "complete", &person, "--data", "{}"]);
    let run = wait::until("the retry has ended", PATIENCE, async || {
        let run = scene.ended("partly");
        (run["run"]["status"] == "completed").then_some(run)
    })
    .await;
    assert_eq!(scene.service.taken(), pairs([("POST /refuse", "each/1")]));
    let done = told(&run, "com.test.partly-done")[0]["data"].clone();
    assert_eq!(done, json!(["one", "refuse", "three"]), "{run:#}");
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_undoes_what_it_did_and_gives_up_what_it_waits_for() {
    let scene = Scene::set().await;
    let id = scene.publish("long");
    wait::until("the run waits", PATIENCE, async || {
        let trace = scene.world.json(&["trace", "long"]);
        let tasks = trace[0]["runs"][0]["tasks"].as_array()?.clone();
        tasks.iter().any(|task| task["task"] == "pause").then_some(())
    })
    .await;
    scene.world.ok(&["runs", "cancel", &id, "--reason", "the customer left"]);
    let run = scene.ended("long");
    assert_eq!(run["run"]["status"], "cancelled", "{run:#}");
    assert_eq!(run["run"]["error"]["message"], "the customer left");
    assert_eq!(task(&run, "pause")["status"], "cancelled");
    let expected = [
        ("POST /do/a", "a/0"),
        // Its failure is loud, and keeps nothing else from being undone.
        ("POST /do/b", "b/0"),
        ("DELETE /stays", "b.undo/0"),
        ("DELETE /undo/a", "a.undo/0"),
    ];
    assert_eq!(scene.service.taken(), pairs(expected));
    let told = told(&run, "com.spine.run.cancelled");
    assert_eq!(told[0]["data"]["notUndone"], json!(["b/0"]), "{run:#}");
    assert!(scene.world.metric("worker", "spine_worker_undo_failures_total").await > 0.5);
    assert!(scene.world.metric("worker", r#"spine_worker_runs_total{outcome="cancelled"}"#).await > 0.5);
    let again = scene.world.spine(&["runs", "cancel", &id]).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("has ended: it is cancelled"), "{again:?}");

    // From the start: nothing of before stands, and every effect has a name of its own.
    scene.world.ok(&["runs", "retry", &id, "--from-start"]);
    wait::until("the retry waits", PATIENCE, async || (scene.service.asked("/").len() == 2).then_some(())).await;
    assert_eq!(scene.service.taken(), pairs([("POST /do/a", "a/0~1"), ("POST /do/b", "b/0~1")]));
    scene.world.ok(&["runs", "cancel", &id]);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_are_answered_and_other_activities_are_called() {
    let scene = Scene::set().await;
    scene.publish("late");
    let run = scene.ended("late");
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(told(&run, "com.test.late-done")[0]["data"], json!({"scored": false}));

    scene.publish("too-late");
    let run = scene.ended("too-late");
    let error = &task(&run, "score")["error"];
    assert_eq!((&error["type"], &error["class"]), (&json!("Deadline"), &json!("timed_out")), "{run:#}");

    scene.publish("caller");
    let run = scene.ended("caller");
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(told(&run, "com.test.called")[0]["data"]["id"], "from-caller");
    let called = task(&run, "sub")["output"]["run"].as_str().unwrap();
    let called = scene.world.json(&["runs", "show", called]);
    assert_eq!((&called["run"]["status"], &called["run"]["trigger"]), (&json!("completed"), &json!("call")));

    scene.publish("lost");
    let run = scene.ended("lost");
    assert_eq!(task(&run, "sub")["error"]["type"], "UnknownActivity", "{run:#}");
    scene.end().await;
}

const ACTIVITIES: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: saga}
spec:
  on: [{event: com.test.saga}]
  tasks:
    - id: a
      uses: http
      with: {method: POST, url: "${ config.service }/do/a"}
      undo: {uses: http, with: {method: DELETE, url: "${ config.service }/undo/${ output.id }"}}
    - id: each
      needs: [a]
      forEach: "['1', '2']"
      uses: http
      with: {method: POST, url: "${ config.service }/do/${ item }"}
      undo: {uses: http, with: {method: DELETE, url: "${ config.service }/undo/${ output.id }"}}
    - {id: kept, needs: [each], uses: http, with: {method: POST, url: "${ config.service }/do/kept"}}
    - id: refused
      needs: [a, kept]
      uses: http
      with: {method: POST, url: "${ config.service }/refuse", body: {after: "${ tasks.a.output.key }"}}
    - {id: done, needs: [refused], uses: emit, with: {type: com.test.saga-done}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: alone}
spec:
  on: [{event: com.test.alone}]
  tasks:
    - {id: refused, uses: http, with: {method: POST, url: "${ config.service }/refuse"}}
    - {id: ask, uses: human, with: {title: Look, assignees: [ops]}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: partly}
spec:
  on: [{event: com.test.partly}]
  tasks:
    - id: each
      forEach: "['one', 'refuse', 'three']"
      uses: http
      with: {method: POST, url: "${ config.service }/${ item }"}
    - {id: ask, uses: human, with: {title: Look, assignees: [ops]}}
    - id: done
      needs: [each, ask]
      uses: emit
      with: {type: com.test.partly-done, data: "${ tasks.each.output.map(one, one.id) }"}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: long}
spec:
  on: [{event: com.test.long}]
  tasks:
    - id: a
      uses: http
      with: {method: POST, url: "${ config.service }/do/a"}
      undo: {uses: http, with: {method: DELETE, url: "${ config.service }/undo/${ output.id }"}}
    - id: b
      needs: [a]
      uses: http
      with: {method: POST, url: "${ config.service }/do/b"}
      undo: {uses: http, with: {method: DELETE, url: "${ config.service }/stays"}}
    - {id: pause, needs: [b], uses: wait, with: {for: 1h}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: late}
spec:
  on: [{event: com.test.late}]
  tasks:
    - id: score
      uses: worker
      with: {taskQueue: nobody, activity: Score, input: 1}
      deadline: 1s
      onTimeout: {output: {scored: false}}
    - {id: nap, needs: [score], uses: wait, with: {for: 10ms}}
    - {id: past, needs: [score], uses: wait, with: {until: "2020-01-01T00:00:00Z"}}
    - {id: done, needs: [nap, past], uses: emit, with: {type: com.test.late-done, data: "${ tasks.score.output }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: too-late}
spec:
  on: [{event: com.test.too-late}]
  tasks:
    - {id: score, uses: worker, with: {taskQueue: nobody, activity: Score, input: 1}, deadline: 1s}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: callee}
spec:
  on: [{event: com.test.never}]
  tasks:
    - {id: inner, uses: http, with: {method: POST, url: "${ config.service }/do/${ event.data.name }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: caller}
spec:
  on: [{event: com.test.caller}]
  tasks:
    - {id: sub, uses: activity, with: {name: callee, data: {name: from-caller}}}
    - {id: tell, needs: [sub], uses: emit, with: {type: com.test.called, data: "${ tasks.sub.output.tasks.inner }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: lost}
spec:
  on: [{event: com.test.lost}]
  tasks:
    - {id: sub, uses: activity, with: {name: not-there}}
"#;
