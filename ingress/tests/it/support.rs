//! A running ingress, configured as an operator would, and clients for it.

use std::net::SocketAddr;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use spine_core::event::Event;
use spine_ingress::Settings;
use spine_nats::{Violations, decisions, wire};
use spine_runtime::config::{self, Config, Sources};
use spine_runtime::health::Health;
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::Shutdown;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::server::Server;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An ingress and the nats-server behind it.
pub(crate) struct Ingress {
    pub(crate) server: Server,
    pub(crate) jetstream: Context,
    pub(crate) door: Door,
}

/// An ingress.
pub(crate) struct Door {
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) shutdown: Shutdown,
    pub(crate) address: SocketAddr,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

/// One with this configuration, in TOML.
pub(crate) async fn ingress(toml: &str) -> Ingress {
    let server = Server::start().await;
    let client = server.client().await;
    spine_nats::topology::provision(&client).await.unwrap();
    let jetstream = jetstream::new(client);
    let door = open(&configuration(toml), jetstream.clone(), Violations::default()).await;
    Ingress { server, jetstream, door }
}

pub(crate) fn configuration(toml: &str) -> Config {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(config::DEFAULT_FILE), toml).unwrap();
    config::load(Sources { dir: folder.path().to_owned(), ..Sources::default() }).unwrap()
}

pub(crate) async fn open(config: &Config, jetstream: Context, violations: Violations) -> Door {
    let settings = Settings::new(&config.ingress, &config.secrets).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (metrics, health, shutdown) = (Metrics::new("0", &[]).unwrap(), Health::new(), Shutdown::new());
    let resources = spine_ingress::Resources {
        listener,
        jetstream,
        violations,
        settings,
        metrics: metrics.clone(),
        health: health.clone(),
    };
    let task = tokio::spawn(spine_ingress::run(resources, shutdown.clone()));
    Door { metrics, health, shutdown, address, task }
}

impl Ingress {
    pub(crate) fn url(&self, path: &str) -> String {
        self.door.url(path)
    }

    /// An event in binary mode, which every test may change.
    pub(crate) fn binary(&self) -> RequestBuilder {
        binary(&self.url("/events"))
    }

    pub(crate) fn structured(&self, event: &Value) -> RequestBuilder {
        self.post("application/cloudevents+json", event.to_string())
    }

    pub(crate) fn batch(&self, events: &[Value]) -> RequestBuilder {
        self.post("application/cloudevents-batch+json", json!(events).to_string())
    }

    pub(crate) fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        Client::new().post(self.url("/events")).header("content-type", content_type).body(body)
    }

    /// What the stream has at this place.
    pub(crate) async fn stored(&self, sequence: u64) -> Option<Event> {
        let message = decisions::event_at(&self.jetstream, sequence).await.unwrap()?;
        Some(wire::decode(&message.headers, &message.payload).unwrap())
    }

    /// How many events the stream has.
    pub(crate) async fn count(&self) -> u64 {
        self.jetstream.get_stream("EVENTS").await.unwrap().get_info().await.unwrap().state.messages
    }

    /// What is answered to bytes that no client library would send.
    pub(crate) async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        raw(self.door.address, request.as_ref()).await
    }
}

impl Door {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

pub(crate) fn binary(url: &str) -> RequestBuilder {
    let headers = [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/shop"), ("ce-type", "com.shop.order")];
    let request = Client::new().post(url).header("content-type", "application/json").body("{\"total\": 7}");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

pub(crate) fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "com.shop.order", "data": {"total": 7}})
}

/// An answer: its status, and its body as JSON.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    read(request.send().await.unwrap()).await
}

pub(crate) async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    if status >= 400 {
        assert_eq!(kind, "application/problem+json");
        assert_eq!(body["status"], json!(status));
        assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{body}");
    }
    (status, body)
}

/// Sends a request that is to be refused with this status and code, in words that have this one among them.
pub(crate) async fn refused(request: RequestBuilder, status: u16, code: &str, word: &str) -> Value {
    let (seen, body) = answer(request).await;
    assert_eq!((seen, body["code"].as_str().unwrap()), (status, code), "{body}");
    assert!(body["detail"].as_str().unwrap().contains(word), "{body}");
    body
}

pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has had enough closes while we still send.
    drop(stream.write_all(request).await);
    let mut answer = Vec::new();
    drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8_lossy(&answer).into_owned()
}
