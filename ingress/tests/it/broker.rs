//! JetStream away, full, and not permitting.

use std::process::Command;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use rustix::process::Signal;
use serde_json::{Value, json};
use spine_nats::{Violations, connect, connect_watched, topology};
use spine_runtime::metrics::labels::{Arrival, Request};
use spine_testkit::nats::NatsServer;
use spine_testkit::{locate, ports, process, wait};
use tempfile::TempDir;

use crate::support::{PATIENCE, answer, binary, configuration, event, ingress, open, refused};

/// Three attempts of 2 s, and the pauses between; a busy machine may take longer.
const BOUND: Duration = Duration::from_secs(15);

#[tokio::test]
async fn without_jetstream_the_client_is_told_to_come_back_and_nothing_is_lost() {
    let mut ingress = ingress("").await;
    assert_eq!(answer(ingress.batch(&[event("1")])).await.0, 202);
    ingress.server.kill();
    let began = Instant::now();
    let response = ingress.binary().send().await.unwrap();
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let events: Vec<Value> = (0..600).map(|n| event(&n.to_string())).collect();
    let began = Instant::now();
    let body = refused(ingress.batch(&events), 503, "jetstream_unavailable", "600 of 600 events").await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert_eq!(body["items"][599]["status"], "unavailable");
    assert!(body["items"][599]["reason"].as_str().unwrap().contains("not tried"), "{body}");
    assert_eq!(ingress.door.metrics.ingress.requests.get(Request::Unavailable), 2);
    assert!(!ingress.door.health.readiness().ready);

    ingress.server.restart().await;
    let ready = async || ingress.door.health.readiness().ready.then_some(());
    wait::until("the ingress sees that JetStream is back, without any request", PATIENCE, ready).await;
    assert_eq!(answer(ingress.batch(&events)).await.0, 202);
    assert_eq!(answer(ingress.binary()).await.0, 202);
    assert_eq!(ingress.count().await, 600, "what was sent again is kept once");
}

#[tokio::test]
async fn a_full_stream_is_said_by_name() {
    let ingress = ingress("").await;
    let stream = ingress.jetstream.get_stream("EVENTS").await.unwrap();
    let config = stream.cached_info().config.clone();
    let full = stream::Config { max_messages: 2, discard: stream::DiscardPolicy::New, ..config };
    ingress.jetstream.update_stream(&full).await.unwrap();
    let body = refused(ingress.batch(&[event("1"), event("2"), event("3")]), 503, "stream_full", "1 of 3 events").await;
    assert_eq!(body["items"][2]["status"], "unavailable");
    assert!(body["items"][2]["reason"].as_str().unwrap().contains("maximum messages exceeded"), "{body}");
    let response = ingress.binary().send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "10");
    refused(ingress.binary(), 503, "stream_full", "maximum messages exceeded").await;
    let many: Vec<Value> = (0..251).map(|n| event(&format!("many-{n}"))).collect();
    let body = refused(ingress.batch(&many), 503, "stream_full", "251 of 251 events").await;
    assert_eq!(body["items"][250]["code"], "stream_full");
    assert!(ingress.door.health.readiness().ready, "a full stream is no reason to send clients elsewhere");
    ingress.jetstream.update_stream(&stream::Config { max_messages: -1, ..full }).await.unwrap();
    assert_eq!(answer(ingress.batch(&[event("1"), event("2"), event("3")])).await.0, 202);
    assert_eq!(ingress.door.metrics.ingress.events.get(Arrival::Unavailable), 254);
}

#[tokio::test]
async fn what_nats_does_not_permit_is_said_by_name() {
    let (folder, port) = (TempDir::new().unwrap(), ports::free().unwrap());
    let config = format!(
        r#"listen: "127.0.0.1:{port}"
        jetstream {{ store_dir: "{}" }}
        authorization {{ users: [
            {{user: admin, password: pw}},
            {{user: ingress, password: pw, permissions: {{publish: ["events.com.shop.>", "$JS.API.>"], subscribe: ["_INBOX.>"]}}}}
        ] }}"#,
        folder.path().display()
    );
    let file = folder.path().join("nats.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(locate::program("nats-server").unwrap());
    command.arg("--config").arg(&file);
    let _server = process::spawn(command, &folder.path().join("nats.log"), Signal::KILL).unwrap();
    let admin = wait::until("the server listens", PATIENCE, async || {
        connect(&[format!("nats://admin:pw@127.0.0.1:{port}")], None, "test").await.ok()
    })
    .await;
    topology::provision(&admin).await.unwrap();
    let violations = Violations::default();
    let urls = [format!("nats://ingress:pw@127.0.0.1:{port}")];
    let client = connect_watched(&urls, None, "ingress", &violations).await.unwrap();
    let door = open(&configuration(""), jetstream::new(client), violations).await;

    assert_eq!(answer(binary(&door.url("/events"))).await.0, 202);
    let foreign = || {
        let mut foreign = event("8");
        foreign["type"] = json!("com.crm.customer");
        foreign
    };
    let post = |body: Value, kind: &str| {
        reqwest::Client::new().post(door.url("/events")).header("content-type", kind).body(body.to_string())
    };
    let single = post(foreign(), "application/cloudevents+json");
    refused(single, 503, "not_permitted", "Permissions Violation for Publish to \"events.com.crm.customer\"").await;
    let batch = post(json!([event("9"), foreign()]), "application/cloudevents-batch+json");
    let body = refused(batch, 503, "not_permitted", "1 of 2 events").await;
    assert_eq!(body["items"][0]["status"], "accepted");
    let mut many: Vec<Value> = (0..251).map(|n| event(&format!("many-{n}"))).collect();
    many[0] = foreign();
    let batch = post(json!(many), "application/cloudevents-batch+json");
    let body = refused(batch, 503, "not_permitted", "1 of 251 events").await;
    assert_eq!(body["items"][250]["status"], "accepted", "it keeps no other event back");
    assert!(door.health.readiness().ready);
}

#[tokio::test]
async fn events_on_their_way_have_a_bound() {
    let folder = TempDir::new().unwrap();
    let mut server = NatsServer::start(folder.path(), ports::free().unwrap()).await.unwrap();
    let client = connect(&[server.url().to_owned()], None, "test").await.unwrap();
    topology::provision(&client).await.unwrap();
    let door = open(&configuration(""), jetstream::new(client), Violations::default()).await;
    server.process().signal(Signal::STOP).unwrap();
    let post = |events: Vec<Value>| {
        let request = reqwest::Client::new().post(door.url("/events"));
        let request = request.header("content-type", "application/cloudevents-batch+json");
        request.body(json!(events).to_string())
    };
    let batch = |number: u32| (0..250).map(|n| event(&format!("{number}-{n}"))).collect::<Vec<_>>();
    let held: Vec<_> = (0..4).map(|number| tokio::spawn(post(batch(number)).send())).collect();
    wait::until("the way is full", PATIENCE, async || {
        let (status, body) = answer(post(vec![event("1")])).await;
        (status == 503 && body["code"] == "overloaded").then_some(())
    })
    .await;
    server.process().signal(Signal::CONT).unwrap();
    for answered in held {
        let status = answered.await.unwrap().unwrap().status().as_u16();
        assert!(matches!(status, 202 | 503), "{status}");
    }
    for number in 0..4 {
        assert_eq!(answer(post(batch(number))).await.0, 202);
    }
    assert_eq!(answer(post(vec![event("1")])).await.0, 202);
}
