//! What changed from one state of the catalog to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Entry, event_triggers};
use crate::activity::TypePattern;

pub(super) struct Change {
    /// The new entries; those that did not change are the old ones.
    pub(super) entries: Vec<Arc<Entry>>,
    /// The types that a changed, new or missing entry listens to.
    pub(super) types: BTreeSet<TypePattern>,
}

pub(super) fn between(old: &[Arc<Entry>], new: Vec<Entry>) -> Change {
    let mut types = BTreeSet::new();
    let mut known: BTreeMap<&str, &Arc<Entry>> = BTreeMap::new();
    for entry in old {
        if let Some(other) = known.insert(&entry.definition.name, entry) {
            add_types(other, &mut types);
        }
    }
    let mut entries = Vec::with_capacity(new.len());
    for entry in new {
        match known.remove(entry.definition.name.as_str()) {
            Some(before) if is_same(before, &entry) => entries.push(before.clone()),
            before => {
                before.into_iter().for_each(|before| add_types(before, &mut types));
                add_types(&entry, &mut types);
                entries.push(Arc::new(entry));
            }
        }
    }
    known.values().for_each(|entry| add_types(entry, &mut types));
    Change { entries, types }
}

fn is_same(a: &Entry, b: &Entry) -> bool {
    Arc::ptr_eq(&a.definition, &b.definition) && a.revision == b.revision && a.enabled == b.enabled
}

fn add_types(entry: &Entry, types: &mut BTreeSet<TypePattern>) {
    for (_, trigger) in event_triggers(&entry.definition) {
        if !types.contains(&trigger.event_type) {
            types.insert(trigger.event_type.clone());
        }
    }
}
