//! What the server does not permit. It says so to the connection and not to the call, which would wait in vain.

use async_nats::{Event, ServerError};
use tokio::sync::broadcast;

/// More than are ever waited for at once; who falls behind has other refusals than its own to skip.
const CAPACITY: usize = 256;

/// The server's refusals, for whoever waits for something.
#[derive(Clone, Debug)]
pub struct Violations(broadcast::Sender<String>);

/// Refusals from now on.
#[derive(Debug)]
pub struct Watch(broadcast::Receiver<String>);

impl Default for Violations {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Violations {
    /// Watches from now on.
    pub fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }

    pub(crate) fn tell(&self, event: &Event) {
        if let Some(text) = violation(event) {
            // Nobody may be waiting; the log has it as well.
            drop(self.0.send(text.to_owned()));
        }
    }
}

impl Watch {
    /// The server's words about this subject, or about the inbox that its answer would come to.
    pub async fn about(&mut self, subject: &str) -> String {
        let quoted = format!("\"{subject}\"");
        loop {
            match self.0.recv().await {
                Ok(text) if text.contains(&quoted) || text.contains("\"_INBOX.") => return text,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// What the server does not permit, in its words (NATS client protocol, `-ERR`).
pub(crate) fn violation(event: &Event) -> Option<&str> {
    match event {
        Event::ServerError(ServerError::Other(text)) if text.to_lowercase().contains("permissions violation") => {
            Some(text)
        }
        _ => None,
    }
}
