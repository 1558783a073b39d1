//! `spine show` and `spine history`: one thing in the registry, as it is and as it was.

use serde::Serialize;
use serde_json::Value;
use spine_store::{ChangeRow, DocumentRow, History, Kind, RevisionInfo, Store};

use crate::args::{self, Global, Show};
use crate::commands::kind;
use crate::commands::manage::{names, unknown};
use crate::failure::invalid;
use crate::{connect, output};

/// A document, and what is known of it.
#[derive(Serialize)]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    hash: String,
    applied_at: String,
    applied_by: String,
    document: Value,
}

pub(crate) async fn run(global: &Global, options: &Show) -> anyhow::Result<()> {
    let (kind, name) = wanted(&options.what)?;
    let store = connect::store(&connect::config(global)?).await?;
    let shown = match (kind, options.revision) {
        (Kind::EventType | Kind::Source, Some(_)) => {
            return Err(invalid("only an activity has revisions"));
        }
        (Kind::EventType, None) => one(&store, kind, name, store.list_event_types().await?).await?,
        (Kind::Source, None) => one(&store, kind, name, store.list_sources().await?).await?,
        (Kind::Activity, revision) => activity(&store, name, revision).await?,
    };
    output::print(global.output, &shown, people)
}

/// A kind and a name, or the name of an activity.
fn wanted(what: &[String]) -> anyhow::Result<(Kind, &str)> {
    match what {
        [name] => Ok((Kind::Activity, name)),
        [word, name, ..] => Ok((kind::named(word)?, name)),
        [] => Err(invalid("name an activity, or a kind (`event-type`, `source`) and a name")),
    }
}

async fn activity(store: &Store, name: &str, revision: Option<u32>) -> anyhow::Result<Shown> {
    let current = store.current_revision(name).await?;
    let wanted = revision.or(current.as_ref().map(|current| current.revision));
    let found = match wanted {
        Some(wanted) => store.revision(name, wanted).await?.map(|found| (wanted, found)),
        None => None,
    };
    let Some((number, found)) = found else {
        return Err(match (revision, current) {
            (Some(revision), Some(_)) => {
                anyhow::anyhow!("{name:?} has no revision {revision}; `spine history {name}` lists them")
            }
            _ => unknown(Kind::Activity, name, &names(store, Kind::Activity).await?),
        });
    };
    Ok(Shown {
        revision: Some(number),
        current: Some(current.as_ref().is_some_and(|current| current.revision == number)),
        enabled: current.map(|current| current.enabled),
        hash: found.hash,
        applied_at: output::when(found.created_at),
        applied_by: found.created_by,
        document: found.document,
    })
}

/// An event type or a source.
async fn one(store: &Store, kind: Kind, name: &str, rows: Vec<DocumentRow>) -> anyhow::Result<Shown> {
    let Some(row) = rows.iter().find(|row| row.name == name) else {
        let known: Vec<String> = rows.into_iter().map(|row| row.name).collect();
        return Err(unknown(kind, name, &known));
    };
    let document = store.documents(std::slice::from_ref(&row.hash)).await?.pop();
    Ok(Shown {
        revision: None,
        current: None,
        enabled: None,
        hash: row.hash.clone(),
        applied_at: output::when(row.updated_at),
        applied_by: row.updated_by.clone(),
        document: document.map(|(_, document)| document).unwrap_or_default(),
    })
}

/// The document as YAML that could be applied again, with what is known of it in comments.
fn people(shown: &Shown) -> String {
    let mut facts = Vec::new();
    if let (Some(revision), Some(current)) = (shown.revision, shown.current) {
        let current = if current { "current" } else { "not current" };
        let enabled = match shown.enabled {
            Some(true) => ", enabled",
            Some(false) => ", disabled",
            None => ", deleted",
        };
        facts.push(format!("# revision {revision}, {current}{enabled}"));
    }
    facts.push(format!("# {}", shown.hash));
    facts.push(format!("# applied {} by {}", shown.applied_at, shown.applied_by));
    let document = serde_norway::to_string(&shown.document).unwrap_or_else(|error| error.to_string());
    format!("{}\n{document}", facts.join("\n"))
}

/// `spine history`.
pub(crate) async fn history(global: &Global, options: &args::History) -> anyhow::Result<()> {
    let store = connect::store(&connect::config(global)?).await?;
    let history = store.history(&options.name).await?;
    if history.revisions.is_empty() {
        return Err(unknown(Kind::Activity, &options.name, &names(&store, Kind::Activity).await?));
    }
    output::print(global.output, &history, tables)
}

fn tables(history: &History) -> String {
    let revisions =
        output::table(&["revision", "current", "applied", "by", "hash"], history.revisions.iter().map(revision));
    let changes =
        output::table(&["version", "when", "by", "change", "revision", "reason"], history.changes.iter().map(change));
    format!("{revisions}\n\n{changes}")
}

fn revision(one: &RevisionInfo) -> [String; 5] {
    let current = if one.current { "*" } else { "" };
    [one.revision.to_string(), current.into(), output::when(one.created_at), one.created_by.clone(), one.hash.clone()]
}

fn change(one: &ChangeRow) -> [String; 6] {
    let revision = match (one.previous, one.revision) {
        (Some(previous), Some(revision)) if previous != revision => format!("{previous} -> {revision}"),
        (previous, revision) => revision.or(previous).map(|number| number.to_string()).unwrap_or_default(),
    };
    [
        one.version.to_string(),
        output::when(one.at),
        one.by.clone(),
        one.action.replace('_', " "),
        revision,
        one.reason.clone().unwrap_or_default(),
    ]
}
