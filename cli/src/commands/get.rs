//! `spine get`: what the registry holds.

use anyhow::bail;
use serde_json::json;
use spine_store::Store;

use crate::args::{Get, Global};
use crate::connect;
use crate::failure::invalid;
use crate::output::{self, Format};

pub(crate) async fn run(global: &Global, options: &Get) -> anyhow::Result<()> {
    let (kind, name) = wanted(&options.what)?;
    let store = connect::store(&connect::config(global)?).await?;
    match (name, kind) {
        (Some(name), Kind::Activities) => show(global, &store, name).await,
        (Some(name), Kind::EventTypes) => show_event_type(global, &store, name).await,
        (None, Kind::Activities) => {
            let rows = store.list_activities().await?;
            output::print(global.output, &rows, |rows| {
                output::table(
                    &["name", "revision", "enabled", "updated", "by"],
                    rows.iter().map(|row| {
                        [
                            row.name.clone(),
                            row.revision.to_string(),
                            row.enabled.to_string(),
                            output::when(row.updated_at),
                            row.updated_by.clone(),
                        ]
                    }),
                )
            })
        }
        (None, Kind::EventTypes) => {
            let rows = store.list_event_types().await?;
            output::print(global.output, &rows, |rows| {
                output::table(
                    &["name", "updated", "by"],
                    rows.iter().map(|row| [row.name.clone(), output::when(row.updated_at), row.updated_by.clone()]),
                )
            })
        }
    }
}

/// What the registry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Activities,
    EventTypes,
}

/// A kind, a kind and a name, or the name of an activity.
fn wanted(what: &[String]) -> anyhow::Result<(Kind, Option<&str>)> {
    let kind = |word: &str| match word {
        "activities" | "activity" => Some(Kind::Activities),
        "event-types" | "event-type" | "eventtypes" => Some(Kind::EventTypes),
        _ => None,
    };
    match what {
        [] => Ok((Kind::Activities, None)),
        [word] => Ok(kind(word).map_or((Kind::Activities, Some(word.as_str())), |kind| (kind, None))),
        [word, name, ..] => match kind(word) {
            Some(kind) => Ok((kind, Some(name))),
            None => Err(invalid(format!("{word:?} is no kind; use activities or event-types"))),
        },
    }
}

async fn show(global: &Global, store: &Store, name: &str) -> anyhow::Result<()> {
    let Some(current) = store.current_revision(name).await? else {
        bail!("there is no activity {name:?}; `spine get` lists them");
    };
    let data = json!({"name": name, "revision": current.revision, "hash": current.hash, "enabled": current.enabled, "document": current.document});
    output::print(yaml_for_people(global.output), &data, |_| String::new())
}

async fn show_event_type(global: &Global, store: &Store, name: &str) -> anyhow::Result<()> {
    let Some(row) = store.list_event_types().await?.into_iter().find(|row| row.name == name) else {
        bail!("there is no event type {name:?}; `spine get event-types` lists them");
    };
    let document = store.documents(std::slice::from_ref(&row.hash)).await?.pop().map(|(_, document)| document);
    let data = json!({"name": name, "hash": row.hash, "document": document});
    output::print(yaml_for_people(global.output), &data, |_| String::new())
}

/// A document has no columns: people read it as YAML.
fn yaml_for_people(format: Format) -> Format {
    if format == Format::Table { Format::Yaml } else { format }
}
