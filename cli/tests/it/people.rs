//! Tasks that people do.

use serde_json::{Value, json};
use spine_testkit::{temporal, wait};
use temporalio_client::WorkflowCancelOptions;
use temporalio_common::UntypedWorkflow;

use crate::world::{PATIENCE, SOURCE, World, until_metric};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_answers_once_and_in_the_form_and_the_run_goes_on_with_it() {
    let world = world().await;
    let task = asked(&world, "review", "1").await;
    assert_eq!(task["title"], "Look at order 1", "{task:#}");
    assert_eq!(task["assignees"], json!(["ops", "fraud"]));
    let id = task["id"].as_str().unwrap();
    assert!(world.ok(&["tasks", "list", "--assignee", "fraud"]).contains(id));
    assert!(!world.ok(&["tasks", "list", "--assignee", "sales"]).contains(id));
    assert!(world.ok(&["tasks", "show", id]).contains("decision"), "the form is shown");

    world.ok(&["tasks", "claim", &id[..5], "--by", "ann"]);
    refused(&world, &["tasks", "claim", id, "--by", "bob"], 1, "claimed by ann since");
    let good = r#"{"decision": "accept", "limit": 500}"#;
    refused(&world, &["tasks", "complete", id, "--data", good, "--by", "bob"], 1, "claimed by ann since");

    let before = world.json(&["tasks", "show", id]);
    let wrong = r#"{"decision": "maybe", "limit": "much"}"#;
    let complete = |data: &'static str| ["tasks", "complete", id, "--by", "ann", "--data", data];
    refused(&world, &complete(wrong), 2, "\n/decision: value is not one of");
    refused(&world, &complete(wrong), 2, "\n/limit: value is not of type \"integer\"");
    refused(&world, &complete("{}"), 2, "\nthe answer: \"decision\" is a required property");
    refused(&world, &complete("{"), 2, "the answer is no JSON");
    assert_eq!(world.json(&["tasks", "show", id]), before, "a wrong answer changes nothing");

    let file = world.folder.path().join("answer.json");
    std::fs::write(&file, good).unwrap();
    let name = format!("{}/review", task["run"].as_str().unwrap());
    world.ok(&["tasks", "complete", &name, "--by", "ann", "--data", &format!("@{}", file.display())]);
    let run = world.settled("1")["runs"][0].take();
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(told(&run, "com.test.reviewed")["data"], json!({"decision": "accept", "limit": 500}));
    assert_eq!(told(&run, "com.spine.task.claimed")["data"]["by"], "ann");
    assert_eq!(told(&run, "com.spine.task.completed")["data"]["by"], "ann");
    until_metric(&world, "worker", r#"spine_worker_tasks_total{kind="human",outcome="completed"}"#, 1.0).await;
    let facts: Vec<&str> = run["audit"].as_array().unwrap().iter().map(|one| one["fact"].as_str().unwrap()).collect();
    assert!(facts.contains(&"task_claimed") && facts.contains(&"task_completed"), "{facts:?}");

    refused(&world, &complete(good), 1, "/review was completed by ann at 20");
    refused(&world, &["tasks", "fail", id, "--reason", "late"], 1, "nothing was changed");
    assert_eq!(world.json(&["tasks", "list", "--activity", "review"]), json!([]));
    assert_eq!(world.json(&["tasks", "list", "--status", "closed"])[0]["ended_by"], "ann");
    refused(&world, &["tasks", "show", "nobody"], 1, "no person is asked to do");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_from_one_to_another_and_one_that_fails_fails_its_run() {
    let world = world().await;
    let task = asked(&world, "review", "1").await;
    let id = task["id"].as_str().unwrap();
    world.ok(&["tasks", "claim", id, "--by", "ann"]);
    let moved = world.json(&["tasks", "reassign", id, "--to", "cleo", "legal", "--by", "boss"]);
    assert_eq!((&moved["status"], &moved["claimed_by"]), (&json!("open"), &Value::Null));
    assert_eq!(moved["assignees"], json!(["cleo", "legal"]));
    world.ok(&["tasks", "claim", id, "--by", "cleo"]);
    world.ok(&["tasks", "fail", id, "--by", "cleo", "--reason", "the customer is unknown"]);

    let run = world.settled("1")["runs"][0].take();
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    assert_eq!(run["run"]["error"]["type"], "FailedByPerson");
    assert_eq!(run["run"]["error"]["message"], "task review: the customer is unknown");
    let claims = types(&run).iter().filter(|one| **one == "com.spine.task.claimed").count();
    assert_eq!(claims, 2, "each claim is told: {run:#}");
    assert_eq!(told(&run, "com.spine.task.reassigned")["data"]["assignees"], json!(["cleo", "legal"]));
    assert_eq!(told(&run, "com.spine.task.failed")["data"]["by"], "cleo");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_gives_an_output_fails_or_asks_others() {
    let world = world().await;
    let run = ended(&world, "default", "1");
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(told(&run, "com.test.reviewed")["data"], json!({"decision": "reject", "order": "1"}));
    let run = ended(&world, "strict", "2");
    assert_eq!(
        (&run["run"]["status"], &run["run"]["error"]["type"]),
        (&json!("failed"), &json!("Deadline")),
        "{run:#}"
    );
    let run = ended(&world, "hopeless", "3");
    assert_eq!(
        (&run["run"]["status"], &run["run"]["error"]["type"]),
        (&json!("failed"), &json!("Deadline")),
        "{run:#}"
    );
    assert_eq!(told(&run, "com.spine.task.escalated")["data"]["assignees"], json!(["lead of 3"]));
    assert!(run["run"]["error"]["message"].as_str().unwrap().contains("so are the 1s"), "{run:#}");

    publish(&world, "escalating", "4");
    let task = wait::until("others are asked", PATIENCE, async || {
        let tasks = world.json(&["tasks", "list", "--assignee", "lead"]);
        tasks.get(0).cloned()
    })
    .await;
    assert!(task["escalated_at"].is_string(), "{task:#}");
    world.ok(&["tasks", "complete", task["id"].as_str().unwrap(), "--data", r#"{"decision": "accept"}"#]);
    let run = world.settled("4")["runs"][0].take();
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(told(&run, "com.test.reviewed")["data"]["decision"], "accept");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_while_no_worker_runs_counts_and_one_to_a_cancelled_run_does_not() {
    let mut world = world().await;
    let task = asked(&world, "review", "1").await;
    world.kill("worker");
    world.ok(&["tasks", "complete", task["id"].as_str().unwrap(), "--data", r#"{"decision": "accept"}"#]);
    world.start("worker", &[]).await;
    let run = world.settled("1")["runs"][0].take();
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(told(&run, "com.test.reviewed")["data"]["decision"], "accept");

    let task = asked(&world, "review", "2").await;
    // An empty variable of a shell is nobody, and no task.
    refused(&world, &["tasks", "complete", "", "--data", r#"{"decision": "accept"}"#], 2, "names no task");
    refused(&world, &["tasks", "claim", task["id"].as_str().unwrap(), "--by", ""], 2, "a value is required");
    let client = temporal::client(world.stack.temporal_address()).await.unwrap();
    let workflow = client.get_workflow_handle::<UntypedWorkflow>(task["run"].as_str().unwrap());
    workflow.cancel(WorkflowCancelOptions::builder().reason("a mistake").build()).await.unwrap();
    let run = world.settled("2")["runs"][0].take();
    assert_eq!(run["run"]["status"], "cancelled", "{run:#}");
    let complete = ["tasks", "complete", task["id"].as_str().unwrap(), "--data", r#"{"decision": "accept"}"#];
    refused(&world, &complete, 1, "/review was cancelled at 20");
    world.end().await;
}

async fn world() -> World {
    let mut world = World::boot().await;
    let file = world.folder.path().join("people.yaml");
    std::fs::write(&file, ACTIVITIES).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    world.start_all().await;
    world
}

fn publish(world: &World, activity: &str, id: &str) {
    let event_type = format!("com.test.{activity}");
    world.ok(&["publish", "--type", &event_type, "--source", SOURCE, "--id", id, "--data", "{}"]);
}

/// The task that this event asks of people.
async fn asked(world: &World, activity: &str, id: &str) -> Value {
    publish(world, activity, id);
    wait::until("somebody is asked", PATIENCE, async || {
        let tasks = world.json(&["tasks", "list", "--activity", activity]);
        tasks.get(0).cloned()
    })
    .await
}

/// The run of an event whose task nobody does.
fn ended(world: &World, activity: &str, id: &str) -> Value {
    publish(world, activity, id);
    world.settled(id)["runs"][0].take()
}

/// Runs `spine`, which must refuse with this exit code and say this.
#[track_caller]
fn refused(world: &World, args: &[&str], code: i32, said: &str) {
    let output = world.spine(args).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(said), "{args:?}: {said:?} is not in {text}");
}

fn types(run: &Value) -> Vec<&str> {
    run["events"].as_array().unwrap().iter().map(|one| one["event"]["type"].as_str().unwrap()).collect()
}

/// The first event of this type that a run told.
#[track_caller]
fn told<'a>(run: &'a Value, event_type: &str) -> &'a Value {
    let events = run["events"].as_array().unwrap();
    let found = events.iter().find(|one| one["event"]["type"] == event_type);
    &found.unwrap_or_else(|| panic!("no {event_type} in {:?}", types(run)))["event"]
}

const ACTIVITIES: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: review}
spec:
  on: [{event: com.test.review}]
  tasks:
    - id: review
      uses: human
      with:
        title: Look at order ${ event.id }
        assignees: [ops, fraud]
        form:
          type: object
          required: [decision]
          properties: {decision: {enum: [accept, reject]}, limit: {type: integer}}
    - {id: tell, needs: [review], uses: emit, with: {type: com.test.reviewed, data: "${ tasks.review.output }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: default}
spec:
  on: [{event: com.test.default}]
  tasks:
    - id: review
      uses: human
      with: {title: Look, assignees: [ops]}
      deadline: 1s
      onTimeout: {output: {decision: reject, order: "${ event.id }"}}
    - {id: tell, needs: [review], uses: emit, with: {type: com.test.reviewed, data: "${ tasks.review.output }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: strict}
spec:
  on: [{event: com.test.strict}]
  tasks:
    - {id: review, uses: human, with: {title: Look, assignees: [ops]}, deadline: 1s, onTimeout: fail}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: hopeless}
spec:
  on: [{event: com.test.hopeless}]
  tasks:
    - id: review
      uses: human
      with: {title: Look, assignees: [ops]}
      deadline: 1s
      onTimeout: {escalate: {assignees: ["lead of ${ event.id }"], deadline: 1s}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: escalating}
spec:
  on: [{event: com.test.escalating}]
  tasks:
    - id: review
      uses: human
      with: {title: Look, assignees: [ops]}
      deadline: 1s
      onTimeout: {escalate: {assignees: [lead], deadline: 1h}}
    - {id: tell, needs: [review], uses: emit, with: {type: com.test.reviewed, data: "${ tasks.review.output }"}}
"#;
