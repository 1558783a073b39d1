//! What routers need to decide, as it is projected into the KV bucket.
//!
//! A state is cut into pages. Pages and documents are stored under their content hash and never change; the
//! head names the pages that count, and they the documents. A reader that sees a head can load exactly the
//! state it stands for, so it is swapped whole; and a change of one activity rewrites one page, however many
//! there are.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::canonical;

/// About how many entries stand on a page: some 50 KB.
const ENTRIES_PER_PAGE: usize = 500;

/// A whole state of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogState {
    /// Grows with every change of the registry.
    pub version: u64,
    /// The current revision of each activity, by name.
    pub activities: Vec<ActivityEntry>,
    /// Each known event type, by name.
    pub event_types: Vec<EventTypeEntry>,
    /// Who may send what, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceEntry>,
}

/// The value under [`crate::names::CATALOG_HEAD`]: which pages are the current state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogHead {
    /// The state's version.
    pub version: u64,
    /// The hashes of its pages.
    pub pages: Vec<String>,
}

/// A part of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogPage {
    /// Some of its activities, by name.
    pub activities: Vec<ActivityEntry>,
    /// Some of its event types, by name.
    pub event_types: Vec<EventTypeEntry>,
    /// Some of its sources, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceEntry>,
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

/// One document of who may send what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceEntry {
    /// Its name.
    pub name: String,
    /// The hash of its document.
    pub hash: String,
}

impl CatalogState {
    /// The state cut into pages, each with its hash. Where an entry stands depends on its name alone, as long
    /// as the number of pages, a power of two, stays the same.
    pub fn pages(&self) -> Vec<(String, CatalogPage)> {
        let entries = self.activities.len() + self.event_types.len() + self.sources.len();
        let mut pages = vec![CatalogPage::default(); entries.div_ceil(ENTRIES_PER_PAGE).next_power_of_two()];
        let count = pages.len();
        for entry in &self.activities {
            pages[page_of(&entry.name, count)].activities.push(entry.clone());
        }
        for entry in &self.event_types {
            pages[page_of(&entry.name, count)].event_types.push(entry.clone());
        }
        for entry in &self.sources {
            pages[page_of(&entry.name, count)].sources.push(entry.clone());
        }
        pages.into_iter().map(|page| (canonical::hash(&serde_json::json!(page)), page)).collect()
    }

    /// The state that these pages are.
    pub fn of_pages<'a>(version: u64, pages: impl IntoIterator<Item = &'a CatalogPage>) -> Self {
        let mut state = Self { version, ..Self::default() };
        for page in pages {
            state.activities.extend(page.activities.iter().cloned());
            state.event_types.extend(page.event_types.iter().cloned());
            state.sources.extend(page.sources.iter().cloned());
        }
        state.activities.sort_by(|a, b| a.name.cmp(&b.name));
        state.event_types.sort_by(|a, b| a.name.cmp(&b.name));
        state.sources.sort_by(|a, b| a.name.cmp(&b.name));
        state
    }

    /// The hashes of all its documents, each once, sorted.
    pub fn hashes(&self) -> Vec<&str> {
        let activities = self.activities.iter().map(|entry| entry.hash.as_str());
        let event_types = self.event_types.iter().map(|entry| entry.hash.as_str());
        let sources = self.sources.iter().map(|entry| entry.hash.as_str());
        let mut hashes: Vec<&str> = activities.chain(event_types).chain(sources).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }
}

/// Which of `count` pages, a power of two, an entry stands on.
fn page_of(name: &str, count: usize) -> usize {
    let digest = Sha256::digest(name);
    usize::from(u16::from_be_bytes([digest[0], digest[1]])) & (count - 1)
}

/// The key in the KV bucket that a document with this hash stands under.
pub fn document_key(hash: &str) -> String {
    format!("document.{}", hash.strip_prefix("sha256:").unwrap_or(hash))
}

/// The key in the KV bucket that a page with this hash stands under.
pub fn page_key(hash: &str) -> String {
    format!("page.{}", hash.strip_prefix("sha256:").unwrap_or(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(count: u32) -> CatalogState {
        let entry = |n: u32| ActivityEntry {
            name: format!("a-{n:06}"),
            revision: 1,
            hash: format!("sha256:{n}"),
            enabled: true,
        };
        let event_types = vec![EventTypeEntry { name: "com.shop.x".into(), hash: "sha256:x".into() }];
        let sources = vec![SourceEntry { name: "shop".into(), hash: "sha256:s".into() }];
        CatalogState { version: 7, activities: (0..count).map(entry).collect(), event_types, sources }
    }

    #[test]
    fn pages_make_the_same_state_again() {
        for count in [0, 1, 499, 500, 20_000] {
            let state = state(count);
            let pages = state.pages();
            assert!(pages.len().is_power_of_two() && pages.iter().all(|(_, page)| page.activities.len() < 1000));
            assert_eq!(CatalogState::of_pages(7, pages.iter().map(|(_, page)| page)), state);
        }
    }

    #[test]
    fn a_change_of_one_activity_changes_one_page() {
        let before = state(20_000);
        let mut after = before.clone();
        after.activities[77].enabled = false;
        let differ = before.pages().iter().zip(after.pages()).filter(|((a, _), (b, _))| a != b).count();
        assert_eq!(differ, 1);
    }
}
