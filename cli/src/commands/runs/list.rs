//! `spine runs list`.

use spine_store::{RunFilter, RunSummary};

use crate::args::Global;
use crate::args::runs::List;
use crate::output::{self, Format};
use crate::{connect, trace};

/// How much of an error stands in a line of the list.
const ERROR_CHARS: usize = 80;

pub(crate) async fn run(global: &Global, options: &List) -> anyhow::Result<()> {
    let store = connect::store(&connect::config(global)?).await?;
    // One more than is shown says whether there are more.
    let mut rows = store.list_runs(&filter(options, options.limit + 1)).await?;
    let more = rows.len() > options.limit as usize;
    rows.truncate(options.limit as usize);
    output::print(global.output, &rows, |rows| table(rows))?;
    if more {
        let hint = format!("there are more; these are the newest {}: --limit N shows more", options.limit);
        match global.output {
            Format::Table => println!("\n{hint}"),
            // What a tool reads stays one document.
            Format::Json | Format::Yaml => eprintln!("{hint}"),
        }
    }
    Ok(())
}

fn filter(options: &List, limit: u32) -> RunFilter {
    let List { activity, status, since, until, key, event, .. } = options.clone();
    RunFilter { activity, statuses: status, since, until, key, event, limit }
}

/// Runs for people, one a line.
pub(crate) fn table(rows: &[RunSummary]) -> String {
    output::table(
        &["run", "activity", "status", "started", "took", "event", "tasks", "error"],
        rows.iter().map(|row| {
            [
                row.id.clone(),
                format!("{}@{}", row.activity, row.revision),
                row.status.as_str().to_owned(),
                output::when(row.started_at),
                took(row),
                format!("{} {}", row.event_type, row.event_id),
                format!("{}/{}", row.tasks_ended, row.tasks),
                row.error
                    .as_ref()
                    .map(|error| output::clip(&trace::people::failure(error), ERROR_CHARS))
                    .unwrap_or_default(),
            ]
        }),
    )
}

/// How long a run took, if it has ended.
pub(crate) fn took(row: &RunSummary) -> String {
    row.closed_at.map(|closed| output::span(closed - row.started_at)).unwrap_or_default()
}
