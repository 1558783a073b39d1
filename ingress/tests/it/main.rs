//! The ingress as its clients see it: real HTTP, a real nats-server.

#![expect(clippy::unwrap_used, reason = "what can't be had fails the test")]

#[expect(dead_code, reason = "shared with the tests of `nats`, which use all of it")]
#[path = "../../../nats/tests/it/server.rs"]
mod server;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use spine_core::event::Data;
use spine_nats::{decisions, wire};
use spine_runtime::health::Health;
use spine_runtime::metrics::Metrics;
use spine_runtime::metrics::labels::Request;
use spine_runtime::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use server::Server;

struct Ingress {
    server: Server,
    jetstream: async_nats::jetstream::Context,
    metrics: Metrics,
    shutdown: Shutdown,
    url: String,
    task: JoinHandle<std::io::Result<()>>,
}

async fn ingress() -> Ingress {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let (metrics, shutdown) = (Metrics::new("0", &[]).unwrap(), Shutdown::new());
    let resources = spine_ingress::Resources {
        listener,
        jetstream: jetstream.clone(),
        metrics: metrics.clone(),
        health: Health::new(),
        max_body_bytes: 10_000,
    };
    let task = tokio::spawn(spine_ingress::run(resources, shutdown.clone()));
    Ingress { server, jetstream, metrics, shutdown, url, task }
}

fn binary(url: &str) -> RequestBuilder {
    let headers = [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/shop"), ("ce-type", "com.shop.order")];
    let request = Client::new().post(url).header("content-type", "application/json").body("{\"total\": 7}");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn body(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_event_is_answered_after_jetstream_has_it() {
    let ingress = ingress().await;
    let response = binary(&ingress.url).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 202);
    let answer = body(response).await;
    assert_eq!(
        (&answer["stream"], &answer["sequence"], &answer["duplicate"]),
        (&json!("EVENTS"), &json!(1), &json!(false))
    );
    let message = decisions::event_at(&ingress.jetstream, 1).await.unwrap().unwrap();
    let event = wire::decode(&message.headers, &message.payload).unwrap();
    assert_eq!(event.data, Data::Json(json!({"total": 7})));
    assert_eq!(answer["key"], json!(event.key()));

    let structured = event.to_json().to_string();
    let again =
        Client::new().post(&ingress.url).header("content-type", "application/cloudevents+json").body(structured);
    assert_eq!(body(again.send().await.unwrap()).await["duplicate"], json!(true));
    assert_eq!(ingress.metrics.ingress.requests.get(Request::Accepted), 1);
    assert_eq!(ingress.metrics.ingress.requests.get(Request::Duplicate), 1);
    ingress.shutdown.request();
    ingress.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_no_event_is_refused_by_name() {
    let ingress = ingress().await;
    let check = async |request: RequestBuilder, status: u16, word: &str| {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{word}");
        let error = body(response).await["error"].as_str().unwrap().to_owned();
        assert!(error.contains(word), "{error}");
    };
    check(binary(&ingress.url).header("ce-time", "now"), 400, "time must be a timestamp").await;
    check(binary(&ingress.url).header("ce-spinehops", "17"), 400, "too_many_hops").await;
    check(binary(&ingress.url).body("{"), 400, "data must be JSON").await;
    check(binary(&ingress.url).body("x".repeat(10_001)), 413, "length limit").await;
    let batch =
        Client::new().post(&ingress.url).header("content-type", "application/cloudevents-batch+json").body("[]");
    check(batch, 415, "batches are not supported yet").await;
    assert_eq!(ingress.metrics.ingress.requests.get(Request::Invalid), 3);
}

#[tokio::test]
async fn without_jetstream_the_client_is_told_to_come_back() {
    let mut ingress = ingress().await;
    ingress.server.kill();
    let response = binary(&ingress.url).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(ingress.metrics.ingress.requests.get(Request::Unavailable), 1);
}
