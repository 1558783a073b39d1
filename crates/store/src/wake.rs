//! Runs that something outside of Temporal has woken: a person's answer, an event that was waited for.
//!
//! What woke a run stands in its rows before the wake does, in the same transaction: a run that is woken
//! looks at its rows, so it may be woken twice, or for nothing.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::bell::{self, Bell, Woken};
use crate::{Store, StoreError};

const CHANNEL: &str = "spine_wake";
/// How long whoever takes a wake has to deliver it before another takes it.
const LEASE: Duration = Duration::from_secs(10);

/// A run that is to be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The run's id.
    pub run: String,
    /// How often it was rung for.
    rings: i64,
}

/// Tells when there may be somebody to wake.
#[derive(Debug)]
pub struct WakeListener {
    bell: Bell,
}

impl WakeListener {
    /// Waits for a wake, for `at_most` this long; look whatever it says. Safe to cancel.
    pub async fn wait(&mut self, at_most: Duration) -> Woken {
        self.bell.wait(at_most).await
    }
}

impl Store {
    /// Starts to listen for wakes. Claim after this call and poll every now and then.
    pub async fn wake_listener(&self) -> Result<WakeListener, StoreError> {
        Ok(WakeListener { bell: Bell::listen(&self.pool, CHANNEL).await? })
    }

    /// At most `limit` runs to wake. One that is not said to be woken comes up again after ten seconds.
    pub async fn claim_wakes(&self, limit: u32) -> Result<Vec<Wake>, StoreError> {
        let claimed = sqlx::query(
            "update wake set due_at = now() + make_interval(secs => $1)
            where run in (select run from wake where due_at <= now() order by due_at limit $2 for update skip locked)
            returning run, rings",
        )
        .bind(LEASE.as_secs_f64())
        .bind(i64::from(limit))
        .try_map(|row: PgRow| Ok(Wake { run: row.try_get("run")?, rings: row.try_get("rings")? }))
        .fetch_all(&self.pool)
        .await?;
        Ok(claimed)
    }

    /// Notes that a run was woken, or can't be any more. One that was rung for meanwhile stays.
    pub async fn settle_wake(&self, wake: &Wake) -> Result<(), StoreError> {
        sqlx::query("delete from wake where run = $1 and rings = $2")
            .bind(&wake.run)
            .bind(wake.rings)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// Has a run woken once this transaction is committed. [`ring`] then, or a poll finds it a second later.
pub(crate) async fn insert(connection: &mut PgConnection, run: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into wake (run) values ($1)
        on conflict (run) do update set rings = wake.rings + 1, due_at = now()",
    )
    .bind(run)
    .execute(connection)
    .await?;
    Ok(())
}

/// Says that there is somebody to wake, on a connection that has just committed.
pub(crate) async fn ring(connection: &mut PgConnection) {
    bell::ring(connection, CHANNEL).await;
}
