//! The catalog in its KV bucket: written by the relay, followed by routers.
//!
//! Invariant: pages and documents are stored before the head that names them, and deleted after the head
//! that does not, so a head that was read can be loaded, or a newer one is there.

mod read;
mod watch;
mod writer;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::Store;
use futures::stream::BoxStream;
use serde_json::Value;
use spine_core::catalog::CatalogState;
use spine_core::names::CATALOG_BUCKET;

pub use writer::{Writer, Written};

/// How often something is asked for before its loss is reported: reads are cheap and brokers restart.
const ATTEMPTS: usize = 4;
/// How many values are read or written at once.
const AT_ONCE: usize = 64;

/// Why the catalog could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// JetStream did not answer or refused.
    #[error("{action} in bucket {CATALOG_BUCKET}")]
    Bucket {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: async_nats::Error,
    },
    /// Somebody else wrote a head since it was read; read again.
    #[error("replace the catalog's head, which was changed meanwhile")]
    Conflict,
    /// It is not there.
    #[error("find {0}")]
    Missing(String),
    /// It is not what it should be.
    #[error("decode {what}")]
    Decode {
        /// What.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// A handle on the catalog.
#[derive(Clone, Debug)]
pub struct Catalog {
    jetstream: Context,
}

impl Catalog {
    /// The catalog behind this connection. Nothing is asked yet.
    pub fn new(jetstream: Context) -> Self {
        Self { jetstream }
    }

    /// Every state of the catalog, the present one first; states that follow each other quickly may be
    /// left out. It never ends, and survives the broker's restarts.
    pub fn watch(&self) -> BoxStream<'static, CatalogState> {
        watch::states(self.clone())
    }

    /// The present state, or `None` before the first.
    pub async fn state(&self) -> Result<Option<CatalogState>, CatalogError> {
        read::Reader::new(self.clone()).state().await
    }

    /// The documents with these hashes, in no particular order. Tries for a few seconds if the broker is away.
    pub async fn documents(&self, hashes: Vec<String>) -> Result<Vec<(String, Value)>, CatalogError> {
        let mut attempt = 0;
        loop {
            match read::documents(&self.store().await?, &hashes).await {
                Err(CatalogError::Bucket { .. }) if attempt < ATTEMPTS => {
                    tokio::time::sleep(crate::pause::after(attempt)).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Who writes it. There is to be one at a time; two get a [`CatalogError::Conflict`].
    pub fn writer(&self) -> Writer {
        Writer::new(self.clone())
    }

    async fn store(&self) -> Result<Store, CatalogError> {
        let found = self.jetstream.get_key_value(CATALOG_BUCKET).await;
        found.map_err(|error| failed("open it (is it provisioned?)", error))
    }
}

fn decode<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, CatalogError> {
    serde_json::from_slice(bytes).map_err(|source| CatalogError::Decode { what: what.to_owned(), source })
}

fn failed(action: impl Into<String>, error: impl Into<async_nats::Error>) -> CatalogError {
    CatalogError::Bucket { action: action.into(), source: error.into() }
}
