//! Stand-ins for the web shop's own services, which the example activities call: its CRM, stock and
//! shipping over HTTP, and the risk team's Temporal worker. Third parties, so a fake may stand for them.

mod http;
#[expect(
    dead_code,
    reason = "the macro makes a handle for workflows, and no workflow of ours calls the activity by it"
)]
mod risk;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use temporalio_client::Client;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// SQL that makes the shop's own database and fills it.
pub const SCHEMA: &str = include_str!("../../../examples/shop/schema.sql");

/// A request that the shop has answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// Method and path, e.g. `POST /reservations`.
    pub what: String,
    /// The `Idempotency-Key`, if there was one.
    pub idempotency_key: Option<String>,
    /// The status it was answered with.
    pub status: u16,
}

/// The running stand-ins.
pub struct Shop {
    address: SocketAddr,
    requests: Requests,
    stop: CancellationToken,
    http: JoinHandle<std::io::Result<()>>,
    risk: Option<std::thread::JoinHandle<Result<(), String>>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<Request>>>);

impl Requests {
    fn push(&self, request: Request) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    fn all(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shop {
    /// Starts the HTTP services on a free port, and the worker on the task queue `risk`. Fails if no port
    /// or thread can be had.
    pub async fn start(temporal: Client) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (requests, stop) = (Requests::default(), CancellationToken::new());
        let http = tokio::spawn(http::serve(listener, requests.clone(), stop.clone()));
        let risk = risk::spawn(temporal, stop.clone())?;
        Ok(Self { address, requests, stop, http, risk: Some(risk) })
    }

    /// What the example activities read as `config`: where the services are.
    pub fn values(&self) -> BTreeMap<String, Value> {
        let url = Value::from(format!("http://{}", self.address));
        ["crm_url", "stock_url", "shipping_url"].map(|name| (name.to_owned(), url.clone())).into()
    }

    /// Every request answered so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.all()
    }

    /// Stops all of it. The error says what had failed before.
    pub async fn stop(mut self) -> Result<(), String> {
        self.stop.cancel();
        (&mut self.http).await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let Some(risk) = self.risk.take() else { return Ok(()) };
        let ended = tokio::task::spawn_blocking(move || risk.join()).await.map_err(|error| error.to_string())?;
        ended.unwrap_or_else(|_| Err("the risk worker panicked".into()))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
