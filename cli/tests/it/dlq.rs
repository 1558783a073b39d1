//! Dead letters, and what operators do with them.

mod hostile;
mod looping;
mod partly;
mod redrive;

use std::process::Output;

use serde_json::{Value, json};
use spine_testkit::wait;

use crate::world::{PATIENCE, SOURCE, World, until_metric};

/// What a command that may fail said.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn say(world: &World, args: &[&str]) -> Said {
    let Output { status, stdout, stderr } = world.spine(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Applies a document, and waits until the router decides by it: by this version of the catalog.
async fn apply(world: &World, document: &str, version: f64) {
    let file = world.folder.path().join("apply.yaml");
    std::fs::write(&file, document).unwrap();
    world.ok(&["apply", "--file", "apply.yaml"]);
    until_metric(world, "router", "spine_router_catalog_version", version).await;
}

/// The event type `com.test.asked`, whose `n` is of this JSON type.
fn schema(n: &str) -> String {
    format!(
        "apiVersion: spine/v1\nkind: EventType\nmetadata: {{name: com.test.asked}}\nspec:\n  \
         schema: {{type: object, required: [n], properties: {{n: {{type: {n}}}}}}}\n"
    )
}

/// The letters with this filter once there are so many, the newest first.
async fn letters(world: &World, filter: &[&str], count: usize) -> Vec<Value> {
    wait::until("the letters are there", PATIENCE, async || {
        let found = world.json(&[&["dlq", "list"], filter].concat());
        let found = found.as_array()?.clone();
        (found.len() >= count).then_some(found)
    })
    .await
}

fn ids(letters: &[Value]) -> Vec<&str> {
    letters.iter().map(|letter| letter["id"].as_str().unwrap_or_default()).collect()
}

async fn publish_raw(world: &World, subject: &str, headers: &[(&str, &str)], payload: Vec<u8>) -> u64 {
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let mut map = async_nats::HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.append(*name, *value));
    let sent = jetstream.publish_with_headers(subject.to_owned(), map, payload.into()).await.unwrap();
    sent.await.unwrap().sequence
}

const STRUCTURED: (&str, &str) = ("Content-Type", "application/cloudevents+json");

async fn messages(world: &World, stream: &str) -> u64 {
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    jetstream.get_stream(stream).await.unwrap().cached_info().state.messages
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_found_counted_and_dropped() {
    let world = World::echo().await;
    let event = |id: &str, event_type: &str| {
        json!({"specversion": "1.0", "type": event_type, "source": SOURCE, "id": id}).to_string().into_bytes()
    };
    publish_raw(&world, "events.com.test.asked", &[STRUCTURED], b"no event".to_vec()).await;
    letters(&world, &[], 1).await;
    publish_raw(&world, "events.com.test.asked", &[STRUCTURED], event("elsewhere", "com.test.other")).await;
    letters(&world, &[], 2).await;
    publish_raw(&world, "events.com.test.odd", &[STRUCTURED], event("elsewhere too", "com.test.asked")).await;
    let all = letters(&world, &[], 3).await;
    assert_eq!(ids(&all)[..2], ["elsewhere too", "elsewhere"]);
    assert_eq!((&all[2]["reason"], &all[2]["status"]), (&json!("invalid_event"), &json!("open")), "{all:#?}");

    let found = async |filter: &[&str]| {
        let found = letters(&world, filter, 0).await;
        found.iter().map(|letter| letter["letter"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let second = all[1]["diedAt"].as_str().unwrap();
    assert_eq!(found(&["--reason", "subject_mismatch"]).await, [3, 2]);
    assert_eq!(found(&["--reason", "invalid_event,too_large"]).await, [1]);
    assert_eq!(found(&["--type", "com.test.asked"]).await, [3, 1]);
    assert_eq!(found(&["--type", "com.test.other", "--reason", "subject_mismatch"]).await, [2]);
    assert_eq!(found(&["--source", SOURCE]).await, [3, 2]);
    assert_eq!(found(&["--since", second]).await, [3, 2]);
    assert_eq!(found(&["--until", second]).await, [1]);
    assert_eq!(found(&["--since", "1h", "--until", second, "--limit", "1"]).await, [1]);
    assert_eq!(say(&world, &["dlq", "list", "--reason", "nonsense"]).code, Some(2));

    // Nothing is touched unless it is named.
    assert_eq!(say(&world, &["dlq", "drop", "--because", "x"]).code, Some(2));
    assert_eq!(say(&world, &["dlq", "drop", "1", "--all", "--because", "x"]).code, Some(2));
    assert_eq!(say(&world, &["dlq", "drop", "--all"]).code, Some(2), "nobody drops without saying why");
    world.ok(&["dlq", "drop", "--reason", "invalid_event", "--because", "a port scan", "--by", "ada"]);
    world.ok(&["dlq", "drop", "elsewhere", "--because", "known"]);
    assert_eq!(found(&[]).await, [3]);
    assert_eq!(found(&["--status", "dropped"]).await, [2, 1]);
    assert_eq!(found(&["--status", "all"]).await, [3, 2, 1]);
    let shown = world.ok(&["dlq", "show", "1"]);
    assert!(shown.contains("dropped by ada at 20") && shown.contains(": a port scan"), "{shown}");
    let again = say(&world, &["dlq", "redrive", "1"]);
    assert!(again.code == Some(1) && again.stderr.contains("dropped by ada"), "{}", again.stderr);
    assert_eq!(messages(&world, "DEAD").await, 3, "nothing vanishes");

    let stats = world.json(&["dlq", "stats"]);
    assert_eq!(stats[0]["open"], 1, "{stats:#}");
    let dropped: u64 = stats.as_array().unwrap().iter().map(|group| group["dropped"].as_u64().unwrap()).sum();
    assert_eq!((stats.as_array().unwrap().len(), dropped), (3, 2), "{stats:#}");
    assert!(world.ok(&["dlq", "stats", "--reason", "subject_mismatch"]).contains("com.test.other"));

    // An event that dies again has another letter: the open one is meant, if there is one.
    for count in [2, 3] {
        publish_raw(&world, "events.com.test.asked", &[STRUCTURED], event("elsewhere", "com.test.other")).await;
        letters(&world, &[], count).await;
        let shown = say(&world, &["dlq", "show", "elsewhere"]);
        match count {
            2 => assert!(shown.stdout.starts_with("letter     4  died"), "{}{}", shown.stdout, shown.stderr),
            _ => assert!(shown.code == Some(2) && shown.stderr.contains("\n  5  subject_mismatch"), "{}", shown.stderr),
        }
    }

    let unknown = say(&world, &["dlq", "show", "99"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("there is no dead letter \"99\""), "{}", unknown.stderr);
    world.end().await;
}
