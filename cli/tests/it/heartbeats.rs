//! Attempts of which nothing is heard any more, and attempts that take long.

use std::time::{Duration, Instant};

use serde_json::json;
use spine_testkit::wait;

use crate::endpoint::{Answer, Endpoint};
use crate::undo::{pairs, task};
use crate::world::{PATIENCE, SOURCE, World};

/// Longer than a worker may be silent.
const LONG: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_did_is_tried_again_long_before_its_timeout() {
    let service = Endpoint::start(|_, times| match times {
        1 => Answer::Never,
        _ => Answer::json(&json!({})),
    })
    .await;
    let mut world = started(&service).await;
    publish(&world, "hangs");
    until_asked(&service).await;
    world.kill("worker");
    let killed = Instant::now();
    world.start("worker", &[("SPINE_VALUES__service", &service.url)]).await;
    let run = world.settled("hangs")["runs"][0].take();
    assert!(killed.elapsed() < Duration::from_secs(20), "{:?}", killed.elapsed());
    assert_eq!((&run["run"]["status"], &task(&run, "once")["attempts"]), (&json!("completed"), &json!(2)));
    assert_eq!(service.taken(), pairs([("POST /once", "once/0"), ("POST /once", "once/0")]));
    world.end().await;
}

/// An attempt under way is let end, however long that takes: only then is it known that there is something to undo.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_attempt_of_a_cancelled_run_is_let_end_and_undone() {
    let service = Endpoint::start(|request, _| {
        let answer = Answer::json(&json!({}));
        if request["method"] == "DELETE" {
            return answer;
        }
        Answer::Later(Box::pin(async {
            tokio::time::sleep(LONG).await;
            answer
        }))
    })
    .await;
    let world = started(&service).await;
    let begun = Instant::now();
    publish(&world, "long");
    until_asked(&service).await;
    world.ok(&["runs", "cancel", "long"]);
    let run = world.settled("long")["runs"][0].take();
    assert!(begun.elapsed() > LONG, "{:?}", begun.elapsed());
    assert_eq!((&run["run"]["status"], &task(&run, "once")["status"]), (&json!("cancelled"), &json!("completed")));
    assert_eq!(service.taken(), pairs([("POST /once", "once/0"), ("DELETE /once", "once.undo/0")]));
    world.end().await;
}

async fn started(service: &Endpoint) -> World {
    let mut world = World::boot().await;
    let file = world.folder.path().join("long.yaml");
    std::fs::write(&file, ACTIVITY).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    world.start("relay", &[]).await;
    world.start("worker", &[("SPINE_VALUES__service", &service.url)]).await;
    world.start("router", &[]).await;
    world
}

fn publish(world: &World, id: &str) {
    world.ok(&["publish", "--type", "com.test.long", "--source", SOURCE, "--id", id]);
}

async fn until_asked(service: &Endpoint) {
    wait::until("the service is asked", PATIENCE, async || (!service.asked("/once").is_empty()).then_some(())).await;
}

const ACTIVITY: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: long}
spec:
  on: [{event: com.test.long}]
  tasks:
    - id: once
      uses: http
      timeout: 60s
      retry: {initialInterval: 10ms}
      with: {method: POST, url: "${ config.service }/once"}
      undo: {uses: http, with: {method: DELETE, url: "${ config.service }/once"}}
"#;
