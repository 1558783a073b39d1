//! The ordered reader of events.

use async_nats::jetstream;
use serde_json::json;
use spine_testkit::wait;

use crate::world::{PATIENCE, SOURCE, World, until_metric};

const EVENTS: usize = 600;
/// How often the reader is killed meanwhile.
const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_read_once_and_in_order_however_often_the_reader_is_killed() {
    let mut world = World::boot().await;
    apply(&world);
    world.start("relay", &[]).await;
    let publisher = tokio::spawn(publish(world.stack.nats_url().to_owned(), 0..EVENTS));
    for kill in 1..=KILLS {
        until_kept(&world, EVENTS * kill / (KILLS + 2)).await;
        world.kill("relay");
        world.start("relay", &[]).await;
    }
    let published = publisher.await.unwrap();
    world.until_read(*published.last().unwrap()).await;
    let kept = world.sql("select sequence || ' ' || (event ->> 'id') from inbox_event order by sequence").await;
    let expected: Vec<String> = published.iter().enumerate().map(|(n, place)| format!("{place} {n}")).collect();
    assert_eq!(kept.lines().collect::<Vec<_>>(), expected);
    until_metric(&world, "relay", "spine_component_up{component=\"inbox\"}", 1.0).await;
    wait::until("it is not behind", PATIENCE, async || {
        (world.metric("relay", "spine_inbox_lag").await < 1.0).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_router_would_not_let_in_is_given_to_nobody_and_what_is_gone_is_passed_over() {
    let mut world = World::boot().await;
    apply(&world);
    world.start("relay", &[]).await;
    let jetstream = jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    // No event, and one under the subject of another type.
    for (subject, body) in
        [("events.com.test.tick", "{}".to_owned()), ("events.com.test.tock", event("com.test.tick", 1).to_string())]
    {
        let ack = jetstream.publish_with_headers(subject, headers(), body.into()).await.unwrap();
        ack.await.unwrap();
    }
    let read = publish(world.stack.nats_url().to_owned(), 2..3).await;
    world.until_read(read[0]).await;
    world.kill("relay");
    let gone = publish(world.stack.nats_url().to_owned(), 3..6).await;
    jetstream.get_stream("EVENTS").await.unwrap().purge().sequence(gone[2]).await.unwrap();
    world.start("relay", &[]).await;
    world.until_read(gone[2]).await;
    assert_eq!(world.sql("select event ->> 'id' from inbox_event order by sequence").await, "2\n5");
    let log = std::fs::read_to_string(world.folder.path().join("relay.log")).unwrap();
    assert!(log.contains("events are gone that were not read"), "{log}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_it_says_so_and_goes_on_when_it_is_back() {
    let mut world = World::boot().await;
    apply(&world);
    world.start("relay", &[]).await;
    world.stack.servers().await.postgres.as_mut().unwrap().process().kill().unwrap();
    let places = publish(world.stack.nats_url().to_owned(), 0..20).await;
    wait::until("the inbox is down", PATIENCE, async || {
        let (ready, said) = world.ready("relay").await;
        (!ready && said.contains("events into the inbox")).then_some(())
    })
    .await;
    world.stack.servers().await.postgres.as_mut().unwrap().restart().await.unwrap();
    world.until_read(*places.last().unwrap()).await;
    assert_eq!(world.sql("select count(*) from inbox_event").await, "20");
    wait::until("the relay is ready", PATIENCE, async || world.ready("relay").await.0.then_some(())).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_costs_no_event_and_no_order() {
    let mut world = World::boot().await;
    apply(&world);
    world.start("relay", &[]).await;
    let before = publish(world.stack.nats_url().to_owned(), 0..10).await;
    world.until_read(before[9]).await;
    world.stack.servers().await.nats.as_mut().unwrap().process().kill().unwrap();
    wait::until("the inbox is down", PATIENCE, async || {
        let (ready, said) = world.ready("relay").await;
        (!ready && said.contains("events into the inbox")).then_some(())
    })
    .await;
    world.stack.servers().await.nats.as_mut().unwrap().restart().await.unwrap();
    let after = publish(world.stack.nats_url().to_owned(), 10..20).await;
    world.until_read(after[9]).await;
    let kept = world.sql("select event ->> 'id' from inbox_event order by sequence").await;
    assert_eq!(kept.lines().map(|id| id.parse().unwrap()).collect::<Vec<usize>>(), (0..20).collect::<Vec<_>>());
    world.end().await;
}

fn apply(world: &World) {
    let file = world.folder.path().join("activity.yaml");
    std::fs::write(&file, ACTIVITY).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
}

async fn until_kept(world: &World, count: usize) {
    wait::until("events are kept", PATIENCE, async || {
        let kept: usize = world.sql("select count(*) from inbox_event").await.parse().ok()?;
        (kept >= count).then_some(())
    })
    .await;
}

/// Publishes these ticks one after another; returns where each stands.
async fn publish(url: String, numbers: std::ops::Range<usize>) -> Vec<u64> {
    let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
    let mut places = Vec::new();
    for number in numbers {
        let body = event("com.test.tick", number).to_string();
        let ack = jetstream.publish_with_headers("events.com.test.tick", headers(), body.into()).await.unwrap();
        places.push(ack.await.unwrap().sequence);
        // Not all at once: the reader is to be killed while events come.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    places
}

fn event(event_type: &str, number: usize) -> serde_json::Value {
    json!({"specversion": "1.0", "type": event_type, "source": SOURCE, "id": number.to_string()})
}

fn headers() -> async_nats::HeaderMap {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", "application/cloudevents+json");
    headers
}

const ACTIVITY: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: waits}
spec:
  on: [{event: com.test.asked}]
  tasks:
    - {id: tick, uses: wait, with: {event: com.test.tick}}
"#;
