//! What can be said to `spine runs`.

use std::time::Duration;

use clap::Args as ClapArgs;
use spine_core::activity::parse_duration;
use spine_core::run::RunStatus;
use spine_core::words;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Which runs are listed: those that meet everything that is given.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct List {
    /// Only of this activity
    #[arg(long, value_name = "NAME")]
    pub(crate) activity: Option<String>,
    /// Only with this status, or one of these: `--status failed,running`
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    pub(crate) status: Vec<RunStatus>,
    /// Only those that started then or later: a time (RFC 3339), or how long ago, as in 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<OffsetDateTime>,
    /// Only those that started before: a time (RFC 3339), or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<OffsetDateTime>,
    /// Only those that are about this: the subject of the event that started them
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Only those that this event started, by its id or its event key
    #[arg(long, value_name = "ID")]
    pub(crate) event: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Show {
    /// The run's id, the last part of it or its first 6 digits, or the id of its event
    pub(crate) run: String,
    /// Show inputs, outputs, data and context whole, and notices as well
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Wait {
    /// Ids of runs as for `show`, or of events: all runs that they start are waited for
    #[arg(required = true, value_name = "RUN|EVENT_ID")]
    pub(crate) runs: Vec<String>,
    /// How long at most
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Cancel {
    /// The run, as for `show`
    pub(crate) run: String,
    /// Why: the run's error, and its last event, say it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Retry {
    /// The run, as for `show`
    pub(crate) run: String,
    /// Let nothing stand: context and tasks are decided anew
    #[arg(long)]
    pub(crate) from_start: bool,
}

fn status(text: &str) -> Result<RunStatus, String> {
    let known: Vec<&str> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
    text.parse().map_err(|_| format!("not a status; use {}", words::either(&known)))
}

/// A time, or the one that was so long ago.
pub(crate) fn moment(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let ago = parse_duration(text)
        .map_err(|_| "neither a time, as in 2026-11-23T10:15:00Z, nor how long ago, as in 15m, 2h or 7d".to_owned())?;
    let ago = time::Duration::try_from(ago).map_err(|error| error.to_string())?;
    OffsetDateTime::now_utc().checked_sub(ago).ok_or_else(|| "longer ago than times are counted".to_owned())
}
