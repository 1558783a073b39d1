//! A whole set of definitions: from files, or from the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value;
use spine_core::activity::{self, Activity, Document, Source};
use spine_core::admission::Sources;
use spine_core::decision::Verdict;
use spine_core::matching::{Entry, Index};
use spine_schemas::PayloadSchemas;
use spine_store::Store;

use super::near::{self, NearType};

/// Everything that decides about an event.
pub(crate) struct Definitions {
    pub(crate) index: Index,
    pub(crate) sources: Sources,
    pub(crate) schemas: PayloadSchemas,
    activities: BTreeMap<String, Arc<Activity>>,
    types: BTreeSet<String>,
}

impl Definitions {
    /// Those of files: every activity is enabled, and is revision 1. Tests among them are left out.
    pub(crate) fn of(documents: Vec<Document>) -> anyhow::Result<Self> {
        let (mut entries, mut sources, mut schemas) = (Vec::new(), Vec::new(), Vec::new());
        for document in documents {
            match document {
                Document::Activity(definition) => {
                    entries.push(Entry { revision: 1, enabled: true, definition: Arc::new(definition.value) });
                }
                Document::EventType(definition) => schemas.push((definition.value.name, definition.value.schema)),
                Document::Source(definition) => sources.push(definition.value),
                Document::ActivityTest(_) => {}
            }
        }
        Self::new(0, entries, sources, schemas)
    }

    /// Those of the registry, as of one moment.
    pub(crate) async fn of_registry(store: &Store) -> anyhow::Result<Self> {
        let head = store.catalog_state().await.context("read the registry")?;
        let hashes: Vec<String> = head.hashes().into_iter().map(str::to_owned).collect();
        let documents: BTreeMap<String, Value> = store.documents(&hashes).await?.into_iter().collect();
        let parse = |name: &str, hash: &str| -> anyhow::Result<Document> {
            let text = documents.get(hash).with_context(|| format!("{name} changed meanwhile; try again"))?.to_string();
            activity::parse(name, &text)?.pop().with_context(|| format!("{name} is empty"))
        };
        let (mut entries, mut sources, mut schemas) = (Vec::new(), Vec::new(), Vec::new());
        for entry in &head.activities {
            if let Document::Activity(definition) = parse(&entry.name, &entry.hash)? {
                let definition = Arc::new(definition.value);
                entries.push(Entry { revision: entry.revision, enabled: entry.enabled, definition });
            }
        }
        for entry in &head.event_types {
            if let Document::EventType(definition) = parse(&entry.name, &entry.hash)? {
                schemas.push((definition.value.name, definition.value.schema));
            }
        }
        for entry in &head.sources {
            if let Document::Source(definition) = parse(&entry.name, &entry.hash)? {
                sources.push(definition.value);
            }
        }
        Self::new(head.version, entries, sources, schemas)
    }

    fn new(
        version: u64,
        entries: Vec<Entry>,
        sources: Vec<Source>,
        schemas: Vec<(String, Value)>,
    ) -> anyhow::Result<Self> {
        let activities =
            entries.iter().map(|entry| (entry.definition.name.clone(), entry.definition.clone())).collect();
        let types = schemas.iter().map(|(name, _)| name.clone()).collect();
        let schemas = PayloadSchemas::compile(schemas)?;
        let sources = sources.into_iter().map(Arc::new).collect();
        Ok(Self { index: Index::build(version, entries), sources, schemas, activities, types })
    }

    /// The activity with this name.
    pub(crate) fn activity(&self, name: &str) -> Option<&Activity> {
        self.activities.get(name).map(Arc::as_ref)
    }

    /// The names of all activities.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.activities.keys().map(String::as_str).collect()
    }

    /// Whether the payload of this type is checked.
    pub(crate) fn has_schema(&self, event_type: &str) -> bool {
        self.types.contains(event_type)
    }

    /// Types that were probably meant by that of an event with these verdicts.
    pub(crate) fn near(&self, event_type: &str, verdicts: &[Verdict]) -> Vec<NearType> {
        near::types(self.activities.values().map(Arc::as_ref), event_type, verdicts)
    }
}
