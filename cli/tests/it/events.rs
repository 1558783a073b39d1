//! What becomes of events.

use serde_json::{Value, json};
use spine_testkit::wait;

use crate::world::{SOURCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_the_whole_way() {
    let world = World::shop().await;
    let order = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/events/order-placed.json");
    let ack = world.json(&["publish", "--file", order]);
    assert_eq!(ack["duplicate"], false);
    let trace = world.settled("order-1001");
    let decision = &trace["decisions"][0];
    assert_eq!((&decision["outcome"]["decision"], &decision["streamSequence"]), (&json!("started"), &ack["sequence"]));
    assert_eq!(
        decision["verdicts"][0]["because"],
        "type is com.shop.order.placed, source is like https://shop.example/*, the pattern matches"
    );

    let run = &trace["runs"][0];
    assert_eq!((&run["run"]["status"], &run["run"]["revision"]), (&json!("completed"), &json!(1)), "{run:#}");
    assert_eq!(
        run["run"]["context"],
        json!({"customer": {"id": "ada", "tier": "gold"}, "history": [{"orders": 2, "spent": 200.5}]})
    );
    let tasks: Vec<Value> = run["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| json!([task["task"], task["index"], task["status"], task["attempts"]]))
        .collect();
    for expected in [
        json!(["score", 0, "completed", 1]),
        json!(["reserve", 0, "completed", 1]),
        json!(["reserve", 1, "completed", 2]),
        json!(["flag", 0, "skipped", 0]),
        json!(["announce", 0, "completed", 0]),
    ] {
        assert!(tasks.contains(&expected), "{expected} in {tasks:?}");
    }
    let hash = &run["run"]["context_hash"];
    assert!(
        run["audit"]
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["fact"] == "decided" && entry["detail"]["contextHash"] == *hash)
    );
    let types = event_types(run);
    for expected in
        ["com.spine.task.created", "com.spine.task.completed", "com.shop.order.reviewed", "com.spine.run.completed"]
    {
        assert!(types.contains(&expected.to_owned()), "{expected} in {types:?}");
    }
    assert!(
        run["events"].as_array().unwrap().iter().all(|event| event["state"]["stream_sequence"].is_u64()),
        "{run:#}"
    );

    let reviewed = run["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event"]["type"] == "com.shop.order.reviewed")
        .unwrap();
    let next = world.settled(reviewed["event"]["id"].as_str().unwrap());
    assert_eq!(next["runs"][0]["run"]["activity"], "order-fulfilment");
    assert!(event_types(&next["runs"][0]).contains(&"com.shop.order.shipped".to_owned()));
    let keys = world.shop_requests().into_iter().filter(|request| request.what == "POST /shipments").count();
    assert_eq!(keys, 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_twice_makes_one_run() {
    let world = World::echo().await;
    assert_eq!(world.ask("one")["duplicate"], false);
    world.settled("one");
    assert_eq!(world.ask("one")["duplicate"], true);
    // A publisher that sets no Nats-Msg-Id gets past the broker, and no further.
    let event =
        json!({"specversion": "1.0", "type": "com.test.asked", "source": SOURCE, "id": "one", "data": {"n": 1}});
    publish_raw(&world, "events.com.test.asked", &event.to_string()).await;
    let trace = decided(&world, "one", 2).await;
    assert_eq!(
        trace["decisions"][1]["outcome"],
        json!({"decision": "duplicate", "of_sequence": trace["decisions"][0]["streamSequence"]})
    );
    assert_eq!(world.json(&["runs", "list"]).as_array().unwrap().len(), 1);
    let explained = world.ok(&["explain", "one"]);
    assert!(
        explained.contains("+ echo revision 1 matched: ") && explained.contains("duplicate of EVENTS:"),
        "{explained}"
    );
    assert!(explained.contains("answer/0  emit  {\"data\":"), "{explained}");
    // Another source may use the same id.
    world.ok(&[
        "publish",
        "--type",
        "com.test.asked",
        "--source",
        "https://other.example",
        "--id",
        "one",
        "--data",
        "{}",
    ]);
    let other = world.json(&["trace", "one", "--source", "https://other.example", "--wait", "60"]);
    assert_eq!(other[0]["runs"][0]["run"]["status"], "completed");
    assert_eq!(world.json(&["runs", "list"]).as_array().unwrap().len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_decided_before_is_explained_as_a_duplicate() {
    let world = World::echo().await;
    let write = |name: &str, id: &str| {
        let event =
            json!({"specversion": "1.0", "type": "com.test.asked", "source": SOURCE, "id": id, "data": {"n": 1}});
        std::fs::write(world.folder.path().join(name), event.to_string()).unwrap();
    };
    write("old.json", "one");
    write("new.json", "two");
    world.ask("one");
    let sequence = world.settled("one")["decisions"][0]["streamSequence"].clone();

    let text = world.ok(&["explain", "old.json"]);
    assert!(
        text.contains("before     this source and id were decided at 20")
            && text.contains(&format!(": started  (EVENTS:{sequence})\n"))
            && text.contains("duplicate: publishing it again starts nothing; see spine explain one --source ")
            && text.contains("decision   duplicate: 1 of the 1 that listen to this type match")
            && text.contains("run        of echo revision 1 was started before, as run/echo/"),
        "{text}"
    );
    let data = world.json(&["explain", "old.json"]);
    assert_eq!((&data["decision"], &data["earlier"]["decisions"][0]["id"]), (&json!("duplicate"), &json!("one")));
    let data = world.json(&["explain", "new.json"]);
    assert_eq!((&data["decision"], &data["earlier"]), (&json!("started"), &json!({"decisions": []})));

    // What listens since then was not started.
    let file = world.folder.path().join("echo.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("name: echo", "name: later");
    std::fs::write(&file, text).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    let text = world.ok(&["explain", "old.json"]);
    assert!(
        text.contains("would start what was not started then: later; see") && text.contains("decision   started: 2 of"),
        "{text}"
    );

    // Files are asked alone, and the registry is enough to say what its rules say.
    let data = world.json(&["explain", "old.json", "--file", "echo.yaml"]);
    assert!(data["decision"] == "started" && data.get("earlier").is_none(), "{data:#}");
    let text = world.ok(&["explain", "old.json", "--nats-url", "nats://127.0.0.1:1"]);
    assert!(
        text.contains("before     duplicates were not looked for: connect to NATS at nats://127.0.0.1:1")
            && text.contains("decision   started: 2 of"),
        "{text}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_events_are_dead_lettered_with_their_reason_and_others_go_on() {
    let world = World::echo().await;
    let event = |id: &str, event_type: &str| {
        json!({"specversion": "1.0", "type": event_type, "source": SOURCE, "id": id}).to_string()
    };
    let garbage = publish_raw(&world, "events.com.test.asked", "no event at all").await;
    let no_source =
        publish_raw(&world, "events.com.test.asked", r#"{"specversion": "1.0", "type": "com.test.asked", "id": "a"}"#)
            .await;
    let twice = publish_raw(
        &world,
        "events.com.test.asked",
        r#"{"specversion": "1.0", "type": "com.test.asked", "source": "s", "id": "b", "id": "c"}"#,
    )
    .await;
    let elsewhere = publish_raw(&world, "events.com.test.asked", &event("d", "com.test.other")).await;
    world.ask("good");
    assert_eq!(world.settled("good")["runs"][0]["run"]["status"], "completed");

    let dead = dead_letters(&world).await;
    let reasons: Vec<(u64, &str)> = dead.iter().map(|letter| (letter.sequence, letter.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (garbage, "invalid_event"),
            (no_source, "invalid_event"),
            (twice, "invalid_event"),
            (elsewhere, "subject_mismatch")
        ]
    );
    assert!(dead[1].detail.contains("source"), "{}", dead[1].detail);
    assert_eq!(dead[0].payload, "no event at all");
    let trace = world.json(&["trace", "d", "--wait"]);
    assert_eq!(trace[0]["decisions"][0]["outcome"]["reason"], "subject_mismatch");
    assert!(
        (world.metric("router", "spine_router_dead_letters_total{reason=\"invalid_event\"}").await - 3.0).abs() < 0.1
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_activity_is_used_at_once_and_a_near_miss_says_why() {
    let world = World::echo().await;
    let file = world.folder.path().join("echo.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace(
        "- event: com.test.asked",
        "- event: com.test.asked\n      match: {data: {n: [{numeric: [\">\", 5]}]}}",
    );
    std::fs::write(&file, text).unwrap();
    let applied = world.json(&["apply", "--file", file.to_str().unwrap()]);
    assert_eq!((&applied["applied"][0]["revision"], &applied["applied"][0]["change"]), (&json!(2), &json!("updated")));
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    world.ask("small");
    let trace = world.settled("small");
    assert_eq!(trace["decisions"][0]["outcome"]["decision"], "unmatched");
    assert_eq!(trace["decisions"][0]["verdicts"][0]["because"], "data.n is 1, wanted numeric > 5");
    let explained = world.ok(&["explain", "small"]);
    assert!(explained.contains("- echo revision 2 not matched: data.n is 1, wanted numeric > 5"), "{explained}");
    // The same beforehand, by the registry.
    let event = world.folder.path().join("event.json");
    let text = json!({"specversion": "1.0", "type": "com.test.asked", "source": SOURCE, "id": "x", "data": {"n": 6}});
    std::fs::write(&event, text.to_string()).unwrap();
    let explained = world.json(&["explain", event.to_str().unwrap()]);
    assert_eq!((&explained["decision"], &explained["runs"][0]["revision"]), (&json!("started"), &json!(2)));
    assert_eq!(explained["runs"][0]["tasks"][0]["with"]["type"], "com.test.answered");
    let again = world.json(&["apply", "--file", file.to_str().unwrap()]);
    assert_eq!(again["applied"][0]["change"], "unchanged");
    world.end().await;
}

fn event_types(run: &Value) -> Vec<String> {
    run["events"].as_array().unwrap().iter().map(|event| event["event"]["type"].as_str().unwrap().to_owned()).collect()
}

/// Publishes a message in structured mode without `Nats-Msg-Id`; returns its place in the stream.
async fn publish_raw(world: &World, subject: &str, payload: &str) -> u64 {
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", "application/cloudevents+json");
    jetstream
        .publish_with_headers(subject.to_owned(), headers, payload.to_owned().into())
        .await
        .unwrap()
        .await
        .unwrap()
        .sequence
}

/// The trace of an event once that many messages with its identity were decided.
async fn decided(world: &World, id: &str, decisions: usize) -> Value {
    wait::until("the message is decided", crate::world::PATIENCE, async || {
        let trace = world.json(&["trace", id])[0].take();
        (trace["decisions"].as_array().unwrap().len() >= decisions).then_some(trace)
    })
    .await
}

struct DeadLetter {
    sequence: u64,
    reason: String,
    detail: String,
    payload: String,
}

async fn dead_letters(world: &World) -> Vec<DeadLetter> {
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let stream = jetstream.get_stream("DEAD").await.unwrap();
    let mut letters = Vec::new();
    for sequence in 1..=stream.get_info().await.unwrap().state.messages {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
        letters.push(DeadLetter {
            sequence: header("ce-spinedeadsequence").parse().unwrap(),
            reason: header("ce-spinedeadreason"),
            detail: header("ce-spinedeaddetail"),
            payload: String::from_utf8(message.payload.to_vec()).unwrap(),
        });
    }
    letters.sort_by_key(|letter| letter.sequence);
    letters
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_fails_for_good_fails_its_run_and_the_world_is_told() {
    let world = World::shop().await;
    let file = world.folder.path().join("failing.yaml");
    std::fs::write(&file, FAILING).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    world.ask("fails");
    let trace = world.settled("fails");
    let run = &trace["runs"][0];
    assert_eq!(
        (&run["run"]["status"], &run["run"]["error"]["type"]),
        (&json!("failed"), &json!("HttpStatus")),
        "{run:#}"
    );
    let mut tasks: Vec<Value> = run["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| json!([task["task"], task["status"], task["attempts"]]))
        .collect();
    tasks.sort_by_key(Value::to_string);
    assert_eq!(
        tasks,
        [
            json!(["after", "skipped", 0]),
            json!(["aside", "completed", 0]),
            json!(["missing", "failed", 1]),
            json!(["slow", "failed", 2])
        ]
    );
    let types = event_types(run);
    assert_eq!(types.iter().filter(|name| *name == "com.spine.task.failed").count(), 2);
    assert!(
        types.contains(&"com.spine.run.failed".to_owned()) && !types.contains(&"com.test.after".to_owned()),
        "{types:?}"
    );
    world.end().await;
}

/// A path that is not there fails at once; an address where nobody listens after two attempts; what needs
/// them is not done, and what does not is.
const FAILING: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: failing}
spec:
  on:
    - event: com.test.asked
  tasks:
    - {id: missing, uses: http, with: {method: POST, url: "${ config.stock_url }/nowhere"}}
    - id: slow
      uses: http
      with: {method: GET, url: "http://127.0.0.1:1/"}
      retry: {maxAttempts: 2, initialInterval: 10ms}
    - {id: aside, uses: emit, with: {type: com.test.aside}}
    - {id: after, needs: [missing, slow], uses: emit, with: {type: com.test.after}}
"#;
