//! Schedules that operators have paused.

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;

use crate::ticks::index;
use crate::{Store, StoreError, row};

/// A pause that goes on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PauseRow {
    /// The activity.
    #[serde(skip)]
    pub activity: String,
    /// Which of its triggers.
    #[serde(skip)]
    pub trigger: u32,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// By whom.
    pub by: String,
    /// Why, if that was said.
    pub reason: Option<String>,
}

impl FromRow<'_, PgRow> for PauseRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            activity: row.try_get("activity")?,
            trigger: row::number(row, "trigger")?,
            at: row.try_get("paused_at")?,
            by: row.try_get("paused_by")?,
            reason: row.try_get("reason")?,
        })
    }
}

impl Store {
    /// Pauses a schedule; false if it is paused already.
    pub async fn pause_schedule(
        &self,
        activity: &str,
        trigger: usize,
        by: &str,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into schedule_pause (activity, trigger, paused_by, reason) values ($1, $2, $3, $4)
            on conflict (activity, trigger) where resumed_at is null do nothing",
        )
        .bind(activity)
        .bind(index(trigger)?)
        .bind(by)
        .bind(reason)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends the pause of a schedule; false if it is not paused.
    pub async fn resume_schedule(&self, activity: &str, trigger: usize, by: &str) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update schedule_pause set resumed_at = now(), resumed_by = $3
            where activity = $1 and trigger = $2 and resumed_at is null",
        )
        .bind(activity)
        .bind(index(trigger)?)
        .bind(by)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// All pauses that go on.
    pub async fn paused_schedules(&self) -> Result<Vec<PauseRow>, StoreError> {
        let rows =
            sqlx::query_as("select * from schedule_pause where resumed_at is null").fetch_all(&self.pool).await?;
        Ok(rows)
    }
}
