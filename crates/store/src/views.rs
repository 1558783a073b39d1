//! What operators ask of one run: what it told the world, what the audit knows, how its tasks were tried.

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;

use spine_core::run::Failure;

use crate::{Store, StoreError, row};

/// An event that a run has written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunEvent {
    /// The event in the JSON event format.
    pub event: Value,
    /// What it is published in order with.
    pub key: String,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// What has become of it.
    pub state: PublishState,
}

/// What has become of an event in the outbox.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PublishState {
    /// It waits.
    Pending,
    /// The stream has it.
    Published {
        /// When the relay noted that.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Where it stands in the stream.
        stream_sequence: u64,
    },
    /// It can't be published.
    Parked {
        /// Since when.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Why.
        error: String,
    },
    /// It could not be published, and somebody gave it up.
    Dropped {
        /// When.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Who.
        by: String,
    },
}

impl FromRow<'_, PgRow> for RunEvent {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            event: row::json(row, "event")?,
            key: row.try_get("key")?,
            created_at: row.try_get("created_at")?,
            state: publish_state(row)?,
        })
    }
}

fn publish_state(row: &PgRow) -> Result<PublishState, sqlx::Error> {
    let published: (Option<OffsetDateTime>, Option<i64>) =
        (row.try_get("published_at")?, row.try_get("stream_sequence")?);
    let parked: (Option<OffsetDateTime>, Option<String>) = (row.try_get("parked_at")?, row.try_get("error")?);
    let dropped: (Option<OffsetDateTime>, Option<String>) = (row.try_get("dropped_at")?, row.try_get("dropped_by")?);
    if let (Some(at), Some(by)) = dropped {
        return Ok(PublishState::Dropped { at, by });
    }
    Ok(match (published, parked) {
        ((Some(at), Some(sequence)), _) => PublishState::Published { at, stream_sequence: sequence.unsigned_abs() },
        (_, (Some(at), Some(error))) => PublishState::Parked { at, error },
        _ => PublishState::Pending,
    })
}

/// A fact that the audit keeps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRow {
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What kind of fact.
    pub fact: String,
    /// Tells two facts of one kind apart.
    pub discriminator: String,
    /// The fact.
    pub detail: Value,
}

impl FromRow<'_, PgRow> for AuditRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            at: row.try_get("at")?,
            fact: row.try_get("fact")?,
            discriminator: row.try_get("discriminator")?,
            detail: row::json(row, "detail")?,
        })
    }
}

/// One attempt of a task of our own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttemptRow {
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// Which retry of the run made it; 0 for none.
    pub retry: u32,
    /// Which attempt, counted from 1 in each retry.
    pub attempt: u32,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it failed.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// Why it failed.
    pub error: Option<Failure>,
}

impl FromRow<'_, PgRow> for AttemptRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            task: row.try_get("task")?,
            index: row::number(row, "index")?,
            retry: row::number(row, "retry")?,
            attempt: row::number(row, "attempt")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            error: row::optional_json(row, "error")?,
        })
    }
}

impl Store {
    /// All that a run has told the world, in order, what is parked included.
    pub async fn events_of_run(&self, run: &str) -> Result<Vec<RunEvent>, StoreError> {
        let rows = sqlx::query_as(
            "select id, event, key, created_at, published_at, stream_sequence,
                null::timestamptz as parked_at, null::text as error,
                null::timestamptz as dropped_at, null::text as dropped_by
            from outbox where run = $1
            union all
            select id, event, key, created_at, null, null, parked_at, error, dropped_at, dropped_by
            from outbox_dead where run = $1
            order by id",
        )
        .bind(run)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// What the audit knows of a run, in order.
    pub async fn audit_of(&self, run: &str) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query_as("select at, fact, discriminator, detail from audit where run = $1 order by id")
            .bind(run)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows)
    }

    /// The attempts of a run's tasks, the first first.
    pub async fn attempts_of(&self, run: &str) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = sqlx::query_as(
            r#"select * from task_attempt where run = $1 order by started_at, task collate "C", index, attempt"#,
        )
        .bind(run)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}
