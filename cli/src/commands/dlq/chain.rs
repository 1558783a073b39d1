//! The runs that stand between a dead event and the outside world.

use serde::Serialize;
use spine_core::admission::MAX_HOPS;
use spine_core::event::Event;
use spine_core::names::RUN_EXTENSION;
use spine_runtime::config::Config;
use spine_store::{RunRow, Store};

use crate::connect;

/// The most links that are followed: whoever forges an extension may make a ring.
const MAX_LINKS: usize = 4 * MAX_HOPS as usize;

/// One run, and the event that started it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Link {
    pub(super) event_type: String,
    pub(super) event_id: String,
    pub(super) run: String,
    pub(super) activity: String,
    pub(super) revision: u32,
}

/// What is known of where an event comes from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Chain {
    /// The runs that led to it, the first first; empty for an event from outside.
    Links(Vec<Link>),
    /// Nothing, for this reason.
    NotLookedFor(String),
}

/// Walks back from the event to the run that emitted it, to the event that started that, and so on. The database is
/// asked only if a run emitted the event.
pub(super) async fn of(config: &Config, event: &Event) -> Chain {
    if emitter(event).is_none() {
        return Chain::Links(Vec::new());
    }
    match walk(config, event).await {
        Ok(links) => Chain::Links(links),
        Err(error) => Chain::NotLookedFor(format!("{error:#}")),
    }
}

async fn walk(config: &Config, event: &Event) -> anyhow::Result<Vec<Link>> {
    let store = connect::store(config).await?;
    let mut links = Vec::new();
    let mut next = emitter(event).map(str::to_owned);
    while let Some(id) = next
        && links.len() < MAX_LINKS
    {
        let Some(run) = load(&store, &id).await? else { break };
        next = emitter(&run.event).map(str::to_owned);
        links.push(Link {
            event_type: run.event.event_type,
            event_id: run.event.id,
            run: run.id,
            activity: run.activity,
            revision: run.revision,
        });
    }
    links.reverse();
    Ok(links)
}

async fn load(store: &Store, id: &str) -> anyhow::Result<Option<RunRow>> {
    // PostgreSQL's text has no NUL, and so has no run's id.
    if id.contains('\0') {
        return Ok(None);
    }
    Ok(store.load_run(id).await?)
}

/// The run that emitted an event.
fn emitter(event: &Event) -> Option<&str> {
    event.extensions.get(RUN_EXTENSION)?.as_str()
}
