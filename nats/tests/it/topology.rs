use async_nats::jetstream;
use serde_json::{Map, Value, json};
use spine_nats::topology::{Action, provision};

use crate::server::Server;

const FILES: [&str; 8] = [
    include_str!("../../streams/EVENTS.json"),
    include_str!("../../streams/DECISIONS.json"),
    include_str!("../../streams/DEAD.json"),
    include_str!("../../streams/DEAD_MARKS.json"),
    include_str!("../../streams/GIVEN_UP.json"),
    include_str!("../../streams/KV_spine-catalog.json"),
    include_str!("../../consumers/EVENTS-router.json"),
    include_str!("../../consumers/GIVEN_UP-undertaker.json"),
];

async fn config(context: &jetstream::Context, subject: &str) -> Map<String, Value> {
    let answer = context.client().request(format!("$JS.API.{subject}"), "".into()).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    answer["config"].as_object().unwrap().clone()
}

fn info_subject(file: &Value) -> String {
    match file.get("stream_name") {
        Some(stream) => {
            format!("CONSUMER.INFO.{}.{}", stream.as_str().unwrap(), file["config"]["name"].as_str().unwrap())
        }
        None => format!("STREAM.INFO.{}", file["name"].as_str().unwrap()),
    }
}

#[tokio::test]
async fn every_key_survives_the_round_trip() {
    let server = Server::start().await;
    let client = server.client().await;
    let context = jetstream::new(client.clone());
    assert!(provision(&client).await.unwrap().iter().all(|change| change.action == Action::Created));
    for text in FILES {
        let file: Value = serde_json::from_str(text).unwrap();
        let found = config(&context, &info_subject(&file)).await;
        let wanted = file.get("config").unwrap_or(&file).as_object().unwrap();
        for (key, value) in wanted {
            assert_eq!(found.get(key), Some(value), "{key} of {}", info_subject(&file));
        }
    }
}

#[tokio::test]
async fn the_second_time_changes_nothing_and_drift_is_put_back() {
    let server = Server::start().await;
    let client = server.client().await;
    let context = jetstream::new(client.clone());
    provision(&client).await.unwrap();
    assert!(provision(&client).await.unwrap().iter().all(|change| change.action == Action::Unchanged));

    let mut events = config(&context, "STREAM.INFO.EVENTS").await;
    events.insert("max_age".into(), json!(3_600_000_000_000_u64));
    events.insert("duplicate_window".into(), json!(60_000_000_000_u64));
    let _: Value = context.request("STREAM.UPDATE.EVENTS", &events).await.unwrap();
    let mut router = config(&context, "CONSUMER.INFO.EVENTS.router").await;
    router.insert("ack_wait".into(), json!(1_000_000_000_u64));
    let request = json!({"stream_name": "EVENTS", "config": router, "action": "update"});
    let _: Value = context.request("CONSUMER.CREATE.EVENTS.router", &request).await.unwrap();

    let changes = provision(&client).await.unwrap();
    let updated: Vec<&str> =
        changes.iter().filter(|change| change.action == Action::Updated).map(|change| change.name.as_str()).collect();
    assert_eq!(updated, ["stream EVENTS", "consumer EVENTS/router"]);
    assert_eq!(config(&context, "STREAM.INFO.EVENTS").await["max_age"], json!(604_800_000_000_000_u64));
}
