//! The inbox: what a batch of events causes, in the one transaction that moves the position.
//!
//! Invariants: a batch is written whole and once, because it is written only if the position is where it begins and
//! moves the position past itself; so what is written stands in the order of the stream. The position's row is
//! taken first, the locks of waits next, the rows of runs and instances last, and each kind in one order; who writes
//! a step takes the locks of its waits before its run's row. So nobody waits for somebody who waits for them.

mod instances;
mod specs;
mod waits;

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use spine_core::inbox::Batch;

use crate::{Store, StoreError, wake};

pub use specs::RegisteredSpecs;
pub(crate) use specs::register;
pub use waits::NewWait;
pub(crate) use waits::{lock_for_step, open as open_waits};

/// The most events that are forgotten at once, so that it holds nobody up.
const FORGET_BATCH: i64 = 10_000;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is written.
    Written,
    /// Nothing was written: the registry has another version than the one whose specs the batch was matched with, or a
    /// later one than the catalog that it was matched with.
    Outdated,
    /// Nothing was written: the position is not where the batch begins.
    Overtaken,
}

/// Who is to be told once a batch is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rings {
    /// There are runs to wake.
    pub(crate) wake: bool,
    /// There are events to publish.
    pub(crate) outbox: bool,
}

impl Rings {
    fn add(&mut self, other: Rings) {
        self.wake |= other.wake;
        self.outbox |= other.outbox;
    }
}

impl Store {
    /// The sequence of the last message that was read into the inbox; `None` if there is no inbox yet.
    pub async fn inbox_position(&self) -> Result<Option<u64>, StoreError> {
        let sequence: Option<i64> =
            sqlx::query_scalar("select sequence from inbox_position").fetch_optional(&self.pool).await?;
        Ok(sequence.map(i64::unsigned_abs))
    }

    /// Makes the inbox, if there is none: it gets what comes after this message.
    pub async fn begin_inbox(&self, after: u64) -> Result<(), StoreError> {
        sqlx::query("insert into inbox_position (sequence) values ($1) on conflict do nothing")
            .bind(sequence(after)?)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Writes what a batch causes and moves the position, both or neither.
    pub async fn deliver_inbox(&self, batch: &Batch) -> Result<Delivered, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        if !move_position(&mut transaction, batch).await? {
            return Ok(Delivered::Overtaken);
        }
        let version = specs::version(&mut transaction).await?;
        if version != batch.registry_version || version > batch.catalog_version {
            return Ok(Delivered::Outdated);
        }
        let mut rings = waits::deliver(&mut transaction, &batch.items).await?;
        for item in &batch.items {
            for instance in &item.instances {
                rings.add(instances::deliver(&mut transaction, item, instance).await?);
            }
        }
        transaction.commit().await?;
        if rings.outbox {
            self.doorbell.ring(&mut connection).await;
        }
        if rings.wake {
            wake::ring(&mut connection).await;
        }
        Ok(Delivered::Written)
    }

    /// Forgets some of the events that were received longer ago than `age`; says how many.
    pub async fn forget_inbox(&self, age: Duration) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "delete from inbox_event where ctid = any (array(
                select ctid from inbox_event where received_at < now() - make_interval(secs => $1) limit $2))",
        )
        .bind(age.as_secs_f64())
        .bind(FORGET_BATCH)
        .execute(&self.pool)
        .await?;
        Ok(gone.rows_affected())
    }
}

async fn move_position(connection: &mut PgConnection, batch: &Batch) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query("update inbox_position set sequence = $2 where sequence = $1")
        .bind(sequence(batch.after)?)
        .bind(sequence(batch.upto)?)
        .execute(connection)
        .await?;
    Ok(moved.rows_affected() == 1)
}

/// A place in the stream, for a `bigint` column.
pub(crate) fn sequence(value: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
