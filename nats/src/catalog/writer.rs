//! Writing states.

use std::collections::BTreeSet;

use async_nats::jetstream::kv::{Store, UpdateErrorKind};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use spine_core::catalog::{CatalogHead, CatalogPage, CatalogState, document_key, page_key};
use spine_core::names::CATALOG_HEAD;

use super::{AT_ONCE, Catalog, CatalogError, failed, read};

/// What a write of the catalog did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Whether the head changed.
    pub changed: bool,
    /// How many pages and documents were stored.
    pub stored: usize,
    /// How many pages and documents were deleted because no head names them any more.
    pub retired: usize,
}

/// Writes states of the catalog. It knows which keys there are, so that a small change costs little in a large
/// catalog; after an error it asks again.
#[derive(Debug)]
pub struct Writer {
    catalog: Catalog,
    keys: Option<BTreeSet<String>>,
}

impl Writer {
    pub(super) fn new(catalog: Catalog) -> Self {
        Self { catalog, keys: None }
    }

    /// Asks anew which keys there are, at the next call.
    pub fn forget(&mut self) {
        self.keys = None;
    }

    /// The hashes of documents that `state` names and the bucket does not have.
    pub async fn missing(&mut self, state: &CatalogState) -> Result<Vec<String>, CatalogError> {
        let store = self.catalog.store().await?;
        let stored = self.keys(&store).await?;
        let missing = state.hashes().into_iter().filter(|hash| !stored.contains(&document_key(hash)));
        Ok(missing.map(str::to_owned).collect())
    }

    /// Stores `documents` and pages, then the head, then deletes what it does not name. `documents` are at
    /// least those that are [`Writer::missing`].
    pub async fn write(
        &mut self,
        state: &CatalogState,
        documents: &[(String, Value)],
    ) -> Result<Written, CatalogError> {
        let written = self.try_write(state, documents).await;
        if written.is_err() {
            self.keys = None;
        }
        written
    }

    async fn try_write(
        &mut self,
        state: &CatalogState,
        documents: &[(String, Value)],
    ) -> Result<Written, CatalogError> {
        let store = self.catalog.store().await?;
        let present = read::head(&store).await?;
        let pages = state.pages();
        let head = CatalogHead { version: state.version, pages: pages.iter().map(|(hash, _)| hash.clone()).collect() };
        let named: BTreeSet<String> = state
            .hashes()
            .into_iter()
            .map(document_key)
            .chain(head.pages.iter().map(|hash| page_key(hash)))
            .chain([CATALOG_HEAD.to_owned()])
            .collect();
        let stored = self.keys(&store).await?;
        let new = new_values(stored, &pages, documents);
        put(&store, &new).await?;
        let changed = present.as_ref().is_none_or(|(known, _)| *known != head);
        if changed {
            replace(&store, &head, present.map_or(0, |(_, revision)| revision)).await?;
        }
        let unnamed: Vec<String> = stored.difference(&named).cloned().collect();
        erase(&store, &unnamed).await?;
        self.keys = Some(named);
        Ok(Written { changed, stored: new.len(), retired: unnamed.len() })
    }

    /// The keys that there are.
    async fn keys(&mut self, store: &Store) -> Result<&BTreeSet<String>, CatalogError> {
        let keys = match self.keys.take() {
            Some(keys) => keys,
            None => list(store).await?,
        };
        Ok(self.keys.insert(keys))
    }
}

/// What is not stored yet, with the key that it goes under.
fn new_values(
    stored: &BTreeSet<String>,
    pages: &[(String, CatalogPage)],
    documents: &[(String, Value)],
) -> Vec<(String, String)> {
    let pages = pages.iter().map(|(hash, page)| (page_key(hash), serde_json::json!(page).to_string()));
    let documents = documents.iter().map(|(hash, document)| (document_key(hash), document.to_string()));
    let mut new: Vec<(String, String)> = documents.chain(pages).filter(|(key, _)| !stored.contains(key)).collect();
    new.sort();
    new.dedup();
    new
}

async fn put(store: &Store, values: &[(String, String)]) -> Result<(), CatalogError> {
    let put = async |store: Store, key: String, value: String| {
        store.put(key.as_str(), value.into()).await.map(drop).map_err(|error| failed(format!("store {key}"), error))
    };
    let puts: Vec<_> = values.iter().map(|(key, value)| put(store.clone(), key.clone(), value.clone())).collect();
    all(puts).await
}

/// Deletes values without leaving a marker: a key that is a hash never comes back as something else.
async fn erase(store: &Store, keys: &[String]) -> Result<(), CatalogError> {
    let erase = async |store: Store, key: String| {
        let purge = store.stream.purge().filter(format!("{}{key}", store.prefix)).await;
        purge.map(drop).map_err(|error| failed(format!("delete {key}"), error))
    };
    let purges: Vec<_> = keys.iter().map(|key| erase(store.clone(), key.clone())).collect();
    all(purges).await
}

/// Awaits several at once, and fails with the first that does.
async fn all<F: Future<Output = Result<(), CatalogError>>>(futures: Vec<F>) -> Result<(), CatalogError> {
    futures::stream::iter(futures).buffer_unordered(AT_ONCE).try_collect().await
}

async fn replace(store: &Store, head: &CatalogHead, revision: u64) -> Result<(), CatalogError> {
    let bytes = serde_json::to_vec(head).map_err(|source| CatalogError::Decode { what: "the head".into(), source })?;
    match store.update(CATALOG_HEAD, bytes.into(), revision).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Err(CatalogError::Conflict),
        Err(error) => Err(failed("replace the head", error)),
    }
}

async fn list(store: &Store) -> Result<BTreeSet<String>, CatalogError> {
    let keys = store.keys().await.map_err(|error| failed("list the keys", error))?;
    keys.try_collect().await.map_err(|error| failed("list the keys", error))
}
