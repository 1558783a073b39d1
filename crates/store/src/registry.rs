//! Activities, their revisions, and event types: what `spine apply` writes and routers decide by.

mod apply;
mod change;
mod history;
mod manage;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use time::OffsetDateTime;

use spine_core::catalog::CatalogState;

pub use apply::{ApplyOptions, NewDocument, NewRevision, Prune};
pub use change::{Applied, Change, Kind};
pub use history::{ChangeRow, History, RevisionInfo};

use crate::bell::Bell;
use crate::{Store, StoreError, row};

const CHANNEL: &str = "spine_registry";
/// How often the version is read although nobody rang: how late a lost notification can make us.
const POLL: Duration = Duration::from_secs(2);

/// One activity.
#[derive(Clone, Debug, Serialize)]
pub struct ActivityRow {
    /// Its name.
    pub name: String,
    /// The revision that new runs get.
    pub revision: u32,
    /// The hash of that revision's document.
    pub hash: String,
    /// False: it starts nothing.
    pub enabled: bool,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// By whom.
    pub updated_by: String,
}

/// One event type, or one source.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentRow {
    /// Its name.
    pub name: String,
    /// The hash of its document.
    pub hash: String,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// By whom.
    pub updated_by: String,
}

/// One immutable revision.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionRow {
    /// The hash of the document.
    pub hash: String,
    /// The activity as it was applied.
    pub document: Value,
    /// When it was first applied.
    pub created_at: OffsetDateTime,
    /// By whom.
    pub created_by: String,
}

/// The revision that new runs get.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentRevision {
    /// Its number.
    pub revision: u32,
    /// The hash of the document.
    pub hash: String,
    /// The activity as it was applied.
    pub document: Value,
    /// False: the activity starts nothing.
    pub enabled: bool,
}

impl Store {
    /// The whole state of the registry, as of one moment, sorted by name.
    pub async fn catalog_state(&self) -> Result<CatalogState, StoreError> {
        // One statement is one snapshot.
        let head: Json<CatalogState> = sqlx::query_scalar(
            r#"select json_build_object(
                'version', (select version from registry_version),
                'activities', coalesce((
                    select json_agg(json_build_object('name', a.name, 'revision', r.revision,
                        'hash', r.content_hash, 'enabled', a.enabled) order by a.name collate "C")
                    from activity a
                    join activity_revision r on r.activity = a.name and r.revision = a.current_revision), '[]'),
                'eventTypes', coalesce((
                    select json_agg(json_build_object('name', name, 'hash', content_hash) order by name collate "C")
                    from event_type), '[]'),
                'sources', coalesce((
                    select json_agg(json_build_object('name', name, 'hash', content_hash) order by name collate "C")
                    from event_source), '[]'))"#,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(head.0)
    }

    /// The documents with these hashes, in no particular order. One is missing if an event type or a source has been
    /// changed since its hash was read: then read the head again.
    pub async fn documents(&self, hashes: &[String]) -> Result<Vec<(String, Value)>, StoreError> {
        let rows: Vec<(String, Json<Value>)> = sqlx::query_as(
            "select distinct on (content_hash) content_hash, document from (
                select content_hash, document from activity_revision where content_hash = any($1)
                union all
                select content_hash, document from event_type where content_hash = any($1)
                union all
                select content_hash, document from event_source where content_hash = any($1)) d",
        )
        .bind(hashes)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(hash, document)| (hash, document.0)).collect())
    }

    /// All activities, by name.
    pub async fn list_activities(&self) -> Result<Vec<ActivityRow>, StoreError> {
        let rows = sqlx::query(
            r#"select a.name, r.revision, r.content_hash, a.enabled, a.updated_at, a.updated_by
            from activity a join activity_revision r on r.activity = a.name and r.revision = a.current_revision
            order by a.name collate "C""#,
        )
        .try_map(|row: PgRow| {
            Ok(ActivityRow {
                name: row.try_get("name")?,
                revision: row::number(&row, "revision")?,
                hash: row.try_get("content_hash")?,
                enabled: row.try_get("enabled")?,
                updated_at: row.try_get("updated_at")?,
                updated_by: row.try_get("updated_by")?,
            })
        })
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// All event types, by name.
    pub async fn list_event_types(&self) -> Result<Vec<DocumentRow>, StoreError> {
        self.list_documents(
            r#"select name, content_hash, updated_at, updated_by from event_type order by name collate "C""#,
        )
        .await
    }

    /// All sources, by name.
    pub async fn list_sources(&self) -> Result<Vec<DocumentRow>, StoreError> {
        self.list_documents(
            r#"select name, content_hash, updated_at, updated_by from event_source order by name collate "C""#,
        )
        .await
    }

    async fn list_documents(&self, query: &'static str) -> Result<Vec<DocumentRow>, StoreError> {
        let rows = sqlx::query(query)
            .try_map(|row: PgRow| {
                Ok(DocumentRow {
                    name: row.try_get("name")?,
                    hash: row.try_get("content_hash")?,
                    updated_at: row.try_get("updated_at")?,
                    updated_by: row.try_get("updated_by")?,
                })
            })
            .fetch_all(&self.pool)
            .await?;
        Ok(rows)
    }

    /// One revision, or `None` if it was never applied.
    pub async fn revision(&self, activity: &str, revision: u32) -> Result<Option<RevisionRow>, StoreError> {
        let found = sqlx::query(
            "select content_hash, document, created_at, created_by
            from activity_revision where activity = $1 and revision = $2",
        )
        .bind(activity)
        .bind(row::integer(revision)?)
        .try_map(|row: PgRow| {
            Ok(RevisionRow {
                hash: row.try_get("content_hash")?,
                document: row::json(&row, "document")?,
                created_at: row.try_get("created_at")?,
                created_by: row.try_get("created_by")?,
            })
        })
        .fetch_optional(&self.pool)
        .await?;
        Ok(found)
    }

    /// The revision that a new run of this activity gets, or `None` if there is no such activity.
    pub async fn current_revision(&self, activity: &str) -> Result<Option<CurrentRevision>, StoreError> {
        let found = sqlx::query(
            "select r.revision, r.content_hash, r.document, a.enabled
            from activity a join activity_revision r on r.activity = a.name and r.revision = a.current_revision
            where a.name = $1",
        )
        .bind(activity)
        .try_map(|row: PgRow| {
            Ok(CurrentRevision {
                revision: row::number(&row, "revision")?,
                hash: row.try_get("content_hash")?,
                document: row::json(&row, "document")?,
                enabled: row.try_get("enabled")?,
            })
        })
        .fetch_optional(&self.pool)
        .await?;
        Ok(found)
    }

    /// The version of the registry: it grows by one with every change.
    pub async fn registry_version(&self) -> Result<u64, StoreError> {
        let version: i64 = sqlx::query_scalar("select version from registry_version").fetch_one(&self.pool).await?;
        Ok(version.unsigned_abs())
    }

    /// Starts to listen for changes. Read the head after this call and none can be missed.
    pub async fn registry_changes(&self) -> Result<RegistryChanges, StoreError> {
        Ok(RegistryChanges { bell: Bell::listen(&self.pool, CHANNEL).await?, store: self.clone() })
    }
}

/// Tells when the registry has changed.
#[derive(Debug)]
pub struct RegistryChanges {
    bell: Bell,
    store: Store,
}

impl RegistryChanges {
    /// Waits until the registry is newer than `since`, and returns its version. Safe to cancel.
    pub async fn wait(&mut self, since: u64) -> Result<u64, StoreError> {
        loop {
            let version = self.store.registry_version().await?;
            if version > since {
                return Ok(version);
            }
            self.bell.wait(POLL).await;
        }
    }
}
