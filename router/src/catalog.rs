//! Follows the catalog and swaps it whole.
//!
//! Invariant: a state that can't be loaded to its last document is not used; the router goes on with the
//! one it has and says so in its health.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_nats::jetstream;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::Value;
use spine_core::activity::{self, Activity, Document, Source};
use spine_core::admission::Sources;
use spine_core::catalog::CatalogState;
use spine_core::matching::{Entry, Index};
use spine_nats::catalog::Catalog;
use spine_runtime::health::Component;
use spine_runtime::metrics::{IntCounter, IntGauge};
use spine_runtime::shutdown::Shutdown;
use spine_schemas::{PayloadSchemas, Validator};

/// How often a router without any catalog looks whether it has one.
const FIRST_POLL: Duration = Duration::from_millis(20);

/// The fewest documents that are worth a thread of their own.
const MIN_SHARE: usize = 100;

/// When a state that could not be loaded is tried again, if no newer one has come.
const RETRY: Duration = Duration::from_secs(5);

/// One whole state of the catalog, ready to decide.
pub(crate) struct Snapshot {
    pub(crate) index: Index,
    pub(crate) sources: Sources,
    pub(crate) schemas: PayloadSchemas,
}

/// The state of the catalog that decides now.
pub(crate) struct Current {
    jetstream: jetstream::Context,
    snapshot: ArcSwapOption<Snapshot>,
    gauges: Gauges,
}

/// What is told of the catalog in metrics.
pub(crate) struct Gauges {
    pub(crate) version: IntGauge,
    pub(crate) activities: Option<IntGauge>,
    pub(crate) failures: IntCounter,
}

impl Current {
    /// None yet: somebody has to [`follow`] the catalog.
    pub(crate) fn new(jetstream: jetstream::Context, gauges: Gauges) -> Self {
        Self { jetstream, snapshot: ArcSwapOption::empty(), gauges }
    }

    pub(crate) fn current(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// Waits for the first catalog: without one, an event would be unmatched for no reason. False if `shutdown` is
    /// requested before.
    pub(crate) async fn first(&self, shutdown: &Shutdown) -> bool {
        while self.snapshot.load().is_none() {
            tokio::select! {
                () = tokio::time::sleep(FIRST_POLL) => {}
                () = shutdown.requested() => return false,
            }
        }
        true
    }
}

/// Loads every state of the catalog as it comes, until the task is ended.
pub(crate) async fn follow(current: Arc<Current>, component: Component) {
    let catalog = Catalog::new(current.jetstream.clone());
    let mut states = catalog.watch();
    let mut parsed = Parsed::default();
    component.down("the catalog is not loaded yet; is a relay running?");
    let mut failed = None;
    while let Some(state) = next(&mut states, failed.take()).await {
        let (version, activities) = (state.version, state.activities.len());
        let loaded = load(&catalog, &current, state.clone(), parsed).await;
        parsed = loaded.parsed;
        match loaded.result {
            Ok(snapshot) => {
                current.gauges.version.set(i64::try_from(version).unwrap_or(i64::MAX));
                if let Some(gauge) = &current.gauges.activities {
                    gauge.set(i64::try_from(activities).unwrap_or(i64::MAX));
                }
                retire(current.snapshot.swap(Some(Arc::new(snapshot))));
                component.up();
                tracing::info!(version, activities, "catalog loaded");
            }
            Err(reason) => {
                current.gauges.failures.inc();
                tracing::error!(version, reason, "the catalog can't be loaded; going on with the one before");
                component.down(format!("catalog version {version} can't be loaded: {reason}"));
                failed = Some(state);
            }
        }
    }
}

/// The next state, or the one that could not be loaded again after a while.
async fn next(states: &mut BoxStream<'static, CatalogState>, failed: Option<CatalogState>) -> Option<CatalogState> {
    let Some(failed) = failed else { return states.next().await };
    tokio::time::timeout(RETRY, states.next()).await.unwrap_or(Some(failed))
}

/// Drops what is no longer used where it holds nobody up: a large index takes milliseconds to take down. Whoever
/// still decides by it keeps it until then.
fn retire(old: Option<Arc<Snapshot>>) {
    drop(tokio::task::spawn_blocking(move || drop(old)));
}

/// Documents that are parsed, by their hash: most of them stay from one state to the next.
#[derive(Default)]
struct Parsed(BTreeMap<String, Definition>);

#[derive(Clone)]
enum Definition {
    Activity(Arc<Activity>),
    EventType(String, Arc<Validator>),
    Source(Arc<Source>),
}

/// What became of loading a state, and all that is parsed now.
struct Loaded {
    result: Result<Snapshot, String>,
    parsed: Parsed,
}

/// Loads what `state` names: gets and parses what is new, then builds the index. The work is done on a thread
/// where it may take its time.
async fn load(catalog: &Catalog, current: &Arc<Current>, state: CatalogState, parsed: Parsed) -> Loaded {
    let missing: Vec<String> =
        state.hashes().into_iter().filter(|hash| !parsed.0.contains_key(*hash)).map(str::to_owned).collect();
    let documents = match catalog.documents(missing).await {
        Ok(documents) => documents,
        Err(error) => return Loaded { result: Err(chain(&error)), parsed },
    };
    let current = current.clone();
    let built = tokio::task::spawn_blocking(move || {
        let before = current.current();
        build(&state, parsed, documents, before.as_deref())
    });
    built.await.unwrap_or_else(|error| Loaded { result: Err(error.to_string()), parsed: Parsed::default() })
}

fn build(
    state: &CatalogState,
    mut parsed: Parsed,
    documents: Vec<(String, Value)>,
    before: Option<&Snapshot>,
) -> Loaded {
    let mut refused = None;
    for (hash, definition) in parse_all(state, &documents) {
        match definition {
            Ok(definition) => drop(parsed.0.insert(hash, definition)),
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    if let Some(reason) = refused {
        return Loaded { result: Err(reason), parsed };
    }
    let result = assemble(state, &parsed, before);
    if result.is_ok() {
        let hashes = state.hashes();
        parsed.0.retain(|hash, _| hashes.binary_search(&hash.as_str()).is_ok());
    }
    Loaded { result, parsed }
}

/// The index shares with the one before what did not change.
fn assemble(state: &CatalogState, parsed: &Parsed, before: Option<&Snapshot>) -> Result<Snapshot, String> {
    let entry = |entry: &spine_core::catalog::ActivityEntry| match parsed.0.get(&entry.hash) {
        Some(Definition::Activity(definition)) => {
            Ok(Entry { revision: entry.revision, enabled: entry.enabled, definition: definition.clone() })
        }
        _ => Err(format!("{} is no activity", entry.name)),
    };
    let entries = state.activities.iter().map(entry).collect::<Result<Vec<_>, String>>()?;
    let schema = |entry: &spine_core::catalog::EventTypeEntry| match parsed.0.get(&entry.hash) {
        Some(Definition::EventType(name, validator)) => Ok((name.clone(), validator.clone())),
        _ => Err(format!("{} is no event type", entry.name)),
    };
    let schemas = state.event_types.iter().map(schema).collect::<Result<PayloadSchemas, String>>()?;
    let source = |entry: &spine_core::catalog::SourceEntry| match parsed.0.get(&entry.hash) {
        Some(Definition::Source(source)) => Ok(source.clone()),
        _ => Err(format!("{} is no source", entry.name)),
    };
    let sources = state.sources.iter().map(source).collect::<Result<Sources, String>>()?;
    let index = match before {
        Some(before) => before.index.next(state.version, entries),
        None => Index::build(state.version, entries),
    };
    Ok(Snapshot { index, sources, schemas })
}

/// Parses documents on all cores: a change of thousands is to be seen within a second, and one takes about a tenth
/// of a millisecond.
fn parse_all(state: &CatalogState, documents: &[(String, Value)]) -> Vec<(String, Result<Definition, String>)> {
    let names = if documents.is_empty() { BTreeMap::new() } else { names(state) };
    let one = |(hash, document): &(String, Value)| {
        let name = names.get(hash.as_str()).copied().unwrap_or_default();
        (hash.clone(), parse(name, document))
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = documents.len().div_ceil(cores).max(MIN_SHARE);
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            documents.chunks(share).map(|part| scope.spawn(|| part.iter().map(one).collect::<Vec<_>>())).collect();
        // A parser that panics is a defect: it goes on up, as it would without threads.
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// The name under which a state holds each document, by its hash.
fn names(state: &CatalogState) -> BTreeMap<&str, &str> {
    let event_types = state.event_types.iter().map(|entry| (entry.hash.as_str(), entry.name.as_str()));
    let sources = state.sources.iter().map(|entry| (entry.hash.as_str(), entry.name.as_str()));
    event_types
        .chain(sources)
        .chain(state.activities.iter().map(|entry| (entry.hash.as_str(), entry.name.as_str())))
        .collect()
}

fn parse(name: &str, document: &Value) -> Result<Definition, String> {
    let documents = activity::parse(name, &document.to_string()).map_err(|problems| problems.to_string())?;
    match documents.into_iter().next() {
        Some(Document::Activity(definition)) => Ok(Definition::Activity(Arc::new(definition.value))),
        Some(Document::EventType(definition)) => {
            let validator = spine_schemas::compile(&definition.value.schema);
            let validator = validator.map_err(|error| format!("the schema of {}: {error}", definition.value.name))?;
            Ok(Definition::EventType(definition.value.name, Arc::new(validator)))
        }
        Some(Document::Source(definition)) => Ok(Definition::Source(Arc::new(definition.value))),
        _ => Err(format!("{name} is neither activity nor event type nor source")),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}
