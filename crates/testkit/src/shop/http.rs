//! CRM, stock and shipping. Stock fails the first attempt for one article, so that a retry can be seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Request, Requests};

/// The article whose first reservation attempt fails.
const FLAKY_SKU: &str = "desk-2";

#[derive(Clone)]
struct Services {
    requests: Requests,
    /// What was answered, by idempotency key: a repeated request gets the same answer and does nothing.
    answered: Arc<Mutex<BTreeMap<String, Value>>>,
}

pub(super) async fn serve(listener: TcpListener, requests: Requests, stop: CancellationToken) -> std::io::Result<()> {
    let services = Services { requests, answered: Arc::default() };
    let router = Router::new()
        .route("/customers/{id}", get(customer))
        .route("/reservations", post(reserve))
        .route("/shipments", post(ship))
        .with_state(services);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn customer(State(services): State<Services>, Path(id): Path<String>) -> (StatusCode, Json<Value>) {
    let (status, body) = match id.as_str() {
        "ada" => (StatusCode::OK, json!({"id": "ada", "tier": "gold"})),
        "bob" => (StatusCode::OK, json!({"id": "bob", "tier": "basic"})),
        _ => (StatusCode::NOT_FOUND, json!({"error": "no such customer"})),
    };
    services.answer(format!("GET /customers/{id}"), None, status, body)
}

async fn reserve(
    State(services): State<Services>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let sku = body["sku"].as_str().unwrap_or_default();
    let first = !services.requests.all().iter().any(|request| request.idempotency_key == key(&headers));
    if sku == FLAKY_SKU && first {
        let body = json!({"error": "the stock service is busy"});
        return services.answer("POST /reservations".into(), key(&headers), StatusCode::SERVICE_UNAVAILABLE, body);
    }
    services.once("POST /reservations", &headers, |number| json!({"id": format!("R-{number}"), "sku": sku}))
}

async fn ship(
    State(services): State<Services>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let order = body["order"].as_str().unwrap_or_default().to_owned();
    services.once("POST /shipments", &headers, |number| json!({"order": order, "tracking": format!("TRACK-{number}")}))
}

impl Services {
    /// Does the work once for each idempotency key.
    fn once(&self, what: &str, headers: &HeaderMap, work: impl FnOnce(usize) -> Value) -> (StatusCode, Json<Value>) {
        let Some(key) = key(headers) else {
            return self.answer(
                what.into(),
                None,
                StatusCode::BAD_REQUEST,
                json!({"error": "an Idempotency-Key is wanted"}),
            );
        };
        let body = {
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            let number = answered.len() + 1;
            answered.entry(key.clone()).or_insert_with(|| work(number)).clone()
        };
        self.answer(what.into(), Some(key), StatusCode::CREATED, body)
    }

    fn answer(
        &self,
        what: String,
        idempotency_key: Option<String>,
        status: StatusCode,
        body: Value,
    ) -> (StatusCode, Json<Value>) {
        self.requests.push(Request { what, idempotency_key, status: status.as_u16() });
        (status, Json(body))
    }
}

fn key(headers: &HeaderMap) -> Option<String> {
    headers.get("idempotency-key")?.to_str().ok().map(str::to_owned)
}
