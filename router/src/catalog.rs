//! Follows the catalog and swaps it whole.
//!
//! Invariant: a state that can't be loaded to its last document is not used; the router goes on with the
//! one it has and says so in its health.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use spine_core::activity::{self, Document};
use spine_core::catalog::CatalogHead;
use spine_core::matching::{Entry, Index};
use spine_nats::catalog::Catalog;
use spine_runtime::health::Component;
use spine_schemas::PayloadSchemas;

use crate::Shared;

/// How often a router without any catalog looks whether it has one.
const FIRST_POLL: Duration = Duration::from_millis(20);

/// One whole state of the catalog, ready to decide.
pub(crate) struct Snapshot {
    pub(crate) index: Index,
    pub(crate) schemas: PayloadSchemas,
}

/// Waits for the first catalog: without one, an event would be unmatched for no reason. False if the
/// router is told to stop before.
pub(crate) async fn first(shared: &Shared) -> bool {
    while shared.catalog.load().is_none() {
        tokio::select! {
            () = tokio::time::sleep(FIRST_POLL) => {}
            () = shared.shutdown.requested() => return false,
        }
    }
    true
}

/// Loads every state of the catalog as it comes, until the task is ended.
pub(crate) async fn follow(shared: Arc<Shared>, component: Component) {
    let catalog = Catalog::new(shared.jetstream.clone());
    let mut heads = catalog.watch();
    let mut documents = BTreeMap::new();
    component.down("the catalog is not loaded yet; is a relay running?");
    while let Some(head) = heads.next().await {
        match load(&catalog, &head, &mut documents).await {
            Ok(snapshot) => {
                shared.metrics.router.catalog_version.set(i64::try_from(head.version).unwrap_or(i64::MAX));
                shared.metrics.router.catalog_activities.set(i64::try_from(snapshot.index.len()).unwrap_or(i64::MAX));
                shared.catalog.store(Some(Arc::new(snapshot)));
                component.up();
                tracing::info!(version = head.version, activities = head.activities.len(), "catalog loaded");
            }
            Err(reason) => {
                tracing::error!(
                    version = head.version,
                    reason,
                    "the catalog can't be loaded; going on with the one before"
                );
                component.down(format!("catalog version {} can't be loaded: {reason}", head.version));
            }
        }
    }
}

/// Loads what `head` names. `documents` keeps what is loaded: most of it stays from one state to the next.
async fn load(
    catalog: &Catalog,
    head: &CatalogHead,
    documents: &mut BTreeMap<String, Value>,
) -> Result<Snapshot, String> {
    let hashes =
        head.activities.iter().map(|entry| &entry.hash).chain(head.event_types.iter().map(|entry| &entry.hash));
    let mut current = BTreeMap::new();
    for hash in hashes {
        let document = match documents.remove(hash) {
            Some(document) => document,
            None => catalog.document(hash).await.map_err(|error| format!("document {hash}: {error}"))?,
        };
        current.insert(hash.clone(), document);
    }
    let snapshot = build(head, &current);
    *documents = current;
    snapshot
}

fn build(head: &CatalogHead, documents: &BTreeMap<String, Value>) -> Result<Snapshot, String> {
    let mut entries = Vec::with_capacity(head.activities.len());
    for entry in &head.activities {
        match parse(&entry.name, documents.get(&entry.hash))? {
            Document::Activity(definition) => {
                entries.push(Entry {
                    revision: entry.revision,
                    enabled: entry.enabled,
                    definition: Arc::new(definition.value),
                });
            }
            _ => return Err(format!("{} is no activity", entry.name)),
        }
    }
    let mut schemas = Vec::with_capacity(head.event_types.len());
    for entry in &head.event_types {
        match parse(&entry.name, documents.get(&entry.hash))? {
            Document::EventType(definition) => schemas.push((definition.value.name, definition.value.schema)),
            _ => return Err(format!("{} is no event type", entry.name)),
        }
    }
    let schemas = PayloadSchemas::compile(schemas).map_err(|error| error.to_string())?;
    Ok(Snapshot { index: Index::build(head.version, entries), schemas })
}

fn parse(name: &str, document: Option<&Value>) -> Result<Document, String> {
    let text = document.ok_or_else(|| format!("{name} is missing"))?.to_string();
    let documents = activity::parse(name, &text).map_err(|problems| problems.to_string())?;
    documents.into_iter().next().ok_or_else(|| format!("{name} is empty"))
}
