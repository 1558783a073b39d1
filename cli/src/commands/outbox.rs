//! `spine outbox`: rows that could not be published.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use spine_core::event::Event;
use spine_store::{ParkedRow, Store};

use crate::args::Global;
use crate::args::outbox::{Drop, Outbox, Retry};
use crate::connect;
use crate::failure::invalid;
use crate::output::{self, clip, when};

/// How much of an error stands in a line of the list.
const ERROR_CHARS: usize = 80;

pub(crate) async fn run(global: &Global, options: &Outbox) -> anyhow::Result<()> {
    let store = connect::store(&connect::config(global)?).await?;
    match options {
        Outbox::List { all } => output::print(global.output, &store.parked_rows(*all).await?, |rows| table(rows)),
        Outbox::Retry(options) => tell(global, "retried", retry(&store, options).await?),
        Outbox::Drop(options) => tell(global, "dropped", drop_rows(&store, options).await?),
    }
}

async fn retry(store: &Store, options: &Retry) -> anyhow::Result<Vec<i64>> {
    let parked = store.parked_rows(false).await?;
    let rows: Vec<i64> = if options.all { parked.iter().map(|row| row.id).collect() } else { options.rows.clone() };
    let event = match (&options.file, rows.as_slice()) {
        (None, _) => None,
        (Some(file), [only]) => Some(replacement(file, parked.iter().find(|row| row.id == *only))?),
        (Some(_), _) => return Err(invalid("--file stands in for the event of one row; name one")),
    };
    for row in &rows {
        let done = store.retry_parked(*row, &options.who.name(), options.because.as_deref(), event.as_ref()).await?;
        found(*row, done)?;
    }
    Ok(rows)
}

async fn drop_rows(store: &Store, options: &Drop) -> anyhow::Result<Vec<i64>> {
    for row in &options.rows {
        found(*row, store.drop_parked(*row, &options.who.name(), &options.because).await?)?;
    }
    Ok(options.rows.clone())
}

fn found(row: i64, done: bool) -> anyhow::Result<()> {
    let hint = "`spine outbox list` lists those that are; what stood before it on the command line is done";
    if done { Ok(()) } else { Err(anyhow!("row {row} is not set aside; {hint}")) }
}

/// The event in the file, which is to be the same one as the row's: its identity is what keeps it from being
/// written twice.
fn replacement(file: &Path, row: Option<&ParkedRow>) -> anyhow::Result<Event> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).context("read stdin")?;
    } else {
        bytes = std::fs::read(file).map_err(|error| invalid(format!("read {}: {error}", file.display())))?;
    }
    let event =
        Event::from_json(&bytes).map_err(|error| invalid(format!("{} is not an event: {error}", file.display())))?;
    match row {
        Some(row) if (&row.event_source, &row.event_id) != (&event.source, &event.id) => Err(invalid(format!(
            "the event has source {:?} and id {:?}; that of the row has {:?} and {:?}, and keeps them",
            event.source, event.id, row.event_source, row.event_id
        ))),
        _ => Ok(event),
    }
}

fn table(rows: &[ParkedRow]) -> String {
    output::table(
        &["id", "type", "event", "key", "parked", "holds back", "state", "error"],
        rows.iter().map(|row| {
            let text = |name: &str| row.event.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            let state = row.dropped_by.as_ref().map_or_else(|| "parked".to_owned(), |by| format!("dropped by {by}"));
            [
                row.id.to_string(),
                text("type"),
                clip(&row.event_id, ERROR_CHARS),
                clip(&row.key, ERROR_CHARS),
                when(row.parked_at),
                row.holds_back.to_string(),
                state,
                clip(&row.error, ERROR_CHARS),
            ]
        }),
    )
}

fn tell(global: &Global, what: &str, rows: Vec<i64>) -> anyhow::Result<()> {
    output::print(global.output, &json!({"rows": rows, "change": what}), |_| match rows.as_slice() {
        [] => "no row is set aside".to_owned(),
        rows => rows.iter().map(|row| format!("row {row} {what}")).collect::<Vec<_>>().join("\n"),
    })
}
