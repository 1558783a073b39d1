//! HTTP in: CloudEvents and webhooks, published to JetStream.
//!
//! `POST /events` takes events over the HTTP binding, `POST /hooks/{source}` signed webhooks that become events.
//!
//! Invariants:
//! - Only what JetStream has acknowledged is answered with 2xx. What was answered otherwise, or not at all, may be
//!   sent again; JetStream keeps one.
//! - What a router would not let in is refused here already, in the same words.
//! - Nothing that a client sends is held without a bound: connections, heads, bodies, requests and events on their
//!   way each have one.

mod access;
mod body;
pub mod events;
pub mod hooks;
pub mod http;
mod listen;
mod observe;
mod presence;
pub mod problem;
mod publication;
mod rate;
mod rules;
mod settings;
mod tls;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use async_nats::jetstream;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use spine_nats::Violations;
use spine_runtime::health::Health;
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use settings::{Settings, SettingsError};

use access::Access;
use hooks::Hook;
use listen::Door;
use presence::Presence;
use problem::{Code, Problem};
use rate::Rate;
use rules::Rules;
use settings::Limits;

/// The OpenAPI 3.1 document of what is served.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// What the ingress works with.
pub struct Resources {
    /// Where requests come in.
    pub listener: TcpListener,
    /// Where events go.
    pub jetstream: jetstream::Context,
    /// What that connection is not permitted.
    pub violations: Violations,
    /// Who may send what, and how much.
    pub settings: Settings,
    /// Counters.
    pub metrics: Metrics,
    /// Says whether the ingress is up.
    pub health: Health,
}

pub(crate) struct Shared {
    jetstream: jetstream::Context,
    violations: Violations,
    metrics: Metrics,
    presence: Presence,
    access: Access,
    hooks: BTreeMap<String, Hook>,
    limits: Limits,
    rate: Rate,
    rules: Rules,
    /// Requests in hand.
    slots: Semaphore,
    /// Requests in hand that are not known to be anybody's yet: at most half of all, so that bodies of strangers that
    /// come slowly leave room for others.
    unsigned: Semaphore,
    /// Events on their way to JetStream.
    in_flight: Semaphore,
}

/// Takes events until `shutdown` is requested; then answers the requests in hand.
pub async fn run(resources: Resources, shutdown: Shutdown) -> io::Result<()> {
    let component = resources.health.register("ingress");
    let Settings { limits, access, hooks, tls } = resources.settings;
    announce(&resources.listener, &access, tls.is_some());
    let shared = Arc::new(Shared {
        jetstream: resources.jetstream,
        violations: resources.violations,
        presence: Presence::new(component.clone()),
        access,
        hooks,
        rate: Rate::new(limits.requests_per_second),
        rules: Rules::default(),
        slots: Semaphore::new(limits.requests),
        unsigned: Semaphore::new(limits.requests.div_ceil(2)),
        in_flight: Semaphore::new(publication::MAX_IN_FLIGHT),
        limits,
        metrics: resources.metrics,
    });
    let door = Door {
        router: router(shared.clone()),
        tls,
        max_connections: shared.limits.connections,
        open: shared.metrics.ingress.connections.clone(),
    };
    let (served, (), ()) = tokio::join!(
        listen::serve(resources.listener, door, shutdown.clone()),
        shared.presence.watch(&shared.jetstream, &shutdown),
        shared.rules.follow(&shared.jetstream, &shutdown),
    );
    component.down("it has stopped");
    served
}

/// Says loudly what everybody can do.
fn announce(listener: &TcpListener, access: &Access, is_tls: bool) {
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(address, tls = is_tls, clients = access.clients.len(), "the ingress listens");
    if access.is_open() {
        tracing::warn!(
            address,
            "the ingress is OPEN: whoever reaches it may send any event; configure [ingress.clients.<name>] to change that"
        );
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/events", post(events::accept))
        .route("/hooks/{source}", post(hooks::accept))
        .route("/openapi.json", get(openapi))
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(shared.clone(), observe::observe))
        .with_state(shared)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(Code::NoSuchPath, format!("nothing is at {:?}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("{:?} does not know {method}", uri.path()))
}

impl Shared {
    /// A request's body, under its bounds.
    pub(crate) async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
        let body = body::read(headers, body, self.limits.body_bytes, self.limits.body_timeout).await?;
        self.metrics.ingress.body_bytes.inc_by(body.len() as u64);
        Ok(body)
    }
}
