//! `spine apply`: makes activities, event types and sources current, all or nothing.

use anyhow::Context as _;
use serde::Serialize;
use spine_core::activity::{Document, Times, Trigger};
use spine_runtime::config::Config;
use spine_store::{Applied, ApplyOptions, Change, Kind, NewDocument, NewRevision, Prune, Store, rfc3339};

use crate::args::{Apply, Global};
use crate::commands::files;
use crate::commands::manage::confirm;
use crate::failure::invalid;
use crate::schedules::{self, Look, ScheduleChange};
use crate::{connect, output};

/// What was applied, and which schedules changed with it.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) applied: Vec<Applied>,
    pub(crate) schedules: Vec<ScheduleChange>,
}

pub(crate) async fn run(global: &Global, options: &Apply) -> anyhow::Result<()> {
    let documents = files::to_apply(&options.files)?;
    come(&documents)?;
    if options.prune && documents.is_empty() {
        return Err(invalid(
            "the files hold no activity, no event type and no source, so --prune would delete everything",
        ));
    }
    let config = connect::config(global)?;
    let prune = match options.prune {
        false => Prune::Nothing,
        true if options.dry_run => Prune::Everything,
        true => agreed(&config, &documents, options.yes).await?,
    };
    let outcome = apply(&config, &documents, ApplyOptions { prune, dry_run: options.dry_run }).await?;
    if options.dry_run {
        eprintln!("dry run: nothing was changed");
    }
    output::print(global.output, &outcome, people)
}

/// Refuses schedules that never tick any more: who writes one expects that it does.
fn come(documents: &[Document]) -> anyhow::Result<()> {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    for document in documents {
        let Document::Activity(definition) = document else { continue };
        for (index, trigger) in definition.value.triggers.iter().enumerate() {
            let Trigger::Schedule(trigger) = trigger else { continue };
            let times = Times::of(trigger).map_err(invalid)?;
            if times.next_after(now).is_none() {
                let last = times.last_before(now).and_then(|at| time::OffsetDateTime::from_unix_timestamp(at).ok());
                let last = last.map(|at| format!("; the last time was {}", rfc3339(at))).unwrap_or_default();
                let name = &definition.value.name;
                return Err(invalid(format!("{name}: spec.on[{index}].schedule: it never comes again{last}")));
            }
        }
    }
    Ok(())
}

/// What is to be deleted, once somebody has agreed to it.
async fn agreed(config: &Config, documents: &[Document], yes: bool) -> anyhow::Result<Prune> {
    let told = ApplyOptions { prune: Prune::Everything, dry_run: true };
    let told = apply(config, documents, told).await?.applied;
    let gone: Vec<(Kind, String)> =
        told.into_iter().filter(|one| one.change == Change::Deleted).map(|one| (one.kind, one.name)).collect();
    if !gone.is_empty() && !yes {
        let names: Vec<String> = gone.iter().map(|(kind, name)| format!("{} {name}", kind.as_str())).collect();
        confirm(&names.join(", "))?;
    }
    Ok(Prune::Agreed(gone))
}

/// Writes the documents to the registry, then makes the schedules equal to it.
pub(crate) async fn apply(config: &Config, documents: &[Document], options: ApplyOptions) -> anyhow::Result<Outcome> {
    let store = connect::store(config).await?;
    let (activities, others) = wanted(documents);
    let dry_run = options.dry_run;
    let applied = store.apply(&activities, &others, &author(), options).await.context("write the registry")?;
    match dry_run {
        true => Ok(Outcome { applied, schedules: Vec::new() }),
        false => scheduled(config, &store, applied, have_schedule(documents)).await,
    }
}

/// Makes the schedules equal to the registry, after this was done to it. Where no schedule was touched, and
/// `always` does not say otherwise, Temporal is not asked: it may be away.
pub(crate) async fn scheduled(
    config: &Config,
    store: &Store,
    applied: Vec<Applied>,
    always: bool,
) -> anyhow::Result<Outcome> {
    if !always && !schedules::are_touched(store, &applied).await? {
        return Ok(Outcome { applied, schedules: Vec::new() });
    }
    let synced = match connect::temporal(config).await {
        Ok(client) => schedules::sync(&client, store, Look::Notes).await,
        Err(error) => Err(error),
    };
    let schedules = synced
        .context("the registry is written, but schedules are not: run `spine provision` when Temporal is back")?;
    Ok(Outcome { applied, schedules })
}

/// What the documents make of the registry.
pub(crate) fn wanted(documents: &[Document]) -> (Vec<NewRevision>, Vec<NewDocument>) {
    let (mut activities, mut others) = (Vec::new(), Vec::new());
    for document in documents {
        let (name, hash) = (document.name().to_owned(), document.hash().to_owned());
        let content = document.content().clone();
        match document {
            Document::Activity(_) => activities.push(NewRevision { name, hash, document: content }),
            Document::EventType(_) => {
                others.push(NewDocument { kind: Kind::EventType, name, hash, document: content });
            }
            Document::Source(_) => others.push(NewDocument { kind: Kind::Source, name, hash, document: content }),
            Document::ActivityTest(_) => {}
        }
    }
    (activities, others)
}

/// Whether there is a schedule among the documents: it may have to be made again, although nothing changed.
fn have_schedule(documents: &[Document]) -> bool {
    documents.iter().any(|document| match document {
        Document::Activity(definition) => {
            definition.value.triggers.iter().any(|trigger| matches!(trigger, Trigger::Schedule(_)))
        }
        Document::EventType(_) | Document::Source(_) | Document::ActivityTest(_) => false,
    })
}

/// Who applies: the login name.
pub(crate) fn author() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    user.filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".into())
}

/// What was done, as people read it.
pub(crate) fn people(outcome: &Outcome) -> String {
    let applied = outcome.applied.iter().map(|applied| {
        [applied.kind.as_str().to_owned(), applied.name.clone(), revision(applied), applied.change.as_str().to_owned()]
    });
    let schedules = outcome
        .schedules
        .iter()
        .map(|change| ["schedule".to_owned(), change.schedule.clone(), String::new(), change.people()]);
    output::table(&["kind", "name", "revision", "change"], applied.chain(schedules))
}

/// `3`, or `2 -> 3` where it changed.
fn revision(applied: &Applied) -> String {
    let text = |revision: Option<u32>| revision.map(|revision| revision.to_string()).unwrap_or_default();
    match (applied.previous, applied.revision) {
        (Some(previous), Some(revision)) if previous != revision => format!("{previous} -> {revision}"),
        (previous, revision) => text(revision.or(previous)),
    }
}
