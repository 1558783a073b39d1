//! What was, and who changed it when.

use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::change::Kind;
use crate::{Store, StoreError, row};

/// All that is known of one activity, deleted or not.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// Its revisions, the newest first.
    pub revisions: Vec<RevisionInfo>,
    /// Every change, the newest first.
    pub changes: Vec<ChangeRow>,
}

/// One revision, without its document.
#[derive(Clone, Debug, Serialize)]
pub struct RevisionInfo {
    /// Its number.
    pub revision: u32,
    /// The hash of its document.
    pub hash: String,
    /// When it was first applied.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// By whom.
    pub created_by: String,
    /// Whether new runs get it.
    pub current: bool,
}

/// One change.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeRow {
    /// The version of the registry that it is part of.
    pub version: u64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// By whom.
    pub by: String,
    /// What was done: `created`, `updated`, `rolled_back`, `enabled`, `disabled`, `deleted`.
    pub action: String,
    /// The current revision before.
    pub previous: Option<u32>,
    /// The current revision after.
    pub revision: Option<u32>,
    /// Why, if that was said.
    pub reason: Option<String>,
}

impl Store {
    /// What is known of an activity; nothing of one that never was.
    pub async fn history(&self, activity: &str) -> Result<History, StoreError> {
        let revisions = sqlx::query(
            "select r.revision, r.content_hash, r.created_at, r.created_by,
                coalesce(a.current_revision = r.revision, false) as current
            from activity_revision r left join activity a on a.name = r.activity
            where r.activity = $1 order by r.revision desc",
        )
        .bind(activity)
        .try_map(revision)
        .fetch_all(&self.pool)
        .await?;
        let changes = sqlx::query(
            "select version, at, by_whom, action, previous, revision, reason
            from registry_change where kind = $1 and name = $2 order by id desc",
        )
        .bind(Kind::Activity.column())
        .bind(activity)
        .try_map(change)
        .fetch_all(&self.pool)
        .await?;
        Ok(History { revisions, changes })
    }
}

fn revision(row: PgRow) -> Result<RevisionInfo, sqlx::Error> {
    Ok(RevisionInfo {
        revision: row::number(&row, "revision")?,
        hash: row.try_get("content_hash")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        current: row.try_get("current")?,
    })
}

fn change(row: PgRow) -> Result<ChangeRow, sqlx::Error> {
    let number = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i32>, _>(column)?.map(i32::unsigned_abs));
    Ok(ChangeRow {
        version: row.try_get::<i64, _>("version")?.unsigned_abs(),
        at: row.try_get("at")?,
        by: row.try_get("by_whom")?,
        action: row.try_get("action")?,
        previous: number("previous")?,
        revision: number("revision")?,
        reason: row.try_get("reason")?,
    })
}
