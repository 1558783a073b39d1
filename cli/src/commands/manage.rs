//! `spine enable`, `disable`, `rollback`, `delete`: changes of what the registry holds.

use std::io::{IsTerminal as _, Write as _};

use anyhow::anyhow;
use spine_core::words;
use spine_store::{Applied, Kind, Store, StoreError};

use crate::args::{Delete, Global, Rollback, Toggle};
use crate::commands::apply::{author, people, scheduled};
use crate::commands::kind;
use crate::failure::invalid;
use crate::{connect, output};

/// Lets activities start runs, or stops them.
pub(crate) async fn toggle(global: &Global, options: &Toggle, enabled: bool) -> anyhow::Result<()> {
    let (config, store) = open(global).await?;
    let changed = store.set_enabled(&options.names, enabled, &author(), options.reason.as_deref()).await;
    finish(global, &config, &store, changed).await
}

/// Makes an older revision current again.
pub(crate) async fn rollback(global: &Global, options: &Rollback) -> anyhow::Result<()> {
    let (config, store) = open(global).await?;
    let changed = store.rollback(&options.name, options.to, &author(), options.reason.as_deref()).await;
    finish(global, &config, &store, changed.map(|one| vec![one])).await
}

/// Deletes activities or event types.
pub(crate) async fn delete(global: &Global, options: &Delete) -> anyhow::Result<()> {
    let kind = kind::named(&options.kind)?;
    if !options.yes {
        confirm(&format!("{} {}", kind.as_str(), options.names.join(", ")))?;
    }
    let (config, store) = open(global).await?;
    let changed = store.delete(kind, &options.names, &author(), options.reason.as_deref()).await;
    finish(global, &config, &store, changed).await
}

async fn open(global: &Global) -> anyhow::Result<(spine_runtime::config::Config, Store)> {
    let config = connect::config(global)?;
    let store = connect::store(&config).await?;
    Ok((config, store))
}

/// Makes the schedules equal to the registry, and prints what was done.
async fn finish(
    global: &Global,
    config: &spine_runtime::config::Config,
    store: &Store,
    changed: Result<Vec<Applied>, StoreError>,
) -> anyhow::Result<()> {
    let applied = match changed {
        Ok(applied) => applied,
        Err(error) => return Err(explained(store, error).await),
    };
    let outcome = scheduled(config, store, applied, false).await?;
    output::print(global.output, &outcome, people)
}

/// Asks whether this may be deleted. Where nobody can be asked, that is an error.
pub(crate) fn confirm(what: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(invalid(format!("nobody is there to confirm that {what} is deleted; pass --yes")));
    }
    eprint!("delete {what}? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(anyhow!("nothing was deleted")),
    }
}

/// An error about a name, with the one that was probably meant.
pub(crate) async fn explained(store: &Store, error: StoreError) -> anyhow::Error {
    match &error {
        StoreError::Unknown { kind, name } => match names(store, *kind).await {
            Ok(known) => unknown(*kind, name, &known),
            Err(error) => error.into(),
        },
        StoreError::NoRevision { name, revision: None } => {
            anyhow!("no revision of {name:?} was current before the present one; `spine history {name}` lists them")
        }
        StoreError::NoRevision { name, revision: Some(revision) } => {
            anyhow!("{name:?} has no revision {revision}; `spine history {name}` lists them")
        }
        _ => error.into(),
    }
}

/// That there is no such thing, and what was probably meant.
pub(crate) fn unknown(kind: Kind, name: &str, known: &[String]) -> anyhow::Error {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let (what, list) = match kind {
        Kind::Activity => ("activity", "spine get"),
        Kind::EventType => ("event type", "spine get event-types"),
        Kind::Source => ("source", "spine get sources"),
    };
    match words::nearest(name, &known) {
        Some(near) => anyhow!("there is no {what} {name:?}; did you mean {near:?}?"),
        None => anyhow!("there is no {what} {name:?}; `{list}` lists them"),
    }
}

pub(crate) async fn names(store: &Store, kind: Kind) -> Result<Vec<String>, StoreError> {
    Ok(match kind {
        Kind::Activity => store.list_activities().await?.into_iter().map(|row| row.name).collect(),
        Kind::EventType => store.list_event_types().await?.into_iter().map(|row| row.name).collect(),
        Kind::Source => store.list_sources().await?.into_iter().map(|row| row.name).collect(),
    })
}
