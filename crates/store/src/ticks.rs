//! What became of the ticks of schedules.
//!
//! Invariant: ticks of one schedule are settled one after another, under a lock, and the run that a tick opens is
//! opened in the same transaction. A tick that arrived keeps its record; one that was only missed loses it when it
//! arrives after all.

mod known;

use std::str::FromStr;

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use spine_core::names;
use spine_core::ticks::Span;

use crate::runs::{NewRun, Opened, open_run};
use crate::{Store, StoreError, row};

/// What became of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// It has a run of its own.
    Ran,
    /// It has none.
    Skipped,
    /// The run of another tick stands for it.
    Compressed,
}

impl TickOutcome {
    /// The word that stands in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Skipped => "skipped",
            Self::Compressed => "compressed",
        }
    }
}

impl FromStr for TickOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ran" => Ok(Self::Ran),
            "skipped" => Ok(Self::Skipped),
            "compressed" => Ok(Self::Compressed),
            other => Err(format!("unknown outcome {other:?}")),
        }
    }
}

/// A tick that has arrived.
#[derive(Clone, Debug)]
pub struct Tick {
    /// The activity.
    pub activity: String,
    /// Which of its triggers.
    pub trigger: usize,
    /// Its time, before jitter.
    pub at: OffsetDateTime,
    /// Temporal's id of the workflow that it arrived with.
    pub execution: String,
    /// What the schedule's times follow from.
    pub rule: String,
}

/// What is known when a tick arrives.
#[derive(Clone, Debug, Default)]
pub struct KnownTicks {
    /// Who asked for it, out of turn or again.
    pub asked_by: Option<String>,
    /// The last tick before it that is recorded under the same rule.
    pub last: Option<OffsetDateTime>,
    /// What went on since then.
    pub spans: Vec<Span>,
}

/// What is to be written of one tick, or of several in a row.
#[derive(Clone, Debug)]
pub struct NewTick {
    /// Its time.
    pub at: OffsetDateTime,
    /// The last of several.
    pub until: Option<OffsetDateTime>,
    /// How many they are.
    pub count: u32,
    /// What became of them.
    pub outcome: TickOutcome,
    /// Why.
    pub reason: Option<String>,
    /// The run.
    pub run: Option<String>,
}

/// How a tick was settled.
#[derive(Clone, Debug, PartialEq)]
pub enum SettledTick {
    /// It runs, or has run.
    Run(Opened),
    /// It does not run.
    Ends {
        /// Why.
        reason: String,
    },
}

/// A record of a tick, or of several in a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TickRow {
    /// The activity.
    pub activity: String,
    /// Which of its triggers.
    pub trigger: u32,
    /// The tick's time, before jitter.
    #[serde(with = "time::serde::rfc3339")]
    pub scheduled_for: OffsetDateTime,
    /// The last of several.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<OffsetDateTime>,
    /// How many they are.
    pub count: u32,
    /// What became of it.
    pub outcome: TickOutcome,
    /// Why.
    pub reason: Option<String>,
    /// The run: its own, or the one that stands for it.
    pub run: Option<String>,
    /// Who asked for it, out of turn or again.
    pub asked_by: Option<String>,
    /// When that was recorded.
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    #[serde(skip)]
    execution: Option<String>,
}

impl FromRow<'_, PgRow> for TickRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            activity: row.try_get("activity")?,
            trigger: row::number(row, "trigger")?,
            scheduled_for: row.try_get("scheduled_for")?,
            until: row.try_get("until")?,
            count: row::number(row, "count")?,
            outcome: row::word(row, "outcome")?,
            reason: row.try_get("reason")?,
            run: row.try_get("run")?,
            asked_by: row.try_get("asked_by")?,
            recorded_at: row.try_get("recorded_at")?,
            execution: row.try_get("execution")?,
        })
    }
}

impl Store {
    /// Settles a tick by what `decide` makes of what is known: the records to write, the first of them of the tick
    /// itself, and the run to open if it runs. Repeated by the same execution, it gives the same answer.
    pub async fn settle_tick(
        &self,
        tick: &Tick,
        decide: impl FnOnce(&KnownTicks) -> (Vec<NewTick>, Option<NewRun>),
    ) -> Result<SettledTick, StoreError> {
        let mut transaction = self.pool.begin().await?;
        lock(&mut transaction, tick).await?;
        let asked_by = known::asked_by(&mut transaction, tick).await?;
        if let Some(before) = recorded(&mut transaction, tick, asked_by.is_some()).await? {
            return Ok(before);
        }
        let last = known::last(&mut transaction, tick).await?;
        let spans = known::spans(&mut transaction, tick, last.unwrap_or(tick.at)).await?;
        let known = KnownTicks { asked_by, last, spans };
        let (records, run) = decide(&known);
        let opened = match &run {
            Some(run) => Some(open_run(&mut transaction, run).await?),
            None => None,
        };
        write(&mut transaction, tick, &known, &records).await?;
        transaction.commit().await?;
        let reason = || records.first().and_then(|own| own.reason.clone()).unwrap_or_default();
        Ok(opened.map_or_else(|| SettledTick::Ends { reason: reason() }, SettledTick::Run))
    }

    /// The newest records of a schedule, the newest first.
    pub async fn ticks_of(&self, activity: &str, trigger: usize, limit: u32) -> Result<Vec<TickRow>, StoreError> {
        let rows = sqlx::query_as(
            "select * from tick where activity = $1 and trigger = $2 order by scheduled_for desc limit $3",
        )
        .bind(activity)
        .bind(index(trigger)?)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Those of these times, at which the schedule has not run yet.
    pub async fn ticks_without_run(
        &self,
        activity: &str,
        trigger: usize,
        times: &[OffsetDateTime],
    ) -> Result<Vec<OffsetDateTime>, StoreError> {
        let ids: Vec<String> = times.iter().map(|time| rfc3339(*time)).collect();
        let ran: Vec<String> = sqlx::query_scalar(
            "select event_id from run where activity = $1 and event_source = $2 and event_id = any($3) and replay = 0",
        )
        .bind(activity)
        .bind(names::tick_source(activity, trigger))
        .bind(&ids)
        .fetch_all(&self.pool)
        .await?;
        let open = times.iter().zip(&ids).filter(|(_, id)| !ran.contains(id));
        Ok(open.map(|(time, _)| *time).collect())
    }

    /// Notes that the ticks of a schedule from `from` to `to` are asked for: when they arrive they run.
    pub async fn ask_for_ticks(
        &self,
        activity: &str,
        trigger: usize,
        from: OffsetDateTime,
        to: OffsetDateTime,
        by: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into tick_request (activity, trigger, from_at, to_at, by_whom) values ($1, $2, $3, $4, $5)",
        )
        .bind(activity)
        .bind(index(trigger)?)
        .bind(from)
        .bind(to)
        .bind(by)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// A time as it stands in the ids of runs and events.
pub fn rfc3339(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

pub(crate) fn index(trigger: usize) -> Result<i32, sqlx::Error> {
    i32::try_from(trigger).map_err(|error| sqlx::Error::Encode(error.into()))
}

async fn lock(connection: &mut PgConnection, tick: &Tick) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('tick ' || $1 || '/' || $2, 0))")
        .bind(&tick.activity)
        .bind(tick.trigger.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// What was decided for this tick before, if that still counts: it was for this execution, or it arrived and is
/// not asked for again, or another's run stands for it.
async fn recorded(connection: &mut PgConnection, tick: &Tick, asked: bool) -> Result<Option<SettledTick>, StoreError> {
    let found: Option<TickRow> =
        sqlx::query_as("select * from tick where activity = $1 and trigger = $2 and scheduled_for = $3")
            .bind(&tick.activity)
            .bind(index(tick.trigger)?)
            .bind(tick.at)
            .fetch_optional(connection)
            .await?;
    let Some(found) = found else { return Ok(None) };
    let ours = found.execution.as_deref() == Some(&*tick.execution);
    Ok(match (found.outcome, found.run) {
        (TickOutcome::Ran, Some(of)) => Some(SettledTick::Run(Opened::Duplicate { of })),
        (TickOutcome::Compressed, Some(run)) if !asked => {
            Some(SettledTick::Ends { reason: format!("compressed into {run}") })
        }
        (TickOutcome::Skipped, _) if ours || (found.execution.is_some() && !asked) => {
            Some(SettledTick::Ends { reason: found.reason.unwrap_or_default() })
        }
        _ => None,
    })
}

/// Writes the records; only that of the tick itself may take the place of one that is there.
async fn write(
    connection: &mut PgConnection,
    tick: &Tick,
    known: &KnownTicks,
    records: &[NewTick],
) -> Result<(), StoreError> {
    for (at, record) in records.iter().enumerate() {
        let own = at == 0;
        sqlx::query(
            "insert into tick (activity, trigger, scheduled_for, until, count, outcome, reason, run, execution,
                asked_by, rule)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            on conflict (activity, trigger, scheduled_for) do update
            set outcome = excluded.outcome, reason = excluded.reason, run = excluded.run, until = excluded.until,
                count = excluded.count, execution = excluded.execution, recorded_at = now()
            where $12 or (tick.execution is null and tick.outcome = 'skipped' and excluded.outcome = 'compressed')",
        )
        .bind(&tick.activity)
        .bind(index(tick.trigger)?)
        .bind(record.at)
        .bind(record.until)
        .bind(row::integer(record.count)?)
        .bind(record.outcome.as_str())
        .bind(&record.reason)
        .bind(&record.run)
        .bind(own.then_some(&tick.execution))
        .bind(known.asked_by.as_ref().filter(|_| own))
        .bind(&tick.rule)
        .bind(own)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
