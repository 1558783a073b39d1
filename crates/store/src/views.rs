//! What operators ask: which runs there are, what an event became, what a run told the world.

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;

use spine_core::run::{Failure, RunStatus};

use crate::runs::Trigger;
use crate::{Store, StoreError, row};

/// A run without its event and context.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// The workflow id.
    pub id: String,
    /// The activity.
    pub activity: String,
    /// The revision.
    pub revision: u32,
    /// What started it.
    pub trigger: Trigger,
    /// The type of the event that started it.
    pub event_type: String,
    /// The event's source.
    pub event_source: String,
    /// The event's id.
    pub event_id: String,
    /// Which replay of the event; 0 for none.
    pub replay: u32,
    /// Where it stands.
    pub status: RunStatus,
    /// Why it failed.
    pub error: Option<Failure>,
    /// When it was opened.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub closed_at: Option<OffsetDateTime>,
}

impl FromRow<'_, PgRow> for RunSummary {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            activity: row.try_get("activity")?,
            revision: row::number(row, "revision")?,
            trigger: row::word(row, "trigger")?,
            event_type: row.try_get("event_type")?,
            event_source: row.try_get("event_source")?,
            event_id: row.try_get("event_id")?,
            replay: row::number(row, "replay")?,
            status: row::word(row, "status")?,
            error: row::optional_json(row, "error")?,
            started_at: row.try_get("started_at")?,
            closed_at: row.try_get("closed_at")?,
        })
    }
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only those of this activity.
    pub activity: Option<String>,
    /// Only those that stand here.
    pub status: Option<RunStatus>,
    /// At most this many, the newest.
    pub limit: u32,
}

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

impl Store {
    /// The newest runs that pass the filter, the newest first.
    pub async fn list_runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        let rows = sqlx::query_as(
            "select id, activity, revision, trigger, event_type, event_source, event_id, replay, status, error,
                started_at, closed_at
            from run where ($1::text is null or activity = $1) and ($2::text is null or status = $2)
            order by started_at desc, id limit $3",
        )
        .bind(&filter.activity)
        .bind(filter.status.map(RunStatus::as_str))
        .bind(i64::from(filter.limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// The runs that an event started, the first first. Without a source: of every event with this id.
    pub async fn runs_of_event(&self, source: Option<&str>, id: &str) -> Result<Vec<RunSummary>, StoreError> {
        let rows = sqlx::query_as(
            "select id, activity, revision, trigger, event_type, event_source, event_id, replay, status, error,
                started_at, closed_at
            from run where event_id = $1 and ($2::text is null or event_source = $2) order by started_at, id",
        )
        .bind(id)
        .bind(source)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// All that a run has told the world, in order, what is parked included.
    pub async fn events_of_run(&self, run: &str) -> Result<Vec<RunEvent>, StoreError> {
        let rows = sqlx::query_as(
            "select id, event, key, created_at, published_at, stream_sequence,
                null::timestamptz as parked_at, null::text as error
            from outbox where run = $1
            union all
            select id, event, key, created_at, null, null, parked_at, error from outbox_dead where run = $1
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
}
