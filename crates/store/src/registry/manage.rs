//! Changes of what is there: enabled or not, an older revision again, gone.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::change::{Applied, Change, Changing, Kind};
use crate::{Store, StoreError, row};

/// Where an activity stands.
struct Standing {
    revision: u32,
    enabled: bool,
}

impl Store {
    /// Lets these activities start runs, or stops them: all or none. Runs in flight are left alone. Fails with
    /// [`StoreError::Unknown`] if one is not there.
    pub async fn set_enabled(
        &self,
        names: &[String],
        enabled: bool,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Vec<Applied>, StoreError> {
        let mut changing = self.change(by, reason).await?;
        for name in names {
            let standing = standing(&mut changing, name).await?;
            let change = match (standing.enabled == enabled, enabled) {
                (true, _) => Change::Unchanged,
                (false, true) => Change::Enabled,
                (false, false) => Change::Disabled,
            };
            if change != Change::Unchanged {
                sqlx::query("update activity set enabled = $2, updated_by = $3, updated_at = now() where name = $1")
                    .bind(name)
                    .bind(enabled)
                    .bind(by)
                    .execute(changing.connection())
                    .await?;
            }
            let revision = Some(standing.revision);
            changing.note(Applied { kind: Kind::Activity, name: name.clone(), revision, previous: revision, change });
        }
        changing.commit().await
    }

    /// Makes an older revision current again; without `to`, the one that was current before. Fails with
    /// [`StoreError::Unknown`] if the activity is not there, and with [`StoreError::NoRevision`] if the revision
    /// is not.
    pub async fn rollback(
        &self,
        name: &str,
        to: Option<u32>,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Applied, StoreError> {
        let mut changing = self.change(by, reason).await?;
        let standing = standing(&mut changing, name).await?;
        let revision = match to {
            Some(revision) => revision,
            None => before(&mut changing, name, standing.revision).await?,
        };
        let found: Option<i32> =
            sqlx::query_scalar("select revision from activity_revision where activity = $1 and revision = $2")
                .bind(name)
                .bind(row::integer(revision)?)
                .fetch_optional(changing.connection())
                .await?;
        if found.is_none() {
            return Err(StoreError::NoRevision { name: name.to_owned(), revision: Some(revision) });
        }
        let change = if revision == standing.revision { Change::Unchanged } else { Change::RolledBack };
        sqlx::query("update activity set current_revision = $2, updated_by = $3, updated_at = now() where name = $1")
            .bind(name)
            .bind(row::integer(revision)?)
            .bind(by)
            .execute(changing.connection())
            .await?;
        let applied = Applied {
            kind: Kind::Activity,
            name: name.to_owned(),
            revision: Some(revision),
            previous: Some(standing.revision),
            change,
        };
        changing.note(applied.clone());
        changing.commit().await?;
        Ok(applied)
    }

    /// Deletes all of these, or none. Revisions stay, for runs in flight. Fails with [`StoreError::Unknown`] if
    /// one is not there.
    pub async fn delete(
        &self,
        kind: Kind,
        names: &[String],
        by: &str,
        reason: Option<&str>,
    ) -> Result<Vec<Applied>, StoreError> {
        let mut changing = self.change(by, reason).await?;
        for name in names {
            delete(&mut changing, kind, name).await?;
        }
        changing.commit().await
    }
}

/// Deletes one thing.
pub(super) async fn delete(changing: &mut Changing, kind: Kind, name: &str) -> Result<(), StoreError> {
    let statement = match kind {
        Kind::Activity => "delete from activity where name = $1 returning current_revision as revision",
        Kind::EventType => "delete from event_type where name = $1 returning null::integer as revision",
        Kind::Source => "delete from event_source where name = $1 returning null::integer as revision",
    };
    let found: Option<Option<i32>> =
        sqlx::query_scalar(statement).bind(name).fetch_optional(changing.connection()).await?;
    let Some(revision) = found else { return Err(StoreError::Unknown { kind, name: name.to_owned() }) };
    let previous = revision.map(i32::unsigned_abs);
    changing.note(Applied { kind, name: name.to_owned(), revision: None, previous, change: Change::Deleted });
    Ok(())
}

async fn standing(changing: &mut Changing, name: &str) -> Result<Standing, StoreError> {
    let found = sqlx::query("select current_revision, enabled from activity where name = $1")
        .bind(name)
        .try_map(|row: PgRow| {
            Ok(Standing { revision: row::number(&row, "current_revision")?, enabled: row.try_get("enabled")? })
        })
        .fetch_optional(changing.connection())
        .await?;
    found.ok_or_else(|| StoreError::Unknown { kind: Kind::Activity, name: name.to_owned() })
}

/// The revision that was current before the present one, by the log.
async fn before(changing: &mut Changing, name: &str, revision: u32) -> Result<u32, StoreError> {
    let found: Option<i32> = sqlx::query_scalar(
        "select previous from registry_change
        where kind = 'activity' and name = $1 and revision = $2 and previous is distinct from revision
        order by id desc limit 1",
    )
    .bind(name)
    .bind(row::integer(revision)?)
    .fetch_optional(changing.connection())
    .await?
    .flatten();
    found.map(i32::unsigned_abs).ok_or_else(|| StoreError::NoRevision { name: name.to_owned(), revision: None })
}
