//! `spine dlq list`.

use std::collections::BTreeMap;

use serde::Serialize;
use spine_nats::dead_letters::marks::{self, Action};
use spine_nats::dead_letters::{Filter, Letter, scan};

use super::{Desk, people};
use crate::args::dlq::{List, Status};
use crate::output::{self, Format};

/// A letter, and where it stands.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Listed {
    #[serde(flatten)]
    pub(super) letter: Letter,
    /// `open`, or what was last done with it.
    pub(super) status: &'static str,
}

pub(super) async fn run(desk: &Desk, options: &List) -> anyhow::Result<()> {
    let mut rows = listed(desk, &options.which.filter()).await?;
    rows.retain(|row| stands(options.status, row.status));
    rows.reverse();
    let more = rows.len().saturating_sub(options.limit as usize);
    rows.truncate(options.limit as usize);
    output::print(desk.output, &rows, |rows| people::table(rows))?;
    if more > 0 {
        let hint = format!("there are {more} more; these are the newest {}: --limit N shows more", options.limit);
        match desk.output {
            Format::Table => println!("\n{hint}"),
            // What a tool reads stays one document.
            Format::Json | Format::Yaml => eprintln!("{hint}"),
        }
    }
    Ok(())
}

/// The letters that pass the filter, the first first.
pub(super) async fn listed(desk: &Desk, filter: &Filter) -> anyhow::Result<Vec<Listed>> {
    // Letters first: a mark that is added in between is seen.
    let letters = scan(&desk.jetstream, filter).await?;
    let marks = marks::last(&desk.jetstream).await?;
    Ok(letters.into_iter().map(|letter| Listed { status: status(&marks, letter.letter), letter }).collect())
}

fn status(marks: &BTreeMap<u64, Action>, letter: u64) -> &'static str {
    marks.get(&letter).map_or(OPEN, |action| action.as_str())
}

/// The status of a letter that nobody dealt with.
pub(super) const OPEN: &str = "open";

fn stands(wanted: Status, found: &str) -> bool {
    match wanted {
        Status::Open => found == OPEN,
        Status::Redriven => found == Action::Redriven.as_str(),
        Status::Edited => found == Action::Edited.as_str(),
        Status::Dropped => found == Action::Dropped.as_str(),
        Status::All => true,
    }
}
