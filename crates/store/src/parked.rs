//! Outbox rows that could not be published, and what people do with them.

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;

use spine_core::event::Event;

use crate::{Store, StoreError, row};

/// A row that is set aside. Unless it is dropped, it holds back what comes after it under its key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParkedRow {
    /// Its place in the outbox's order.
    pub id: i64,
    /// The event's source.
    pub event_source: String,
    /// The event's id.
    pub event_id: String,
    /// The event in the JSON event format, which it may break: that may be why it is here.
    pub event: Value,
    /// What it is published in order with.
    pub key: String,
    /// The run that it tells of.
    pub run: Option<String>,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was set aside.
    #[serde(with = "time::serde::rfc3339")]
    pub parked_at: OffsetDateTime,
    /// Why.
    pub error: String,
    /// How many rows wait behind it.
    pub holds_back: i64,
    /// When somebody dropped it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub dropped_at: Option<OffsetDateTime>,
    /// Who did.
    pub dropped_by: Option<String>,
    /// Why they did.
    pub dropped_because: Option<String>,
}

impl FromRow<'_, PgRow> for ParkedRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            event_source: row.try_get("event_source")?,
            event_id: row.try_get("event_id")?,
            event: row::json(row, "event")?,
            key: row.try_get("key")?,
            run: row.try_get("run")?,
            created_at: row.try_get("created_at")?,
            parked_at: row.try_get("parked_at")?,
            error: row.try_get("error")?,
            holds_back: row.try_get("holds_back")?,
            dropped_at: row.try_get("dropped_at")?,
            dropped_by: row.try_get("dropped_by")?,
            dropped_because: row.try_get("dropped_because")?,
        })
    }
}

impl Store {
    /// The rows that are set aside, in their order; with `dropped`, those too that somebody dropped.
    pub async fn parked_rows(&self, dropped: bool) -> Result<Vec<ParkedRow>, StoreError> {
        let rows = sqlx::query_as(
            "select d.*, case when d.dropped_at is null then (
                select count(*) from outbox o where o.key = d.key and o.lane = d.lane and o.published_at is null
            ) else 0 end as holds_back
            from outbox_dead d where $1 or d.dropped_at is null order by d.id",
        )
        .bind(dropped)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Puts a row back to where it was, for the relay to try again, with `event` in place of its own if there is
    /// one, and notes who did that. False if no row with this id is set aside.
    pub async fn retry_parked(
        &self,
        id: i64,
        by: &str,
        because: Option<&str>,
        event: Option<&Event>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "with row as (delete from outbox_dead where id = $1 and dropped_at is null returning *),
            mark as (
                insert into outbox_mark (outbox_id, action, by, because, error, parked_at, replaced)
                select id, 'retried', $2, $3, error, parked_at, case when $4::json is not null then event end from row)
            insert into outbox (id, event_source, event_id, key, event, run, created_at)
            select id, event_source, event_id, key, coalesce($4::json, event), run, created_at from row",
        )
        .bind(id)
        .bind(by)
        .bind(because)
        .bind(row::optional_text(event)?)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives up a row: its event is never published, and what waits behind it goes on. False if no row with this id
    /// is set aside.
    pub async fn drop_parked(&self, id: i64, by: &str, because: &str) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "with row as (
                update outbox_dead set dropped_at = now(), dropped_by = $2, dropped_because = $3
                where id = $1 and dropped_at is null returning *)
            insert into outbox_mark (outbox_id, action, by, because, error, parked_at)
            select id, 'dropped', $2, $3, error, parked_at from row",
        )
        .bind(id)
        .bind(by)
        .bind(because)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
