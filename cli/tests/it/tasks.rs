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

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_in_another_database_is_a_task() {
    let world = World::shop().await;
    let file = world.folder.path().join("sql.yaml");
    std::fs::write(&file, SQL).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    let publish = |event_type: &str, id: &str, data: &str| {
        world.ok(&["publish", "--type", event_type, "--source", SOURCE, "--id", id, "--data", data]);
        world.settled(id)["runs"][0].take()
    };
    let run = publish("com.test.bought", "b1", r#"{"customer": "o'brien; drop table orders", "total": 12.5}"#);
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(task(&run, "add")["output"]["rowsAffected"], 1);
    let told =
        run["events"].as_array().unwrap().iter().find(|event| event["event"]["type"] == "com.test.kept").unwrap();
    assert_eq!(told["event"]["data"], json!([{"customer": "o'brien; drop table orders", "total": 12.5}]));
    let done = r#"spine_worker_tasks_total{kind="sql",outcome="completed"}"#;
    assert!((world.metric("worker", done).await - 2.0).abs() < 0.1);

    let run = publish("com.test.misspelt", "m1", "{}");
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    let task = task(&run, "wrong");
    assert_eq!((&task["error"]["type"], &task["attempts"]), (&json!("SqlFailed"), &json!(1)));
    assert!(task["error"]["message"].as_str().unwrap().contains("does not exist"), "{task:#}");
    world.end().await;
}

const SQL: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: bought}
spec:
  on: [{event: com.test.bought}]
  tasks:
    - id: add
      uses: sql
      with:
        database: shop
        query: insert into orders values ($1, $2, $3)
        args: ["${ event.id }", "${ event.data.customer }", "${ event.data.total }"]
    - id: read
      needs: [add]
      uses: sql
      with:
        database: shop
        query: select customer, total from orders where customer = $1
        args: ["${ event.data.customer }"]
    - {id: tell, needs: [read], uses: emit, with: {type: com.test.kept, data: "${ tasks.read.output.rows }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: misspelt}
spec:
  on: [{event: com.test.misspelt}]
  tasks:
    - {id: wrong, uses: sql, with: {database: shop, query: delete from ordres}}
"#;

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
