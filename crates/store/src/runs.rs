//! Opening a run, and what is known of it.

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Row};
use time::OffsetDateTime;

use spine_core::event::Event;
use spine_core::run::{Failure, RunStatus};

use crate::{Store, StoreError, inbox, row};

/// What kind of thing started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// An event that matched.
    Event,
    /// A tick of a schedule, which stands in the row as an event of its own.
    Schedule,
    /// A task of another run, whose call stands in the row as an event of its own.
    Call,
}

impl Trigger {
    /// The word that stands in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Event => "event",
            Trigger::Schedule => "schedule",
            Trigger::Call => "call",
        }
    }
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "event" => Ok(Trigger::Event),
            "schedule" => Ok(Trigger::Schedule),
            "call" => Ok(Trigger::Call),
            other => Err(format!("unknown trigger {other:?}")),
        }
    }
}

/// A run that is about to begin.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The workflow id.
    pub id: String,
    /// Temporal's id of this execution: it tells a retry from a duplicate. `None`: the first that comes claims it.
    pub temporal_run_id: Option<String>,
    /// The activity.
    pub activity: String,
    /// The revision that it keeps.
    pub revision: u32,
    /// What started it.
    pub trigger: Trigger,
    /// The event that started it, or the one that its tick stands for.
    pub event: Event,
    /// Which replay of the event; 0 for none.
    pub replay: u32,
    /// What it is about, if that is not the subject of its event: the key of an instance.
    pub key: Option<String>,
    /// Where the event stands in the EVENTS stream, if it does.
    pub sequence: Option<u64>,
}

/// What opening a run found.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// It is open now.
    New,
    /// This execution has opened it before: a repeated attempt.
    Resumed(Box<RunRow>),
    /// Another execution has opened it before: this one must do nothing.
    Duplicate {
        /// The run that did.
        of: String,
    },
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// The workflow id.
    pub id: String,
    /// Temporal's id of the execution; `None` until one has taken a run that is to be retried, or an instance that was
    /// opened or handed over.
    pub temporal_run_id: Option<String>,
    /// The activity.
    pub activity: String,
    /// The revision.
    pub revision: u32,
    /// What started it.
    pub trigger: Trigger,
    /// The event that started it.
    pub event: Event,
    /// The event's key.
    pub event_key: String,
    /// Which replay of the event; 0 for none.
    pub replay: u32,
    /// Where the event stands in the EVENTS stream, if it does and the run is not of before that was kept.
    pub sequence: Option<u64>,
    /// How often it was retried.
    pub retries: u32,
    /// Where it stands.
    pub status: RunStatus,
    /// What it is about: the key of an instance, or the subject of the event that started it.
    pub key: Option<String>,
    /// The context, once it is resolved.
    pub context: Option<Value>,
    /// The context's hash.
    pub context_hash: Option<String>,
    /// When the context was resolved.
    #[serde(with = "time::serde::rfc3339::option")]
    pub context_at: Option<OffsetDateTime>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// When it was opened.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub closed_at: Option<OffsetDateTime>,
}

impl FromRow<'_, PgRow> for RunRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            temporal_run_id: row.try_get("temporal_run_id")?,
            activity: row.try_get("activity")?,
            revision: row::number(row, "revision")?,
            trigger: row::word(row, "trigger")?,
            event: row::json(row, "event")?,
            event_key: row.try_get("event_key")?,
            replay: row::number(row, "replay")?,
            sequence: row.try_get::<Option<i64>, _>("stream_sequence")?.map(i64::unsigned_abs),
            retries: row::number(row, "retries")?,
            status: row::word(row, "status")?,
            key: row.try_get("key")?,
            context: row::optional_json(row, "context")?,
            context_hash: row.try_get("context_hash")?,
            context_at: row.try_get("context_at")?,
            error: row::optional_json(row, "error")?,
            started_at: row.try_get("started_at")?,
            closed_at: row.try_get("closed_at")?,
        })
    }
}

/// The context that a run decides on.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredContext {
    /// The snapshot.
    pub context: Value,
    /// Its hash.
    pub hash: String,
}

impl Store {
    /// Opens a run, unless the same event has opened one of this activity before. An unknown outcome is
    /// resolved by calling again: the same execution then gets [`Opened::Resumed`].
    pub async fn open_run(&self, new: &NewRun) -> Result<Opened, StoreError> {
        let mut connection = self.pool.acquire().await?;
        open_run(&mut connection, new).await
    }

    /// The run with this id.
    pub async fn load_run(&self, id: &str) -> Result<Option<RunRow>, StoreError> {
        Ok(sqlx::query_as("select * from run where id = $1").bind(id).fetch_optional(&self.pool).await?)
    }

    /// The same, without a context of more than `most` bytes; its hash is there, and [`Store::context_bytes`] tells
    /// how many it has.
    pub async fn load_run_within(&self, id: &str, most: usize) -> Result<Option<RunRow>, StoreError> {
        let run = sqlx::query_as(
            "select id, temporal_run_id, activity, revision, trigger, event, event_key, replay, retries, status, key,
                stream_sequence, case when octet_length(context::text) <= $2 then context end as context, context_hash, context_at,
                error, started_at, closed_at
            from run where id = $1",
        )
        .bind(id)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_optional(&self.pool)
        .await?;
        Ok(run)
    }

    /// How many bytes of JSON the context of a run has; 0 if it has none.
    pub async fn context_bytes(&self, id: &str) -> Result<usize, StoreError> {
        let bytes: Option<i32> =
            sqlx::query_scalar("select coalesce(octet_length(context::text), 0) from run where id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default())
    }

    /// Gives a run that no execution has to this one; says whether it has it.
    pub async fn claim_run(&self, id: &str, execution: &str) -> Result<bool, StoreError> {
        sqlx::query("update run set temporal_run_id = $2 where id = $1 and temporal_run_id is null")
            .bind(id)
            .bind(execution)
            .execute(&self.pool)
            .await?;
        let run = self.load_run_within(id, 0).await?;
        Ok(run.is_some_and(|run| run.temporal_run_id.as_deref() == Some(execution)))
    }

    /// Stores the context of a run unless it has one, and returns the one that counts: the first.
    pub async fn set_context(&self, run: &str, context: &Value, hash: &str) -> Result<StoredContext, StoreError> {
        let stored: Option<(Json<Value>, String)> = sqlx::query_as(
            "update run set context = coalesce(context, $2::json), context_hash = coalesce(context_hash, $3),
                context_at = coalesce(context_at, now())
            where id = $1 returning context, context_hash",
        )
        .bind(run)
        .bind(row::text(context)?)
        .bind(hash)
        .fetch_optional(&self.pool)
        .await?;
        let (context, hash) = stored.ok_or_else(|| StoreError::UnknownRun(run.to_owned()))?;
        Ok(StoredContext { context: context.0, hash })
    }
}

/// Opens a run, as part of a transaction.
pub(crate) async fn open_run(connection: &mut PgConnection, new: &NewRun) -> Result<Opened, StoreError> {
    let inserted = sqlx::query(
        "insert into run (id, temporal_run_id, activity, revision, trigger, event_source, event_id,
            event_key, event_type, replay, event, hops, key, stream_sequence)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::json, $12, $13, $14) on conflict do nothing",
    )
    .bind(&new.id)
    .bind(&new.temporal_run_id)
    .bind(&new.activity)
    .bind(row::integer(new.revision)?)
    .bind(new.trigger.as_str())
    .bind(&new.event.source)
    .bind(&new.event.id)
    .bind(new.event.key().as_str())
    .bind(&new.event.event_type)
    .bind(row::integer(new.replay)?)
    .bind(row::text(&new.event)?)
    // An unreadable extension counts as endless hops; the column is for people and queries only.
    .bind(i64::try_from(new.event.hops()).unwrap_or(i64::MAX))
    .bind(new.key.as_ref().or(new.event.subject.as_ref()))
    .bind(new.sequence.map(inbox::sequence).transpose()?)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Opened::New);
    }
    opened_before(connection, new).await
}

async fn opened_before(connection: &mut PgConnection, new: &NewRun) -> Result<Opened, StoreError> {
    // A statement of its own: the snapshot of the insert may be older than the row it met.
    let row: RunRow = sqlx::query_as(
        "select * from run
        where id = $1 or (activity = $2 and event_key = $3 and replay = $4)
        order by (id = $1) desc limit 1",
    )
    .bind(&new.id)
    .bind(&new.activity)
    .bind(new.event.key().as_str())
    .bind(row::integer(new.replay)?)
    .fetch_one(connection)
    .await?;
    if row.id == new.id && row.temporal_run_id == new.temporal_run_id {
        return Ok(Opened::Resumed(Box::new(row)));
    }
    Ok(Opened::Duplicate { of: row.id })
}
