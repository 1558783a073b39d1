//! What routers need to decide, as it is projected into the KV bucket.
//!
//! Documents are stored under their content hash and never change; the head names those that count.
//! A reader that sees a head can load exactly the catalog it stands for, so it is swapped whole.

use serde::{Deserialize, Serialize};

/// The value under [`crate::names::CATALOG_HEAD`]: a whole state of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogHead {
    /// Grows with every change of the registry.
    pub version: u64,
    /// The current revision of each activity, by name.
    pub activities: Vec<ActivityEntry>,
    /// Each known event type, by name.
    pub event_types: Vec<EventTypeEntry>,
}

/// The current revision of one activity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityEntry {
    /// The activity.
    pub name: String,
    /// The revision that new runs get.
    pub revision: u32,
    /// The hash of its document.
    pub hash: String,
    /// False: it starts nothing.
    pub enabled: bool,
}

/// One event type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventTypeEntry {
    /// The type.
    pub name: String,
    /// The hash of its document.
    pub hash: String,
}

/// The key in the KV bucket that a document with this hash stands under.
pub fn document_key(hash: &str) -> String {
    format!("document.{}", hash.strip_prefix("sha256:").unwrap_or(hash))
}
