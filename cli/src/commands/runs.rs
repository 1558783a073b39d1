//! `spine runs`: lists runs, and shows one.

use std::str::FromStr as _;

use anyhow::anyhow;
use spine_core::run::RunStatus;
use spine_store::{RetryFrom, RunFilter, RunSummary};

use crate::args::{Global, Runs};
use crate::commands::control;
use crate::failure::invalid;
use crate::{connect, output, trace};

pub(crate) async fn run(global: &Global, options: &Runs) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let store = connect::store(&config).await?;
    match options {
        Runs::List { activity, status, limit } => {
            let status = status.as_deref().map(status_of).transpose()?;
            let rows = store.list_runs(&RunFilter { activity: activity.clone(), status, limit: *limit }).await?;
            output::print(global.output, &rows, |rows| table(rows))
        }
        Runs::Show { run } => {
            match trace::run(&store, connect::temporal_if_there(&config).await.as_ref(), run).await? {
                Some(trace) => output::print(global.output, &trace, |trace| trace::people::run(trace).join("\n")),
                None => Err(anyhow!("there is no run {run:?}; `spine runs list` lists them")),
            }
        }
        Runs::Cancel { run, reason } => {
            println!("{}", control::cancel(&config, &store, run, reason).await?);
            Ok(())
        }
        Runs::Retry { run, from_start } => {
            let from = if *from_start { RetryFrom::Start } else { RetryFrom::Done };
            println!("{}", control::retry(&config, &store, run, from).await?);
            Ok(())
        }
    }
}

fn status_of(text: &str) -> anyhow::Result<RunStatus> {
    RunStatus::from_str(text)
        .map_err(|_| invalid(format!("{text:?} is no status; use running, completed, failed or cancelled")))
}

fn table(rows: &[RunSummary]) -> String {
    output::table(
        &["run", "revision", "status", "started", "event", "error"],
        rows.iter().map(|row| {
            let error = row.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
            let event = format!("{} {}", row.event_type, row.event_id);
            [
                row.id.clone(),
                row.revision.to_string(),
                row.status.as_str().to_owned(),
                output::when(row.started_at),
                event,
                error,
            ]
        }),
    )
}
