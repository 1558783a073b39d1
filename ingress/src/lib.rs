//! HTTP in: CloudEvents over the HTTP binding, published to JetStream.
//!
//! `POST /events` takes one event in binary or structured mode and answers 202 only after JetStream's ack.
//! Invariant: an event that was not answered with 202 may be sent again; JetStream keeps one.

mod accept;
mod http;

use std::io;
use std::sync::Arc;

use async_nats::jetstream;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use spine_runtime::health::{Component, Health};
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// The most requests in hand: JetStream gains nothing from more than 1,000 outstanding publishes, and at
/// 1 MB each this is the most memory that they take together, 1 GB. Others are told to come back.
const MAX_REQUESTS: usize = 1000;

/// What the ingress works with.
pub struct Resources {
    /// Where requests come in.
    pub listener: TcpListener,
    /// Where events go.
    pub jetstream: jetstream::Context,
    /// Counters.
    pub metrics: Metrics,
    /// Says whether the ingress is up.
    pub health: Health,
    /// The most bytes that a request's body may have.
    pub max_body_bytes: usize,
}

pub(crate) struct Shared {
    jetstream: jetstream::Context,
    metrics: Metrics,
    component: Component,
    slots: Semaphore,
}

/// Takes events until `shutdown` is requested; then answers the requests in hand.
pub async fn run(resources: Resources, shutdown: Shutdown) -> io::Result<()> {
    let component = resources.health.register("ingress");
    component.up();
    let shared = Arc::new(Shared {
        jetstream: resources.jetstream,
        metrics: resources.metrics,
        component: component.clone(),
        slots: Semaphore::new(MAX_REQUESTS),
    });
    let router = Router::new()
        .route("/events", post(accept::accept))
        .layer(DefaultBodyLimit::max(resources.max_body_bytes))
        .with_state(shared);
    let requested = async move { shutdown.requested().await };
    let served = axum::serve(resources.listener, router).with_graceful_shutdown(requested).await;
    component.down("it has stopped");
    served
}
