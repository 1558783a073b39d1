//! What can be said after `spine dlq`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use spine_core::decision::DeadReason;
use spine_core::words;
use spine_nats::dead_letters::Filter;
use time::OffsetDateTime;

use super::runs::moment;
use super::tasks::Who;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Dlq {
    /// List dead letters, the newest first; without --status those that nobody dealt with
    List(List),
    /// Show one letter: why it died, its event, what was done with it, what a redrive would do, and where it came from
    Show(Show),
    /// Count letters by reason and type
    Stats(Stats),
    /// Publish the events of letters again; a run that was started is not started twice
    Redrive(Redrive),
    /// Write a letter's event to a file, or publish the one in a file in its stead
    Edit(Edit),
    /// Mark letters as dealt with; they stay in the stream as long as it keeps them
    Drop(Drop),
}

/// Which letters: those that meet everything that is given.
#[derive(Clone, Debug, Args)]
pub(crate) struct Which {
    /// Only those that died of this, or of one of these: `--reason schema_violation,start_refused`
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = reason)]
    pub(crate) reason: Vec<DeadReason>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// Only events of this source
    #[arg(long, value_name = "URI")]
    pub(crate) source: Option<String>,
    /// Only those that died then or later: a time (RFC 3339), or how long ago, as in 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<OffsetDateTime>,
    /// Only those that died before: a time (RFC 3339), or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<OffsetDateTime>,
}

impl Which {
    /// The same as the streams are asked.
    pub(crate) fn filter(&self) -> Filter {
        let Self { reason, event_type, source, since, until } = self.clone();
        let reasons = reason.into_iter().map(|reason| reason.as_str().to_owned()).collect();
        Filter { reasons, event_type, source, id: None, since, until }
    }
}

/// Where a letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    /// Nobody dealt with it
    Open,
    /// Its event was published again
    Redriven,
    /// Its event was published again, changed
    Edited,
    /// Nothing more will be done with it
    Dropped,
    /// Any of these
    All,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only those that stand here
    #[arg(long, value_enum, default_value_t = Status::Open)]
    pub(crate) status: Status,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Show {
    /// The letter's number, or the id of its event
    pub(crate) letter: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Which open letters something is done with: those that are named, or those that pass the filters, or all.
#[derive(Clone, Debug, Args)]
pub(crate) struct Choice {
    /// Numbers of letters, or ids of their events
    #[arg(value_name = "LETTER")]
    pub(crate) letters: Vec<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Every letter that nobody dealt with
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// The most events a second
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// Of letters that are named: redrive also what somebody dealt with before
    #[arg(long, requires = "letters")]
    pub(crate) again: bool,
    /// Why, for those who wonder later
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,
    #[command(flatten)]
    pub(crate) who: Who,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Edit {
    /// The letter's number, or the id of its event
    pub(crate) letter: String,
    /// Write the event to this file, `-` for stdout, and change nothing
    #[arg(long, value_name = "FILE", conflicts_with = "file", required_unless_present = "file")]
    pub(crate) save: Option<PathBuf>,
    /// Publish the event in this file in the letter's stead, `-` for stdin; it is checked as on arrival first
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Why, for those who wonder later
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,
    #[command(flatten)]
    pub(crate) who: Who,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Drop {
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// Why: whoever looks for the event later finds it
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) because: String,
    #[command(flatten)]
    pub(crate) who: Who,
}

fn reason(text: &str) -> Result<DeadReason, String> {
    let known = DeadReason::ALL.map(DeadReason::as_str);
    DeadReason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == text)
        .ok_or_else(|| format!("not a reason; use {}", words::either(&known)))
}
