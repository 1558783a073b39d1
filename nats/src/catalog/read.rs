//! Reading what a head stands for.

use std::collections::BTreeMap;

use async_nats::jetstream::kv::Store;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;
use spine_core::catalog::{CatalogHead, CatalogPage, CatalogState, document_key, page_key};
use spine_core::names::CATALOG_HEAD;

use super::{AT_ONCE, Catalog, CatalogError, decode, failed};

/// How often the head is read again because a page that it named was gone. Each time a writer was faster.
const OVERTAKEN: usize = 10;

/// Reads states, and keeps the pages of the last one: most of them stay from one to the next.
pub(super) struct Reader {
    catalog: Catalog,
    pages: BTreeMap<String, CatalogPage>,
}

impl Reader {
    pub(super) fn new(catalog: Catalog) -> Self {
        Self { catalog, pages: BTreeMap::new() }
    }

    /// The present state, or `None` before the first.
    pub(super) async fn state(&mut self) -> Result<Option<CatalogState>, CatalogError> {
        let store = self.catalog.store().await?;
        let mut overtaken = 0;
        loop {
            let Some((head, _)) = head(&store).await? else { return Ok(None) };
            match self.load(&store, &head).await {
                Ok(()) => {
                    let pages = head.pages.iter().filter_map(|hash| self.pages.get(hash));
                    return Ok(Some(CatalogState::of_pages(head.version, pages)));
                }
                Err(CatalogError::Missing(_)) if overtaken < OVERTAKEN => overtaken += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Gets the pages that are not there yet, and forgets those that the head does not name.
    async fn load(&mut self, store: &Store, head: &CatalogHead) -> Result<(), CatalogError> {
        let missing: Vec<String> = head.pages.iter().filter(|hash| !self.pages.contains_key(*hash)).cloned().collect();
        let keys = missing.into_iter().map(|hash| (page_key(&hash), hash));
        let loaded: Vec<(String, CatalogPage)> = values(store, keys).await?;
        self.pages.extend(loaded);
        self.pages.retain(|hash, _| head.pages.contains(hash));
        Ok(())
    }
}

/// The head and its revision in the bucket.
pub(super) async fn head(store: &Store) -> Result<Option<(CatalogHead, u64)>, CatalogError> {
    let entry = store.entry(CATALOG_HEAD).await.map_err(|error| failed("read the head", error))?;
    match entry {
        Some(entry) if !entry.value.is_empty() => Ok(Some((decode("the head", &entry.value)?, entry.revision))),
        _ => Ok(None),
    }
}

/// The documents with these hashes.
pub(super) async fn documents(store: &Store, hashes: &[String]) -> Result<Vec<(String, Value)>, CatalogError> {
    values(store, hashes.iter().map(|hash| (document_key(hash), hash.clone()))).await
}

/// The values under these keys, several at once, each with the name given for it.
async fn values<T: DeserializeOwned>(
    store: &Store,
    keys: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, T)>, CatalogError> {
    let reads: Vec<_> = keys.map(|(key, name)| value(store.clone(), key, name)).collect();
    futures::stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await
}

async fn value<T: DeserializeOwned>(store: Store, key: String, name: String) -> Result<(String, T), CatalogError> {
    match store.get(key.as_str()).await.map_err(|error| failed(format!("read {key}"), error))? {
        Some(bytes) => Ok((name, decode(&key, &bytes)?)),
        None => Err(CatalogError::Missing(key)),
    }
}
