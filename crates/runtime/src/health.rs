//! Whether a process lives and whether it is ready, over HTTP, beside its metrics.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::metrics::{self, Metrics};
use crate::shutdown::Shutdown;

/// How a component is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// It is not there yet.
    Starting,
    /// It does its work.
    Up,
    /// It does not do its work.
    Down {
        /// Why, for the operator; without secrets.
        reason: String,
    },
}

/// The state of every component of a process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, State>>>);

impl Health {
    /// No components yet; a process without any is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// The component of that name, starting.
    pub fn register(&self, name: &'static str) -> Component {
        let component = Component { name, health: self.clone() };
        component.set(State::Starting);
        component
    }

    /// What `/readyz` answers with.
    pub fn readiness(&self) -> Readiness {
        let components = self.states().clone();
        let ready = !components.is_empty() && components.values().all(|state| *state == State::Up);
        Readiness { ready, components }
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One component's hand on its state.
#[derive(Clone, Debug)]
pub struct Component {
    name: &'static str,
    health: Health,
}

impl Component {
    /// It does its work.
    pub fn up(&self) {
        self.set(State::Up);
    }

    /// It does not do its work, and why.
    pub fn down(&self, reason: impl Into<String>) {
        self.set(State::Down { reason: reason.into() });
    }

    /// It failed to do this and tries again: says so, with all causes, here and in the log.
    pub fn failing(&self, action: &str, error: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        tracing::warn!(error = text, "failed to {action}, trying again");
        self.down(format!("failed to {action}: {text}"));
    }

    /// Replaces its state.
    pub fn set(&self, state: State) {
        self.health.states().insert(self.name, state);
    }
}

/// Whether a process is ready, and each component's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True when there are components and each is up.
    pub ready: bool,
    /// Their states by name.
    pub components: BTreeMap<&'static str, State>,
}

/// Answers `/metrics`, `/healthz` and `/readyz` on `listener` until `shutdown` is requested.
///
/// To be seen while it drains, a process passes a [`Shutdown`] of its own here and requests it last.
pub async fn serve(listener: TcpListener, metrics: Metrics, health: Health, shutdown: Shutdown) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(render).with_state((metrics, health.clone())))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(health));
    axum::serve(listener, router).with_graceful_shutdown(async move { shutdown.requested().await }).await
}

async fn render(Shared((metrics, health)): Shared<(Metrics, Health)>) -> Response {
    for (component, state) in health.readiness().components {
        metrics.component_up(component, state == State::Up);
    }
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.render()).into_response()
}

async fn ready(Shared(health): Shared<Health>) -> Response {
    let readiness = health.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn ready_means_every_component_is_up() {
        let down = || State::Down { reason: "refused".into() };
        let check = |states: &[State], expected: bool| {
            let health = Health::new();
            for (name, state) in ["nats", "temporal"].into_iter().zip(states) {
                health.register(name).set(state.clone());
            }
            assert_eq!(health.readiness().ready, expected, "{states:?}");
        };
        check(&[], false);
        check(&[State::Starting], false);
        check(&[State::Up, State::Starting], false);
        check(&[State::Up, down()], false);
        check(&[State::Up, State::Up], true);
    }

    async fn answer(address: std::net::SocketAddr, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: spine\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    #[tokio::test]
    async fn answers_over_http_until_shutdown() -> TestResult {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let nats = health.register("nats");
        nats.down("connection refused");
        let metrics = Metrics::new("1.2.3", &["invalid"])?;
        let server = tokio::spawn(serve(listener, metrics, health.clone(), shutdown.clone()));

        assert!(answer(address, "/healthz").await?.starts_with("HTTP/1.1 200"));
        let readyz = answer(address, "/readyz").await?;
        assert!(readyz.starts_with("HTTP/1.1 503"), "{readyz}");
        let body = r#"{"ready":false,"components":{"nats":{"state":"down","reason":"connection refused"}}}"#;
        assert!(readyz.ends_with(body), "{readyz}");
        assert!(answer(address, "/metrics").await?.contains("spine_component_up{component=\"nats\"} 0"));
        nats.up();
        assert!(answer(address, "/readyz").await?.starts_with("HTTP/1.1 200"));
        assert!(answer(address, "/metrics").await?.contains("spine_component_up{component=\"nats\"} 1"));
        assert!(answer(address, "/metrics").await?.contains("spine_process_info{version=\"1.2.3\"} 1"));

        shutdown.request();
        server.await??;
        Ok(())
    }
}
