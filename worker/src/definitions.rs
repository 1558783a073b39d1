//! Parsed revisions. A revision never changes, so what was parsed once stays right.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use spine_core::activity::{self, Activity, Document};
use spine_core::run::Failure;
use spine_store::{CurrentRevision, Store, StoreError};

/// How many revisions are kept parsed; a definition of the largest size takes about a megabyte.
const CAPACITY: usize = 256;

type Key = (String, u32);

/// Why an activity can't begin a run now.
pub(crate) enum NotCurrent {
    /// There is none of that name, or none any more.
    Unknown,
    /// It is disabled.
    Disabled,
    /// Its revision can't be read.
    Unusable(Failure),
}

/// A bounded cache of parsed revisions.
#[derive(Default)]
pub(crate) struct Definitions(Mutex<BTreeMap<Key, Arc<Activity>>>);

impl Definitions {
    /// The revision's definition; the inner error says that there is none that can be run.
    pub(crate) async fn get(
        &self,
        store: &Store,
        activity: &str,
        revision: u32,
    ) -> Result<Result<Arc<Activity>, Failure>, StoreError> {
        let key = (activity.to_owned(), revision);
        if let Some(known) = self.lock().get(&key) {
            return Ok(Ok(known.clone()));
        }
        let Some(row) = store.revision(activity, revision).await? else {
            let message = format!("activity {activity} has no revision {revision}");
            return Ok(Err(Failure::new("UnknownRevision", message)));
        };
        Ok(parse(activity, revision, &row.document.to_string()).map(|definition| self.keep(key, definition)))
    }

    /// The revision that a run of this activity that begins now keeps, with its definition.
    pub(crate) async fn current(
        &self,
        store: &Store,
        activity: &str,
    ) -> Result<Result<(u32, Arc<Activity>), NotCurrent>, StoreError> {
        let Some(CurrentRevision { revision, enabled, .. }) = store.current_revision(activity).await? else {
            return Ok(Err(NotCurrent::Unknown));
        };
        if !enabled {
            return Ok(Err(NotCurrent::Disabled));
        }
        let definition = self.get(store, activity, revision).await?;
        Ok(definition.map(|definition| (revision, definition)).map_err(NotCurrent::Unusable))
    }

    fn keep(&self, key: Key, definition: Activity) -> Arc<Activity> {
        let definition = Arc::new(definition);
        let mut known = self.lock();
        if known.len() >= CAPACITY {
            known.pop_first();
        }
        known.insert(key, definition.clone());
        definition
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Arc<Activity>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(activity: &str, revision: u32, document: &str) -> Result<Activity, Failure> {
    let name = format!("{activity} revision {revision}");
    let unusable = |message: String| Failure::new("InvalidDefinition", message);
    let documents = activity::parse(&name, document).map_err(|problems| unusable(problems.to_string()))?;
    match documents.into_iter().next() {
        Some(Document::Activity(definition)) => Ok(definition.value),
        _ => Err(unusable(format!("{name} is no activity"))),
    }
}
