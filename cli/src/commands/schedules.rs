//! `spine schedules`: looks at schedules, pauses them, and asks for ticks.

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use spine_core::activity::Overlap;
use spine_core::{names, ticks, words};
use spine_store::{Store, TickOutcome, TickRow, rfc3339};
use temporalio_client::Client;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::args::{Global, Schedules};
use crate::commands::apply::author;
use crate::failure::invalid;
use crate::schedules::state::{self, Counts, State};
use crate::schedules::wanted::{Wanted, who_and_why};
use crate::schedules::{self, temporal};
use crate::{connect, output};

/// How many ticks `show` prints, of those that come and of those that came.
const SHOWN: u32 = 20;
const NEXT: usize = 10;
/// How many seconds in a row are tried to find one that has no tick yet.
const TRIED: i64 = 10;

/// All about one schedule.
#[derive(Serialize)]
struct Detail {
    #[serde(flatten)]
    state: State,
    missed: String,
    overlap: String,
    jitter: String,
    /// The next ticks, before jitter.
    next_ticks: Vec<String>,
    /// The newest records, the newest first.
    ticks: Vec<TickRow>,
    temporal: Counts,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    schedule: String,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// Ticks that were asked for.
#[derive(Serialize)]
struct Asked {
    schedule: String,
    /// How many ticks lie there.
    ticks: usize,
    /// How many of them have not run yet, and do now.
    new: usize,
    /// The runs to come.
    runs: Vec<String>,
}

pub(crate) async fn run(global: &Global, options: &Schedules) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let (store, client) = (connect::store(&config).await?, connect::temporal(&config).await?);
    match options {
        Schedules::List => output::print(global.output, &state::all(&client, &store).await?, |all| list(all)),
        Schedules::Show { name } => {
            let detail = detail(&client, &store, &schedules::named(&store, name).await?).await?;
            output::print(global.output, &detail, people)
        }
        Schedules::Pause { name, reason } => {
            let done = pause(&client, &store, name, reason.as_deref()).await?;
            output::print(global.output, &done, told)
        }
        Schedules::Resume { name } => output::print(global.output, &resume(&client, &store, name).await?, told),
        Schedules::Trigger { name } => output::print(global.output, &trigger(&client, &store, name).await?, asked),
        Schedules::Backfill { name, from, to } => {
            let (from, to) = (time_of("--from", from)?, to.as_deref().map(|to| time_of("--to", to)).transpose()?);
            let done = backfill(&client, &store, name, from, to.unwrap_or_else(OffsetDateTime::now_utc)).await?;
            output::print(global.output, &done, asked)
        }
    }
}

async fn detail(client: &Client, store: &Store, wanted: &Wanted) -> anyhow::Result<Detail> {
    let (drift, temporal) = state::drift(client, wanted).await?;
    Ok(Detail {
        state: state::state(store, wanted, drift).await?,
        missed: state::missed(wanted),
        overlap: overlap(wanted.trigger.overlap).into(),
        jitter: words::span(wanted.trigger.jitter),
        next_ticks: state::next(wanted, NEXT),
        ticks: store.ticks_of(&wanted.activity, wanted.index, SHOWN).await?,
        temporal,
    })
}

async fn pause(client: &Client, store: &Store, name: &str, reason: Option<&str>) -> anyhow::Result<Done> {
    let wanted = schedules::named(store, name).await?;
    let new = store.pause_schedule(&wanted.activity, wanted.index, &author(), reason).await?;
    let wanted = schedules::named(store, &wanted.name()).await?;
    let schedule = wanted.name();
    schedules::bring(client, store, wanted, true).await?;
    Ok(Done { schedule, change: if new { "paused" } else { "paused already" }, note: None })
}

async fn resume(client: &Client, store: &Store, name: &str) -> anyhow::Result<Done> {
    let wanted = schedules::named(store, name).await?;
    let was_paused = store.resume_schedule(&wanted.activity, wanted.index, &author()).await?;
    let wanted = Wanted { pause: None, ..wanted };
    let (schedule, enabled) = (wanted.name(), wanted.enabled);
    let changed = schedules::bring(client, store, wanted, false).await?.is_some();
    let note = (!enabled).then_some("it does not tick: its activity is disabled");
    Ok(Done { schedule, change: if was_paused || changed { "resumed" } else { "not paused" }, note })
}

async fn trigger(client: &Client, store: &Store, name: &str) -> anyhow::Result<Asked> {
    let wanted = enabled(store, name).await?;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let seconds: Vec<OffsetDateTime> = (now..now + TRIED).filter_map(state::time).collect();
    let free = store.ticks_without_run(&wanted.activity, wanted.index, &seconds).await?;
    let at = *free.first().context("find a second that the schedule has not run in")?;
    store.ask_for_ticks(&wanted.activity, wanted.index, at, at, &author()).await?;
    temporal::trigger(client, &wanted.id(), at.into()).await?;
    Ok(Asked { schedule: wanted.name(), ticks: 1, new: 1, runs: vec![run_of(&wanted, at)] })
}

async fn backfill(
    client: &Client,
    store: &Store,
    name: &str,
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> anyhow::Result<Asked> {
    let wanted = enabled(store, name).await?;
    if from > to || to > OffsetDateTime::now_utc() {
        return Err(invalid("a backfill ends after it begins, and not in the future"));
    }
    // `from` is part of it, and may lie within a second.
    let (first, last) = (from.unix_timestamp() + i64::from(from.nanosecond() > 0), to.unix_timestamp());
    let times = wanted.times.between(first - 1, last).take(ticks::MAX_WAITING + 1).filter_map(state::time);
    let times: Vec<OffsetDateTime> = times.collect();
    if times.len() > ticks::MAX_WAITING {
        let message = format!("more than {} ticks lie there; ask for them in parts", ticks::MAX_WAITING);
        return Err(invalid(message));
    }
    let new = store.ticks_without_run(&wanted.activity, wanted.index, &times).await?;
    if let (Some(first), Some(last)) = (new.first(), new.last()) {
        store.ask_for_ticks(&wanted.activity, wanted.index, *first, *last, &author()).await?;
        let at_once = wanted.trigger.overlap == Overlap::Allow;
        let end = *last + wanted.trigger.jitter;
        temporal::backfill(client, &wanted.id(), (*first).into(), end.into(), at_once).await?;
    }
    let runs = new.iter().map(|at| run_of(&wanted, *at)).collect();
    Ok(Asked { schedule: wanted.name(), ticks: times.len(), new: new.len(), runs })
}

/// The schedule with this name, of an activity whose ticks are not skipped anyway.
async fn enabled(store: &Store, name: &str) -> anyhow::Result<Wanted> {
    let wanted = schedules::named(store, name).await?;
    if !wanted.enabled {
        let activity = &wanted.activity;
        return Err(anyhow!("activity {activity} is disabled, its ticks do not run; `spine enable {activity}` first"));
    }
    Ok(wanted)
}

fn run_of(wanted: &Wanted, at: OffsetDateTime) -> String {
    names::scheduled_run_id(&wanted.activity, wanted.index, &rfc3339(at))
}

fn time_of(flag: &str, text: &str) -> anyhow::Result<OffsetDateTime> {
    let wrong = |_| invalid(format!("{flag} {text:?} is no time as in 2026-11-25T09:00:00Z (RFC 3339)"));
    OffsetDateTime::parse(text, &Rfc3339).map_err(wrong)
}

fn list(states: &[State]) -> String {
    output::table(
        &["schedule", "rule", "next", "last tick", "outcome", "state", "drift"],
        states.iter().map(|state| {
            [
                state.schedule.clone(),
                state.rule.clone(),
                state.next.clone().unwrap_or_else(|| "-".into()),
                state.last.as_ref().map_or_else(|| "-".into(), |tick| rfc3339(tick.scheduled_for)),
                state.last.as_ref().map_or_else(|| "-".into(), |tick| tick.outcome.as_str().to_owned()),
                standing(state),
                state.drift.join(", "),
            ]
        }),
    )
}

fn standing(state: &State) -> String {
    match &state.paused {
        _ if !state.enabled && state.rule.is_empty() => "-".into(),
        _ if !state.enabled => "disabled".into(),
        Some(pause) => format!("paused by {}", who_and_why(pause)),
        None => "active".into(),
    }
}

fn people(detail: &Detail) -> String {
    let Detail { state, missed, overlap, jitter, next_ticks, ticks, temporal } = detail;
    let mut facts = vec![
        ("schedule", state.schedule.clone()),
        ("rule", state.rule.clone()),
        ("state", standing(state)),
        ("missed", missed.clone()),
        ("overlap", overlap.clone()),
        ("jitter", jitter.clone()),
        ("started", format!("{} by Temporal, {} wait", temporal.started, temporal.waiting)),
    ];
    if !state.drift.is_empty() {
        facts.push(("drift", format!("{}; `spine provision` mends it", state.drift.join(", "))));
    }
    let facts = facts.into_iter().map(|(name, value)| [name.to_owned(), value]);
    let next = if next_ticks.is_empty() { "none".into() } else { next_ticks.join("\n") };
    let recent = if ticks.is_empty() { "none".into() } else { table_of(ticks) };
    format!("{}\n\nNext ticks, before jitter\n{next}\n\nRecent ticks\n{recent}", output::table(&[], facts))
}

fn table_of(ticks: &[TickRow]) -> String {
    output::table(
        &["tick", "outcome", "run", "why"],
        ticks.iter().map(|tick| {
            let time = rfc3339(tick.scheduled_for);
            let until = tick.until.map(|until| format!(" to {} ({})", rfc3339(until), tick.count));
            let run = tick.run.clone().unwrap_or_else(|| "-".into());
            let why = match tick.outcome {
                TickOutcome::Compressed => "that run stands for it".into(),
                _ => tick.reason.clone().unwrap_or_default(),
            };
            [format!("{time}{}", until.unwrap_or_default()), tick.outcome.as_str().to_owned(), run, why]
        }),
    )
}

fn told(done: &Done) -> String {
    let note = done.note.map(|note| format!("; {note}")).unwrap_or_default();
    format!("{} {}{note}", done.schedule, done.change)
}

fn asked(asked: &Asked) -> String {
    let ticks = if asked.ticks == 1 { "tick" } else { "ticks" };
    let head = format!("{}: {} {ticks}, {} of them new", asked.schedule, asked.ticks, asked.new);
    std::iter::once(head).chain(asked.runs.iter().cloned()).collect::<Vec<_>>().join("\n")
}

fn overlap(overlap: Overlap) -> &'static str {
    match overlap {
        Overlap::Skip => "skip",
        Overlap::BufferOne => "buffer_one",
        Overlap::Allow => "allow",
        Overlap::CancelOther => "cancel_other",
    }
}
