//! `spine dlq redrive` and `spine dlq drop`: many letters, one after the other.
//!
//! What was done with a letter stands in its mark before the next one is touched. So a command that is ended in the
//! middle is called again, and goes on with what is left.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use spine_nats::dead_letters::marks::{self, Action, Mark};
use spine_nats::dead_letters::{self, Letter, Redriven};
use spine_nats::publish::PublishError;
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};

use super::gate::Gate;
use super::{Desk, choose, people};
use crate::args::dlq::{Drop, Redrive};
use crate::output::{self, Format};

/// What became of one letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    pub(super) letter: u64,
    pub(super) event_type: String,
    pub(super) id: Option<String>,
    /// `redriven`, `edited`, `dropped` or `refused`.
    pub(super) outcome: &'static str,
    /// Where the event stands in EVENTS now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_sequence: Option<u64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
}

impl Done {
    pub(super) fn new(letter: &Letter, outcome: &'static str) -> Self {
        let Letter { letter, event_type, id, .. } = letter.clone();
        Self { letter, event_type, id, outcome, stream_sequence: None, detail: None }
    }

    pub(super) fn refused(letter: &Letter, detail: String) -> Self {
        Self { detail: Some(detail), ..Self::new(letter, REFUSED) }
    }
}

const REFUSED: &str = "refused";

pub(super) async fn redrive(desk: &Desk, options: &Redrive) -> anyhow::Result<()> {
    let letters = choose::several(desk, &options.choice, options.again).await?;
    let gate = Gate::open(&desk.jetstream).await?;
    let mut pace = interval(Duration::from_secs(1) / options.rate);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut report = Report::new(desk.output);
    for letter in &letters {
        pace.tick().await;
        let done = redrive_one(desk, &gate, letter, options).await;
        report.add(done.with_context(|| report.interrupted("redrive", letter))?)?;
    }
    report.end()
}

async fn redrive_one(desk: &Desk, gate: &Gate, letter: &Letter, options: &Redrive) -> anyhow::Result<Done> {
    let whole = choose::whole(desk, letter.letter).await?;
    if !whole.is_there {
        let why = "it was too large to be repeated in its letter, and EVENTS has let the original go; \
                   `spine dlq edit --file` publishes an event in its stead";
        return Ok(Done::refused(letter, why.to_owned()));
    }
    let event = match gate.admit(&whole) {
        Ok(event) => event,
        Err(rejection) => {
            let why = format!(
                "it would be rejected: {rejection}; mend what rejects it, or `spine dlq edit {}`",
                letter.letter
            );
            return Ok(Done::refused(letter, why));
        }
    };
    let earlier = if options.again { marks::of(&desk.jetstream, letter.letter).await?.len() } else { 0 };
    let published = dead_letters::redrive(&desk.jetstream, &whole, Redriven::Original(&event), earlier + 1).await;
    let ack = match published {
        Ok(ack) => ack,
        Err(error @ PublishError::Unavailable { .. }) => return Err(error.into()),
        Err(error) => return Ok(Done::refused(letter, format!("{:#}", anyhow::Error::new(error)))),
    };
    let mark = Mark {
        stream_sequence: Some(ack.sequence),
        ..mark(letter, Action::Redriven, options.who.name(), options.because.clone())
    };
    marks::add(&desk.jetstream, &mark).await?;
    Ok(Done { stream_sequence: mark.stream_sequence, ..Done::new(letter, Action::Redriven.as_str()) })
}

pub(super) async fn drop_letters(desk: &Desk, options: &Drop) -> anyhow::Result<()> {
    let letters = choose::several(desk, &options.choice, false).await?;
    let mut report = Report::new(desk.output);
    for letter in &letters {
        let mark = mark(letter, Action::Dropped, options.who.name(), Some(options.because.clone()));
        let added = marks::add(&desk.jetstream, &mark).await;
        added.with_context(|| report.interrupted("drop", letter))?;
        report.add(Done::new(letter, Action::Dropped.as_str()))?;
    }
    report.end()
}

/// A mark of now.
pub(super) fn mark(letter: &Letter, action: Action, by: String, because: Option<String>) -> Mark {
    let at = OffsetDateTime::now_utc();
    Mark { letter: letter.letter, action, at, by, because, stream_sequence: None, event: None }
}

/// Tells what became of each letter: people at once, tools at the end.
pub(super) struct Report {
    output: Format,
    done: Vec<Done>,
}

impl Report {
    pub(super) fn new(output: Format) -> Self {
        Self { output, done: Vec::new() }
    }

    pub(super) fn add(&mut self, done: Done) -> anyhow::Result<()> {
        if self.output == Format::Table {
            let line = writeln!(std::io::stdout(), "{}", people::done(&done));
            // A reader that has seen enough does not stop the work.
            line.or_else(|error| if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })?;
        }
        self.done.push(done);
        Ok(())
    }

    /// What an error says that ends the work before its end.
    fn interrupted(&self, what: &str, letter: &Letter) -> String {
        let done = self.done.len();
        format!(
            "{what} letter {}; {done} were dealt with before it, and the same command goes on with the rest",
            letter.letter
        )
    }

    /// Fails if something was refused.
    pub(super) fn end(self) -> anyhow::Result<()> {
        let refused = self.done.iter().filter(|done| done.outcome == REFUSED).count();
        let all = self.done.len();
        output::print(self.output, &self.done, |_| format!("{} of {all} letters", all - refused))?;
        if refused > 0 {
            bail!("{refused} of {all} letters were refused, and stay open");
        }
        Ok(())
    }
}
