//! One change of the registry: a transaction, one version, and a line in its log for each thing that changed.

use serde::Serialize;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{Store, StoreError, row};

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An activity.
    Activity,
    /// An event type.
    EventType,
    /// Who may send what.
    Source,
}

impl Kind {
    /// The word after `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Activity => "Activity",
            Kind::EventType => "EventType",
            Kind::Source => "Source",
        }
    }

    /// The kind as it stands in the table.
    pub(super) fn column(self) -> &'static str {
        match self {
            Kind::Activity => "activity",
            Kind::EventType => "event_type",
            Kind::Source => "source",
        }
    }
}

/// What happened to one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Created,
    /// It is different from now on: a new revision, or an older one that is current again.
    Updated,
    /// It was so already.
    Unchanged,
    /// An older revision was made current again.
    RolledBack,
    /// It starts runs from now on.
    Enabled,
    /// It starts nothing from now on.
    Disabled,
    /// It is gone.
    Deleted,
}

impl Change {
    /// The change as people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::RolledBack => "rolled back",
            other => other.column(),
        }
    }

    fn column(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Unchanged => "unchanged",
            Change::RolledBack => "rolled_back",
            Change::Enabled => "enabled",
            Change::Disabled => "disabled",
            Change::Deleted => "deleted",
        }
    }
}

/// What a command did to one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The current revision after it, of an activity that is still there.
    pub revision: Option<u32>,
    /// The current revision before it, of an activity that was there.
    pub previous: Option<u32>,
    /// What happened to it.
    pub change: Change,
}

/// A change that is being made. It holds the lock of the version's row, so changes are made one after
/// another and none is lost.
pub(super) struct Changing {
    transaction: Transaction<'static, Postgres>,
    by: String,
    reason: Option<String>,
    done: Vec<Applied>,
}

impl Store {
    pub(super) async fn change(&self, by: &str, reason: Option<&str>) -> Result<Changing, StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("select version from registry_version for update").execute(&mut *transaction).await?;
        Ok(Changing { transaction, by: by.to_owned(), reason: reason.map(str::to_owned), done: Vec::new() })
    }
}

impl Changing {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Who makes it.
    pub(super) fn by(&self) -> String {
        self.by.clone()
    }

    /// Notes what was done to one thing.
    pub(super) fn note(&mut self, applied: Applied) {
        self.done.push(applied);
    }

    /// Takes everything back, and says what would have been done.
    pub(super) async fn abandon(self) -> Result<Vec<Applied>, StoreError> {
        self.transaction.rollback().await?;
        Ok(self.done)
    }

    /// Makes it so, as one new version of the registry; if nothing changed, there is none.
    pub(super) async fn commit(mut self) -> Result<Vec<Applied>, StoreError> {
        if self.done.iter().any(|one| one.change != Change::Unchanged) {
            // NOTIFY inside the transaction serialises commits; here they are serial and rare anyway.
            let version: i64 = sqlx::query_scalar(
                "with next as (update registry_version set version = version + 1 returning version),
                    rung as (select pg_notify('spine_registry', version::text) from next)
                select version from next, rung",
            )
            .fetch_one(&mut *self.transaction)
            .await?;
            self.log(version).await?;
        }
        self.transaction.commit().await?;
        Ok(self.done)
    }

    async fn log(&mut self, version: i64) -> Result<(), StoreError> {
        for one in self.done.iter().filter(|one| one.change != Change::Unchanged) {
            sqlx::query(
                "insert into registry_change (version, by_whom, kind, name, action, previous, revision, reason)
                values ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(version)
            .bind(&self.by)
            .bind(one.kind.column())
            .bind(&one.name)
            .bind(one.change.column())
            .bind(one.previous.map(row::integer).transpose()?)
            .bind(one.revision.map(row::integer).transpose()?)
            .bind(&self.reason)
            .execute(&mut *self.transaction)
            .await?;
        }
        Ok(())
    }
}
