//! What tasks can do, and what they withstand.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use spine_testkit::process::{self, Child};
use spine_testkit::{locate, wait};

use crate::world::{PATIENCE, SOURCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_in_python_is_called_from_a_definition() {
    let mut world = World::boot().await;
    let mut worker = python_worker(&world);
    world.ok(&["apply", "--file", concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python-worker/activity.yaml")]);
    world.start_all().await;
    wait::until("the Python worker is ready", PATIENCE, async || {
        assert!(worker.try_wait().unwrap().is_none(), "the Python worker ended:\n{}", worker.log());
        worker.log().contains("ready").then_some(())
    })
    .await;

    let run = scored(&world, "large", r#"{"total": 1200}"#);
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(task(&run, "score")["output"], json!({"risk": 0.9, "attempt": 1}));
    let told = run["events"].as_array().unwrap().iter().find(|event| event["event"]["type"] == "com.shop.order.scored");
    assert_eq!(told.unwrap()["event"]["data"]["risk"], 0.9);

    // The worker's own error type is the failure's, and `nonRetryable` names it: one attempt.
    let run = scored(&world, "empty", "{}");
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    let error = &task(&run, "score")["error"];
    assert_eq!((&error["type"], &error["message"]), (&json!("InvalidOrder"), &json!("an order has a total")));
    worker.kill().unwrap();
    world.end().await;
}

fn python_worker(world: &World) -> Child {
    let mut command = Command::new(locate::program("python3").unwrap());
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python-worker/worker.py"))
        .arg(world.stack.temporal_address());
    process::spawn(command, &world.folder.path().join("python.log"), Signal::KILL).unwrap()
}

fn scored(world: &World, id: &str, data: &str) -> Value {
    let event_type = "com.shop.order.score-requested";
    world.ok(&["publish", "--type", event_type, "--source", SOURCE, "--id", id, "--subject", "7", "--data", data]);
    world.settled(id)["runs"][0].take()
}

fn task<'a>(run: &'a Value, id: &str) -> &'a Value {
    run["tasks"].as_array().unwrap().iter().find(|task| task["task"] == id).unwrap()
}
