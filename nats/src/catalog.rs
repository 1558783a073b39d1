//! The catalog in its KV bucket: written by the relay, followed by routers.
//!
//! Invariant: documents are stored before the head that names them, and deleted after the head that does
//! not, so a head that was read can be loaded, or a newer one is there.

mod watch;

use std::collections::BTreeSet;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::Store;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use serde_json::Value;
use spine_core::catalog::{CatalogHead, document_key};
use spine_core::names::{CATALOG_BUCKET, CATALOG_HEAD};

/// How often a document is asked for before its loss is reported: reads are cheap and brokers restart.
const ATTEMPTS: usize = 4;

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
    #[error("find document {0}")]
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

/// What a write of the catalog did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Whether the head changed.
    pub changed: bool,
    /// How many documents were stored.
    pub stored: usize,
    /// How many documents were deleted because no head names them any more.
    pub retired: usize,
}

impl Catalog {
    /// The catalog behind this connection. Nothing is asked yet.
    pub fn new(jetstream: Context) -> Self {
        Self { jetstream }
    }

    /// Every state of the catalog, the present one first; states that follow each other quickly may be
    /// left out. It never ends, and survives the broker's restarts.
    pub fn watch(&self) -> BoxStream<'static, CatalogHead> {
        watch::heads(self.clone())
    }

    /// The present head, or `None` before the first.
    pub async fn head(&self) -> Result<Option<CatalogHead>, CatalogError> {
        Ok(self.entry().await?.map(|(head, _)| head))
    }

    /// The document with this hash. Tries for a few seconds if the broker is away.
    pub async fn document(&self, hash: &str) -> Result<Value, CatalogError> {
        let mut attempt = 0;
        loop {
            match self.document_once(hash).await {
                Err(CatalogError::Bucket { .. }) if attempt < ATTEMPTS => {
                    tokio::time::sleep(crate::pause::after(attempt)).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// The hashes of documents that `head` names and the bucket does not have.
    pub async fn missing(&self, head: &CatalogHead) -> Result<Vec<String>, CatalogError> {
        let stored = keys(&self.store().await?).await?;
        Ok(hashes(head).into_iter().filter(|hash| !stored.contains(&document_key(hash))).map(str::to_owned).collect())
    }

    /// Stores `documents`, then `head`, then deletes the documents that it does not name. `documents` are
    /// at least those that are [`Catalog::missing`].
    pub async fn write(&self, head: &CatalogHead, documents: &[(String, Value)]) -> Result<Written, CatalogError> {
        let present = self.entry().await?;
        let store = self.store().await?;
        let stored = keys(&store).await?;
        let new: Vec<_> = documents.iter().filter(|(hash, _)| !stored.contains(&document_key(hash))).collect();
        for (hash, document) in &new {
            let put = store.put(document_key(hash), document.to_string().into()).await;
            put.map_err(|error| failed(format!("store document {hash}"), error))?;
        }
        let changed = present.as_ref().is_none_or(|(known, _)| known != head);
        if changed {
            replace(&store, head, present.map_or(0, |(_, revision)| revision)).await?;
        }
        let retired = retire(&store, head, &stored).await?;
        Ok(Written { changed, stored: new.len(), retired })
    }

    async fn store(&self) -> Result<Store, CatalogError> {
        let found = self.jetstream.get_key_value(CATALOG_BUCKET).await;
        found.map_err(|error| failed("open it (is it provisioned?)".into(), error))
    }

    /// The head and its revision in the bucket.
    async fn entry(&self) -> Result<Option<(CatalogHead, u64)>, CatalogError> {
        let entry = self.store().await?.entry(CATALOG_HEAD).await;
        match entry.map_err(|error| failed("read the head".into(), error))? {
            Some(entry) if !entry.value.is_empty() => Ok(Some((decode("the head", &entry.value)?, entry.revision))),
            _ => Ok(None),
        }
    }

    async fn document_once(&self, hash: &str) -> Result<Value, CatalogError> {
        let found = self.store().await?.get(document_key(hash)).await;
        match found.map_err(|error| failed(format!("read document {hash}"), error))? {
            Some(bytes) => decode(&format!("document {hash}"), &bytes),
            None => Err(CatalogError::Missing(hash.to_owned())),
        }
    }
}

async fn replace(store: &Store, head: &CatalogHead, revision: u64) -> Result<(), CatalogError> {
    use async_nats::jetstream::kv::UpdateErrorKind;
    let bytes = serde_json::to_vec(head).map_err(|source| CatalogError::Decode { what: "the head".into(), source })?;
    match store.update(CATALOG_HEAD, bytes.into(), revision).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Err(CatalogError::Conflict),
        Err(error) => Err(failed("replace the head".into(), error)),
    }
}

async fn retire(store: &Store, head: &CatalogHead, stored: &BTreeSet<String>) -> Result<usize, CatalogError> {
    let named: BTreeSet<String> = hashes(head).into_iter().map(document_key).collect();
    let unnamed: Vec<&String> = stored.iter().filter(|key| *key != CATALOG_HEAD && !named.contains(*key)).collect();
    for key in &unnamed {
        store.purge(key).await.map_err(|error| failed(format!("delete {key}"), error))?;
    }
    Ok(unnamed.len())
}

async fn keys(store: &Store) -> Result<BTreeSet<String>, CatalogError> {
    let keys = store.keys().await.map_err(|error| failed("list the documents".into(), error))?;
    keys.try_collect().await.map_err(|error| failed("list the documents".into(), error))
}

fn hashes(head: &CatalogHead) -> BTreeSet<&str> {
    let activities = head.activities.iter().map(|entry| entry.hash.as_str());
    activities.chain(head.event_types.iter().map(|entry| entry.hash.as_str())).collect()
}

fn decode<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, CatalogError> {
    serde_json::from_slice(bytes).map_err(|source| CatalogError::Decode { what: what.to_owned(), source })
}

fn failed(action: String, error: impl Into<async_nats::Error>) -> CatalogError {
    CatalogError::Bucket { action, source: error.into() }
}
