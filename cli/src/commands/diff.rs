//! `spine diff`: what `spine apply` would change.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Serialize;
use serde_json::Value;
use spine_store::{Kind, Store};

use crate::args::{Diff, Global};
use crate::commands::files;
use crate::failure::invalid;
use crate::{connect, output};

/// One thing that would change.
#[derive(Serialize)]
struct Difference {
    kind: Kind,
    name: String,
    /// In the unified format, from what the registry holds to what the files do.
    diff: String,
}

/// Exit code 0: nothing would change; 1: something would, and it is printed; 2: that can't be told.
pub(crate) async fn run(global: &Global, options: &Diff) -> anyhow::Result<()> {
    let differences = differences(global, options).await.map_err(|error| invalid(format!("{error:#}")))?;
    output::print(global.output, &differences, |all| all.iter().map(|one| one.diff.as_str()).collect())?;
    match differences.len() {
        0 => Ok(()),
        1 => bail!("1 document differs"),
        count => bail!("{count} documents differ"),
    }
}

async fn differences(global: &Global, options: &Diff) -> anyhow::Result<Vec<Difference>> {
    let documents = files::to_apply(&options.files)?;
    let store = connect::store(&connect::config(global)?).await?;
    let mut held = held(&store).await?;
    let mut differences = Vec::new();
    for document in &documents {
        let kind = kind_of(document.kind());
        let before = held.remove(&(kind.as_str(), document.name().to_owned()));
        differences.extend(difference(kind, document.name(), before.as_ref(), Some(document.content())));
    }
    if options.prune {
        for ((kind, name), before) in &held {
            differences.extend(difference(kind_of(kind), name, Some(before), None));
        }
    }
    Ok(differences)
}

/// The kind that a document says it is of.
fn kind_of(word: &str) -> Kind {
    let kinds = [Kind::Activity, Kind::Source];
    kinds.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Kind::EventType)
}

/// Everything that is current, by kind and name.
async fn held(store: &Store) -> anyhow::Result<BTreeMap<(&'static str, String), Value>> {
    let state = store.catalog_state().await?;
    let hashes: Vec<String> = state.hashes().into_iter().map(str::to_owned).collect();
    let documents: BTreeMap<String, Value> = store.documents(&hashes).await?.into_iter().collect();
    let activities = state.activities.into_iter().map(|entry| (Kind::Activity.as_str(), entry.name, entry.hash));
    let types = state.event_types.into_iter().map(|entry| (Kind::EventType.as_str(), entry.name, entry.hash));
    let sources = state.sources.into_iter().map(|entry| (Kind::Source.as_str(), entry.name, entry.hash));
    let entry =
        |(kind, name, hash): (&'static str, String, String)| Some(((kind, name), documents.get(&hash)?.clone()));
    Ok(activities.chain(types).chain(sources).filter_map(entry).collect())
}

fn difference(kind: Kind, name: &str, before: Option<&Value>, after: Option<&Value>) -> Option<Difference> {
    if before == after {
        return None;
    }
    let text = |value: Option<&Value>| {
        value.map(|value| serde_norway::to_string(value).unwrap_or_default()).unwrap_or_default()
    };
    let (before, after) = (text(before), text(after));
    let what = format!("{} {name}", kind.as_str());
    let diff = similar::TextDiff::from_lines(&before, &after)
        .unified_diff()
        .header(&format!("{what} in the registry"), &format!("{what} in the files"))
        .to_string();
    Some(Difference { kind, name: name.to_owned(), diff })
}
