//! Changes of the registry while events flow, and while the registry is away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer};
use futures::StreamExt as _;
use serde_json::{Value, json};
use spine_core::canonical;
use spine_core::catalog::{ActivityEntry, CatalogState};
use spine_core::decision::{Decision, Outcome};
use spine_nats::catalog::{Catalog, Writer};
use spine_testkit::wait;

use crate::world::{PATIENCE, SOURCE, World, until_metric};

/// How many events flow, and how many of them start a run: Temporal's dev server bears some 150 starts a second.
const EVENTS: usize = 5000;
const EVERY: usize = 25;
/// How many events are published at once, and how often: 1,000 a second.
const BATCH: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);

fn echo(revision: usize) -> String {
    format!(
        "apiVersion: spine/v1\nkind: Activity\nmetadata: {{name: echo}}\nspec:\n  \
         on: [{{event: com.test.asked, match: {{data: {{pick: [true]}}}}}}]\n  \
         tasks: [{{id: answer, uses: emit, with: {{type: com.test.answered, data: {{is: {revision}}}}}}}]\n"
    )
}

const NOISE: &str = "{apiVersion: spine/v1, kind: Activity, metadata: {name: noise}, spec: {
    on: [{event: com.test.asked, match: {data: {never: [true]}}}],
    tasks: [{id: a, uses: emit, with: {type: com.test.noise}}]}}";

#[tokio::test(flavor = "multi_thread")]
async fn changes_while_events_flow_lose_and_double_nothing() {
    let mut world = World::boot().await;
    let file = world.folder.path().join("echo.yaml");
    let noise = world.folder.path().join("noise.yaml");
    std::fs::write(&file, echo(1)).unwrap();
    std::fs::write(&noise, NOISE).unwrap();
    world.ok(&["apply", "-f", file.to_str().unwrap(), noise.to_str().unwrap()]);
    world.start_all().await;
    until_metric(&world, "router", "spine_router_catalog_version", 1.0).await;

    let client = async_nats::connect(world.stack.nats_url()).await.unwrap();
    let jetstream = jetstream::new(client);
    let publisher = tokio::spawn(publish_all(jetstream.clone()));
    let mut revision = 1;
    while !publisher.is_finished() {
        revision += 1;
        std::fs::write(&file, echo(revision)).unwrap();
        world.ok(&["apply", "-f", file.to_str().unwrap()]);
        world.ok(&[if revision % 2 == 0 { "disable" } else { "enable" }, "noise"]);
    }
    let took = publisher.await.unwrap();
    println!("{EVENTS} events in {took:?}, {revision} revisions");
    settled(&jetstream).await;

    let decisions = decisions(&jetstream).await;
    assert_eq!(decisions.len(), EVENTS, "one decision for each event");
    let states = states(&world);
    let mut started = 0;
    for decision in &decisions {
        let n: usize = decision.id.parse().unwrap();
        let wanted = if n.is_multiple_of(EVERY) { Outcome::Started } else { Outcome::Unmatched };
        assert_eq!(decision.outcome, wanted, "{decision:?}");
        started += usize::from(decision.outcome == Outcome::Started);
        let verdict = decision.verdicts.iter().find(|verdict| verdict.activity == "echo").unwrap();
        let (_, state) = states.range(..=decision.catalog_version).next_back().unwrap();
        assert_eq!(u64::from(verdict.revision), *state, "decided by one state: {decision:?}");
    }
    let used: Vec<u64> = states.values().copied().collect();
    assert!(used.len() > 2, "the activity changed while events flowed: {used:?}");

    let runs = wait::until("all runs have ended", PATIENCE, async || {
        let runs = world.json(&["runs", "list", "--limit", "1000"]);
        let ended = runs.as_array()?.iter().all(|run| run["status"] == "completed");
        (ended && runs.as_array()?.len() >= started).then_some(runs)
    })
    .await;
    assert_eq!((runs.as_array().unwrap().len(), started), (EVENTS / EVERY, EVENTS / EVERY));

    world.ok(&["publish", "--type", "com.test.asked", "--source", SOURCE, "--id", "last", "-d", r#"{"pick": true}"#]);
    assert_eq!(world.settled("last")["runs"][0]["run"]["revision"], json!(revision), "the last revision counts");
    world.end().await;
}

/// Publishes everything, so many at once; how long that took.
async fn publish_all(jetstream: jetstream::Context) -> Duration {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(PAUSE);
    for batch in 0..EVENTS / BATCH {
        ticks.tick().await;
        let mut acks = Vec::with_capacity(BATCH);
        for n in batch * BATCH..(batch + 1) * BATCH {
            let event = json!({"specversion": "1.0", "type": "com.test.asked", "source": SOURCE, "id": n.to_string(),
                "datacontenttype": "application/json", "data": {"n": n, "pick": n.is_multiple_of(EVERY)}});
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Content-Type", "application/cloudevents+json");
            let sent = jetstream.publish_with_headers("events.com.test.asked", headers, event.to_string().into()).await;
            acks.push(sent.unwrap().into_future());
        }
        for ack in futures::future::join_all(acks).await {
            assert!(!ack.unwrap().duplicate);
        }
    }
    begun.elapsed()
}

/// Waits until the routers have settled every delivery.
async fn settled(jetstream: &jetstream::Context) {
    let stream = jetstream.get_stream("EVENTS").await.unwrap();
    let mut consumer: consumer::PullConsumer = stream.get_consumer("router").await.unwrap();
    wait::until("every event is settled", PATIENCE, async || {
        let info = consumer.info().await.ok()?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
}

/// Every decision about an event of this test, in the order of the stream.
async fn decisions(jetstream: &jetstream::Context) -> Vec<Decision> {
    let mut stream = jetstream.get_stream("DECISIONS").await.unwrap();
    let count = usize::try_from(stream.info().await.unwrap().state.messages).unwrap();
    let config = consumer::pull::OrderedConfig::default();
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let all: Vec<Decision> =
        messages.take(count).map(|message| serde_json::from_slice(&message.unwrap().payload).unwrap()).collect().await;
    all.into_iter().filter(|decision: &Decision| decision.event_type == "com.test.asked").collect()
}

/// Which revision of `echo` was current from which version of the registry on.
fn states(world: &World) -> BTreeMap<u64, u64> {
    let history = world.json(&["history", "echo"]);
    let number = |change: &Value, name: &str| change[name].as_u64().unwrap();
    let changes = history["changes"].as_array().unwrap();
    changes.iter().map(|change| (number(change, "version"), number(change, "revision"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_registry_routers_go_on_and_the_others_say_so() {
    let mut world = World::echo().await;
    world.stack.servers().await.postgres.as_mut().unwrap().process().kill().unwrap();
    // A router that starts meanwhile has all that it needs in the catalog.
    world.kill("router");
    world.start("router", &[]).await;
    for n in 0..5 {
        world.ask(&format!("during-{n}"));
    }
    let client = async_nats::connect(world.stack.nats_url()).await.unwrap();
    let jetstream = jetstream::new(client);
    settled(&jetstream).await;
    let decided = decisions(&jetstream).await;
    assert_eq!(decided.iter().filter(|decision| decision.outcome == Outcome::Started).count(), 5);
    assert!(world.ready("router").await.0, "the router needs no registry");
    let (ready, text) = wait::until("the relay says what is away", PATIENCE, async || {
        let (ready, text) = world.ready("relay").await;
        text.contains("use the database").then_some((ready, text))
    })
    .await;
    assert!(!ready, "{text}");
    assert!(world.metric("relay", "spine_component_up{component=\"relay\"}").await < 0.5);
    wait::until("the worker says what is away", PATIENCE, async || {
        let (ready, text) = world.ready("worker").await;
        (!ready && text.contains("runs wait for the database")).then_some(())
    })
    .await;
    assert!(world.metric("worker", "spine_component_up{component=\"database\"}").await < 0.5);
    world.stack.servers().await.postgres.as_mut().unwrap().restart().await.unwrap();
    for n in 0..5 {
        assert_eq!(world.settled(&format!("during-{n}"))["runs"][0]["run"]["status"], "completed");
    }
    for service in ["relay", "worker"] {
        wait::until("it is well again", PATIENCE, async || world.ready(service).await.0.then_some(())).await;
    }
    world.end().await;
}

/// A catalog that holds this document alone.
async fn project(writer: &mut Writer, version: u64, document: Value) {
    let hash = canonical::hash(&document);
    let entry = ActivityEntry { name: "echo".into(), revision: 1, hash: hash.clone(), enabled: true };
    let state = CatalogState { version, activities: vec![entry], ..CatalogState::default() };
    writer.write(&state, &[(hash, document)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_a_router_does_not_understand_is_not_used_and_the_next_one_is() {
    let mut world = World::boot().await;
    let jetstream = jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let mut writer = Catalog::new(jetstream.clone()).writer();
    let echo = |description: &str| {
        json!({
            "apiVersion": "spine/v1", "kind": "Activity", "metadata": {"name": "echo"},
            "spec": {
                "description": description, "on": [{"event": "com.test.asked"}],
                "tasks": [{"id": "answer", "uses": "emit", "with": {"type": "com.test.answered"}}],
            },
        })
    };
    project(&mut writer, 1, echo("one")).await;
    world.start("router", &[]).await;
    project(&mut writer, 2, json!({"apiVersion": "spine/v2", "kind": "Activity", "metadata": {"name": "echo"}})).await;
    wait::until("the router says that it can't load it", PATIENCE, async || {
        let (ready, text) = world.ready("router").await;
        (!ready && text.contains("catalog version 2") && text.contains("echo:1:")).then_some(())
    })
    .await;
    assert!(world.metric("router", "spine_router_catalog_failures_total").await >= 1.0);
    world.ask("one");
    let decided = async |id: &str| {
        wait::until("the event is decided", PATIENCE, async || {
            spine_nats::decisions::of_id(&jetstream, id).await.unwrap().pop()
        })
        .await
    };
    assert_eq!(decided("one").await.catalog_version, 1, "the router goes on with what it has");
    project(&mut writer, 3, echo("three")).await;
    until_metric(&world, "router", "spine_router_catalog_version", 3.0).await;
    assert!(world.ready("router").await.0);
    world.ask("two");
    assert_eq!(decided("two").await.catalog_version, 3);
    world.end().await;
}
