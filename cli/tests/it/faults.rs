//! What holds when something breaks at the worst moment.

use std::time::{Duration, Instant};

use serde_json::json;
use spine_testkit::proxy::Proxy;
use spine_testkit::wait;

use crate::world::{PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_router_killed_between_start_and_ack_makes_one_run() {
    let (mut world, consumer) = router_killed_between_start_and_ack().await;
    world.start("router", &[]).await;
    let trace = world.settled("one");
    assert_eq!(trace["decisions"].as_array().unwrap().len(), 1);
    assert_eq!(trace["decisions"][0]["outcome"], json!({"decision": "started"}));
    assert!(trace["decisions"][0]["delivery"].as_u64() > Some(1), "it was delivered again");
    assert!((world.metric("router", "spine_router_starts_total{outcome=\"already_started\"}").await - 1.0).abs() < 0.1);
    assert_eq!(world.json(&["runs", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(trace["runs"][0]["tasks"].as_array().unwrap().len(), 1);
    wait::until("the delivery is settled", PATIENCE, async || {
        (consumer.get_info().await.ok()?.num_ack_pending == 0).then_some(())
    })
    .await;
    world.end().await;
}

/// A world without a router: the only one there was has started the run of the event `one`, and died before it could
/// say so.
pub(crate) async fn router_killed_between_start_and_ack() -> (World, Consumer) {
    let mut world = World::boot().await;
    world.apply_echo();
    world.start("relay", &[]).await;
    world.start("worker", &[]).await;
    let consumer = shorten_ack_wait(&world).await;

    // The router reaches Temporal, but nothing that it sends reaches the broker any more: it can start the run, and
    // can't record or acknowledge it.
    let proxy = Proxy::start(world.stack.servers().await.nats.as_ref().unwrap().port()).await.unwrap();
    world.start("router", &[("NATS_URL", &format!("nats://{}", proxy.address()))]).await;
    wait::until("the router waits for events", PATIENCE, async || {
        (consumer.get_info().await.ok()?.num_waiting > 0).then_some(())
    })
    .await;
    proxy.hold_upstream();
    world.ask("one");
    wait::until("the run is there", PATIENCE, async || {
        (world.json(&["runs", "list"]).as_array()?.len() == 1).then_some(())
    })
    .await;
    assert!(consumer.get_info().await.unwrap().num_ack_pending > 0, "the delivery is not acknowledged");
    world.kill("router");
    (world, consumer)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_arrive_while_temporal_is_down_all_run_afterwards() {
    let world = World::echo().await;
    world.ask("before");
    world.settled("before");
    let down = Instant::now();
    world.stack.servers().await.temporal.as_mut().unwrap().process().kill().unwrap();
    for n in 0..20 {
        world.ask(&format!("during-{n}"));
    }
    // The outage itself is what is tested: 20 seconds, in which the router must keep trying.
    wait::until("Temporal was away for 20 s", PATIENCE, async || {
        (down.elapsed() >= Duration::from_secs(20)).then_some(())
    })
    .await;
    assert!(world.metric("router", "spine_router_retries_total{dependency=\"temporal\"}").await >= 1.0);
    world.stack.servers().await.temporal.as_mut().unwrap().restart().await.unwrap();
    for n in 0..20 {
        let trace = world.settled(&format!("during-{n}"));
        assert_eq!(trace["runs"][0]["run"]["status"], "completed", "{trace:#}");
        assert_eq!(trace["decisions"][0]["outcome"]["decision"], "started");
    }
    assert_eq!(world.json(&["runs", "list"]).as_array().unwrap().len(), 21);
    world.end().await;
}

type Consumer = async_nats::jetstream::consumer::PullConsumer;

/// So that the test need not wait for the 30 s after which the broker gives a lost delivery to another router.
pub(crate) async fn shorten_ack_wait(world: &World) -> Consumer {
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let stream = jetstream.get_stream("EVENTS").await.unwrap();
    let consumer: Consumer = stream.get_consumer("router").await.unwrap();
    let mut config = consumer.cached_info().config.clone();
    config.ack_wait = Duration::from_secs(3);
    stream
        .create_consumer(async_nats::jetstream::consumer::pull::Config {
            durable_name: config.durable_name,
            ack_wait: config.ack_wait,
            max_ack_pending: config.max_ack_pending,
            max_deliver: config.max_deliver,
            ..Default::default()
        })
        .await
        .unwrap();
    stream.get_consumer("router").await.unwrap()
}
