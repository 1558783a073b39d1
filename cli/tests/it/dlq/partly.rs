//! An event that was dispatched in part before it died.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;

use super::letters;
use crate::faults::router_killed_between_start_and_ack;

const SECOND: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: second}
spec:
  on:
    - event: com.test.asked
  tasks:
    - {id: tell, uses: emit, with: {type: com.test.told}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_starts_only_what_is_missing() {
    let (mut world, consumer) = router_killed_between_start_and_ack().await;

    // So do nine more, with the message in their hands.
    let mut delivered = 1;
    while delivered < 10 {
        let mut batch = consumer.batch().max_messages(1).expires(Duration::from_secs(5)).messages().await.unwrap();
        while let Some(message) = batch.next().await {
            let message = message.unwrap();
            delivered = message.info().unwrap().delivered;
            message.ack_with(async_nats::jetstream::AckKind::Nak(None)).await.unwrap();
        }
    }
    std::fs::write(world.folder.path().join("second.yaml"), SECOND).unwrap();
    world.ok(&["apply", "--file", "second.yaml"]);
    world.start("router", &[]).await;
    let letter = letters(&world, &[], 1).await[0].clone();
    assert_eq!((&letter["reason"], &letter["deliveries"]), (&json!("too_many_deliveries"), &json!(11)), "{letter:#}");

    // A message that is not read for its letter is known by its place; the letter has its number.
    world.ok(&["dlq", "redrive", "1"]);
    let trace = world.settled("one");
    assert_eq!(trace["decisions"][0]["outcome"]["decision"], "started", "{trace:#}");
    let runs = world.json(&["runs", "list"]);
    let mut activities: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["activity"].as_str().unwrap()).collect();
    activities.sort_unstable();
    assert_eq!(activities, ["echo", "second"]);
    let starts = |outcome: &str| format!("spine_router_starts_total{{outcome=\"{outcome}\"}}");
    assert!((world.metric("router", &starts("already_started")).await - 1.0).abs() < 0.1);
    assert!((world.metric("router", &starts("started")).await - 1.0).abs() < 0.1);
    let emitted = world.sql("select count(*) from outbox where event->>'type' = 'com.test.answered'").await;
    assert_eq!(emitted, "1");
    world.end().await;
}
