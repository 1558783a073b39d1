//! What a router checks events by, who may send what and the payload schemas, so that the sender is told at once.
//!
//! Without a catalog every event passes: it is the router that decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_nats::jetstream;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use spine_core::activity::{self, Document, Source};
use spine_core::admission::{Rejection, Sources};
use spine_core::catalog::CatalogState;
use spine_core::decision::DeadReason;
use spine_core::event::Event;
use spine_nats::catalog::Catalog;
use spine_runtime::shutdown::Shutdown;
use spine_schemas::{PayloadSchemas, Validator};
use time::OffsetDateTime;

/// When a state that could not be loaded is tried again, if no newer one has come.
const RETRY: Duration = Duration::from_secs(5);

/// The rules of one state of the catalog, swapped whole.
#[derive(Default)]
pub(crate) struct Rules(ArcSwap<State>);

#[derive(Default)]
struct State {
    sources: Sources,
    schemas: PayloadSchemas,
}

/// Rules by the hash of their document: most stay from one state to the next.
type Compiled = BTreeMap<String, Rule>;

#[derive(Clone)]
enum Rule {
    EventType(String, Arc<Validator>),
    Source(Arc<Source>),
}

impl Rules {
    /// Whether the event's source may send it, and its data meets the schema of its type, in the router's words.
    pub(crate) fn check(&self, event: &Event) -> Result<(), Rejection> {
        let state = self.0.load();
        state.sources.check(event, OffsetDateTime::now_utc())?;
        let checked = state.schemas.validate(&event.event_type, &event.data);
        checked.map_err(|detail| Rejection::new(DeadReason::SchemaViolation, detail))
    }

    /// Loads every state of the catalog as it comes, until `shutdown` is requested.
    pub(crate) async fn follow(&self, jetstream: &jetstream::Context, shutdown: &Shutdown) {
        let catalog = Catalog::new(jetstream.clone());
        let mut states = catalog.watch();
        let (mut compiled, mut failed) = (Compiled::new(), None);
        loop {
            let state = tokio::select! {
                () = shutdown.requested() => return,
                state = next(&mut states, failed.take()) => state,
            };
            let Some(state) = state else { return shutdown.requested().await };
            match load(&catalog, &state, &compiled).await {
                Ok(next) => {
                    self.0.store(Arc::new(State::of(&next)));
                    compiled = next;
                }
                Err(reason) => {
                    let version = state.version;
                    tracing::error!(version, reason, "the catalog's rules can't be loaded; going on with those before");
                    failed = Some(state);
                }
            }
        }
    }
}

impl State {
    fn of(rules: &Compiled) -> Self {
        let schemas = rules.values().filter_map(|rule| match rule {
            Rule::EventType(name, validator) => Some((name.clone(), validator.clone())),
            Rule::Source(_) => None,
        });
        let sources = rules.values().filter_map(|rule| match rule {
            Rule::Source(source) => Some(source.clone()),
            Rule::EventType(..) => None,
        });
        Self { schemas: schemas.collect(), sources: sources.collect() }
    }
}

/// The next state, or the one that could not be loaded again after a while.
async fn next(states: &mut BoxStream<'static, CatalogState>, failed: Option<CatalogState>) -> Option<CatalogState> {
    let Some(failed) = failed else { return states.next().await };
    tokio::time::timeout(RETRY, states.next()).await.unwrap_or(Some(failed))
}

async fn load(catalog: &Catalog, state: &CatalogState, before: &Compiled) -> Result<Compiled, String> {
    let event_types = state.event_types.iter().map(|entry| &entry.hash);
    let hashes: Vec<&String> = event_types.chain(state.sources.iter().map(|entry| &entry.hash)).collect();
    let missing = hashes.iter().filter(|hash| !before.contains_key(**hash)).map(|hash| (*hash).clone()).collect();
    let mut next: Compiled =
        before.iter().filter(|(hash, _)| hashes.contains(hash)).map(|(hash, v)| (hash.clone(), v.clone())).collect();
    for (hash, document) in catalog.documents(missing).await.map_err(|error| error.to_string())? {
        next.insert(hash, compile(&document.to_string())?);
    }
    Ok(next)
}

fn compile(document: &str) -> Result<Rule, String> {
    let documents = activity::parse("rule", document).map_err(|problems| problems.to_string())?;
    match documents.into_iter().next() {
        Some(Document::EventType(definition)) => {
            let validator = spine_schemas::compile(&definition.value.schema).map_err(|error| error.to_string())?;
            Ok(Rule::EventType(definition.value.name, Arc::new(validator)))
        }
        Some(Document::Source(definition)) => Ok(Rule::Source(Arc::new(definition.value))),
        _ => Err("a document is neither event type nor source".to_owned()),
    }
}
