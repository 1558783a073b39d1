//! `spine apply`: makes activities and event types current, all or nothing.

use anyhow::Context as _;
use serde::Serialize;
use spine_core::activity::{Document, Trigger};
use spine_runtime::config::Config;
use spine_store::{Applied, Change, NewEventType, NewRevision};

use crate::args::{Apply, Global};
use crate::commands::files;
use crate::schedules::{self, ScheduleChange};
use crate::{connect, output};

/// What was applied, and which schedules changed with it.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) applied: Vec<Applied>,
    pub(crate) schedules: Vec<ScheduleChange>,
}

pub(crate) async fn run(global: &Global, options: &Apply) -> anyhow::Result<()> {
    let documents = files::to_apply(&options.files)?;
    let config = connect::config(global)?;
    let outcome = apply(&config, &documents, options.dry_run).await?;
    if options.dry_run {
        eprintln!("dry run: nothing was changed");
    }
    output::print(global.output, &outcome, people)
}

/// Writes the documents to the registry, then makes the schedules equal to it.
pub(crate) async fn apply(config: &Config, documents: &[Document], dry_run: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(config).await?;
    let (mut activities, mut event_types) = (Vec::new(), Vec::new());
    for document in documents {
        match document {
            Document::Activity(definition) => activities.push(NewRevision {
                name: definition.value.name.clone(),
                hash: definition.hash.clone(),
                document: definition.content.clone(),
            }),
            Document::EventType(definition) => event_types.push(NewEventType {
                name: definition.value.name.clone(),
                hash: definition.hash.clone(),
                document: definition.content.clone(),
            }),
            Document::ActivityTest(_) => {}
        }
    }
    let applied = store.apply(&activities, &event_types, &author(), dry_run).await.context("write the registry")?;
    let schedules = if dry_run || !needs_schedules(&applied, documents) {
        Vec::new()
    } else {
        let client = connect::temporal(config).await;
        let synced = match client {
            Ok(client) => schedules::sync(&client, &store).await,
            Err(error) => Err(error),
        };
        synced.context("the registry is written, but schedules are not: run `spine provision` when Temporal is back")?
    };
    Ok(Outcome { applied, schedules })
}

/// Whether an activity changed; one that lost its schedule counts as well, so any change does.
fn needs_schedules(applied: &[Applied], documents: &[Document]) -> bool {
    let changed = applied.iter().any(|applied| applied.revision.is_some() && applied.change != Change::Unchanged);
    let scheduled = documents.iter().any(|document| match document {
        Document::Activity(definition) => {
            definition.value.triggers.iter().any(|trigger| matches!(trigger, Trigger::Schedule(_)))
        }
        Document::EventType(_) | Document::ActivityTest(_) => false,
    });
    changed || scheduled
}

/// Who applies: the login name.
fn author() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    user.filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".into())
}

fn people(outcome: &Outcome) -> String {
    let applied = outcome.applied.iter().map(|applied| {
        let revision = applied.revision.map(|revision| revision.to_string()).unwrap_or_default();
        [applied.kind.as_str().to_owned(), applied.name.clone(), revision, applied.change.as_str().to_owned()]
    });
    let schedules = outcome
        .schedules
        .iter()
        .map(|change| ["schedule".to_owned(), change.schedule.clone(), String::new(), change.change.to_owned()]);
    output::table(&["kind", "name", "revision", "change"], applied.chain(schedules))
}
