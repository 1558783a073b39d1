//! Whether JetStream is there: told by what is published, and asked for while it is not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use spine_core::names::EVENTS_STREAM;
use spine_runtime::health::Component;
use spine_runtime::shutdown::Shutdown;

/// How often it is asked for. Where requests are kept away from a process that is not ready, no request would find
/// out that JetStream is back.
const ASK: Duration = Duration::from_secs(1);

/// What is known of JetStream.
#[derive(Debug)]
pub(crate) struct Presence {
    component: Component,
    is_away: AtomicBool,
}

impl Presence {
    pub(crate) fn new(component: Component) -> Self {
        component.up();
        Self { component, is_away: AtomicBool::new(false) }
    }

    /// It has taken an event.
    pub(crate) fn seen(&self) {
        if self.is_away.swap(false, Ordering::Relaxed) {
            self.component.up();
        }
    }

    /// It has not, and why.
    pub(crate) fn missed(&self, reason: &str) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason, "JetStream does not take events");
        }
        self.component.down(reason);
    }

    /// Asks for the stream while it is away, until `shutdown` is requested.
    pub(crate) async fn watch(&self, jetstream: &jetstream::Context, shutdown: &Shutdown) {
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.ask(jetstream) => {}
        }
    }

    async fn ask(&self, jetstream: &jetstream::Context) {
        let mut asks = tokio::time::interval(ASK);
        asks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            asks.tick().await;
            if self.is_away.load(Ordering::Relaxed) && jetstream.get_stream(EVENTS_STREAM).await.is_ok() {
                tracing::info!("JetStream is back");
                self.seen();
            }
        }
    }
}
