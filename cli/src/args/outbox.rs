//! What can be said after `spine outbox`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::tasks::Who;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Outbox {
    /// List rows that could not be published; each holds back what comes after it under its key
    List {
        /// Those too that somebody dropped
        #[arg(long)]
        all: bool,
    },
    /// Let the relay try rows again
    Retry(Retry),
    /// Give rows up: their events are never published, and what waits behind them goes on
    Drop(Drop),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Retry {
    /// Ids of rows, as `list` prints them
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID")]
    pub(crate) rows: Vec<i64>,
    /// Every row that is set aside
    #[arg(long)]
    pub(crate) all: bool,
    /// Of one row: publish the event in this file in its stead, `-` for stdin; it keeps source and id
    #[arg(short, long, value_name = "FILE", conflicts_with = "all")]
    pub(crate) file: Option<PathBuf>,
    /// Why, for those who wonder later
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,
    #[command(flatten)]
    pub(crate) who: Who,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Drop {
    /// Ids of rows, as `list` prints them
    #[arg(required = true, value_name = "ID")]
    pub(crate) rows: Vec<i64>,
    /// Why: whoever misses the event later finds it
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) because: String,
    #[command(flatten)]
    pub(crate) who: Who,
}
