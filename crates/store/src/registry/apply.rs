//! Writing the registry: all or nothing, one writer at a time.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use crate::{Store, StoreError, row};

/// An activity as it shall be.
#[derive(Clone, Debug)]
pub struct NewRevision {
    /// The activity's name.
    pub name: String,
    /// The hash of the document's canonical text.
    pub hash: String,
    /// The activity.
    pub document: Value,
}

/// An event type as it shall be.
#[derive(Clone, Debug)]
pub struct NewEventType {
    /// The type.
    pub name: String,
    /// The hash of the document's canonical text.
    pub hash: String,
    /// The event type.
    pub document: Value,
}

/// What kind of thing was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An activity.
    Activity,
    /// An event type.
    EventType,
}

impl Kind {
    /// The word after `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Activity => "Activity",
            Kind::EventType => "EventType",
        }
    }
}

/// What applying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Created,
    /// It is different from now on: a new revision, or an older one that is current again.
    Updated,
    /// It was so already.
    Unchanged,
}

impl Change {
    /// The change as people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Unchanged => "unchanged",
        }
    }
}

/// What applying did to one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The current revision, of an activity.
    pub revision: Option<u32>,
    /// What happened to it.
    pub change: Change,
}

impl Store {
    /// Makes all of these current, or none: one transaction, serialised with every other by the lock of
    /// the version's row. With `dry_run` it tells what it would do and changes nothing. The results
    /// stand in the order of the arguments, activities first.
    pub async fn apply(
        &self,
        activities: &[NewRevision],
        event_types: &[NewEventType],
        by: &str,
        dry_run: bool,
    ) -> Result<Vec<Applied>, StoreError> {
        refuse_repeats("activity", activities.iter().map(|new| new.name.as_str()))?;
        refuse_repeats("event type", event_types.iter().map(|new| new.name.as_str()))?;
        let mut transaction = self.pool.begin().await?;
        sqlx::query("select version from registry_version for update").execute(&mut *transaction).await?;
        let mut applied = Vec::with_capacity(activities.len() + event_types.len());
        for new in activities {
            applied.push(apply_activity(&mut transaction, new, by).await?);
        }
        for new in event_types {
            applied.push(apply_event_type(&mut transaction, new, by).await?);
        }
        if dry_run {
            transaction.rollback().await?;
            return Ok(applied);
        }
        if applied.iter().any(|one| one.change != Change::Unchanged) {
            // NOTIFY inside the transaction serialises commits; here they are serial and rare anyway.
            sqlx::query(
                "with next as (update registry_version set version = version + 1 returning version)
                select pg_notify('spine_registry', version::text) from next",
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(applied)
    }
}

async fn apply_activity(connection: &mut PgConnection, new: &NewRevision, by: &str) -> Result<Applied, StoreError> {
    let (current, same, last) = standing(connection, new).await?;
    let applied = |revision: i32, change| {
        let revision = Some(revision.unsigned_abs());
        Ok(Applied { kind: Kind::Activity, name: new.name.clone(), revision, change })
    };
    if let (Some(current), Some(same)) = (current, same)
        && current == same
    {
        return applied(current, Change::Unchanged);
    }
    let revision = match same {
        Some(revision) => revision,
        None => insert_revision(connection, new, last + 1, by).await?,
    };
    sqlx::query(
        "insert into activity (name, current_revision, updated_by) values ($1, $2, $3)
        on conflict (name) do update
        set current_revision = excluded.current_revision, updated_by = excluded.updated_by, updated_at = now()",
    )
    .bind(&new.name)
    .bind(revision)
    .bind(by)
    .execute(&mut *connection)
    .await?;
    applied(revision, if current.is_none() { Change::Created } else { Change::Updated })
}

/// The current revision, the revision with the same content, and the last revision (0: there is none).
async fn standing(
    connection: &mut PgConnection,
    new: &NewRevision,
) -> Result<(Option<i32>, Option<i32>, i32), sqlx::Error> {
    sqlx::query_as(
        "select (select current_revision from activity where name = $1),
            (select revision from activity_revision where activity = $1 and content_hash = $2),
            (select coalesce(max(revision), 0) from activity_revision where activity = $1)",
    )
    .bind(&new.name)
    .bind(&new.hash)
    .fetch_one(connection)
    .await
}

async fn insert_revision(
    connection: &mut PgConnection,
    new: &NewRevision,
    revision: i32,
    by: &str,
) -> Result<i32, sqlx::Error> {
    sqlx::query(
        "insert into activity_revision (activity, revision, content_hash, document, created_by)
        values ($1, $2, $3, $4::json, $5)",
    )
    .bind(&new.name)
    .bind(revision)
    .bind(&new.hash)
    .bind(row::text(&new.document)?)
    .bind(by)
    .execute(connection)
    .await?;
    Ok(revision)
}

async fn apply_event_type(connection: &mut PgConnection, new: &NewEventType, by: &str) -> Result<Applied, StoreError> {
    let current: Option<String> = sqlx::query_scalar("select content_hash from event_type where name = $1")
        .bind(&new.name)
        .fetch_optional(&mut *connection)
        .await?;
    let change = match current {
        Some(hash) if hash == new.hash => Change::Unchanged,
        Some(_) => Change::Updated,
        None => Change::Created,
    };
    if change != Change::Unchanged {
        sqlx::query(
            "insert into event_type (name, content_hash, document, updated_by) values ($1, $2, $3::json, $4)
            on conflict (name) do update set content_hash = excluded.content_hash,
                document = excluded.document, updated_by = excluded.updated_by, updated_at = now()",
        )
        .bind(&new.name)
        .bind(&new.hash)
        .bind(row::text(&new.document)?)
        .bind(by)
        .execute(connection)
        .await?;
    }
    Ok(Applied { kind: Kind::EventType, name: new.name.clone(), revision: None, change })
}

fn refuse_repeats<'a>(kind: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(StoreError::NamedTwice { kind, name: name.to_owned() });
        }
    }
    Ok(())
}
