//! The only SQL: migrations, registry, runs, tasks, outbox.
//!
//! Invariants: every write is safe to repeat, because each row's identity follows from what it stands
//! for; whoever writes a run's rows holds the run's row lock first and takes outbox ids after it, so
//! outbox ids of one run are in commit order; nothing is notified inside a business transaction, because
//! that would serialise all commits.

mod asking;
mod bell;
mod duty;
mod ending;
mod error;
mod inbox;
mod instances;
mod outbox;
mod parked;
mod pauses;
mod people;
mod query;
mod registry;
mod retry;
mod row;
mod runs;
mod step;
mod summaries;
mod tasks;
mod ticks;
mod views;
mod wake;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

pub use asking::{Asked, Escalated, Escalation};
pub use bell::Woken;
pub use duty::{Duty, DutyLock};
pub use error::StoreError;
pub use inbox::{Delivered, NewWait, RegisteredSpecs};
pub use instances::{Fold, GivenTo, InstanceEvent, InstanceRow};
pub use outbox::{OutboxEvent, OutboxListener, OutboxRow, OutboxStats};
pub use parked::ParkedRow;
pub use pauses::PauseRow;
pub use people::{Answer, HumanFilter, HumanKey, HumanStatus, HumanTask, PeopleError};
pub use query::{MAX_BYTES, MAX_ROWS, QueryDatabase, QueryError};
pub use registry::{
    ActivityRow, Applied, ApplyOptions, Change, ChangeRow, CurrentRevision, DocumentRow, History, Kind, NewDocument,
    NewRevision, Prune, RegistryChanges, RevisionInfo, RevisionRow,
};
pub use retry::{Retried, RetryFrom};
pub use runs::{NewRun, Opened, RunRow, StoredContext, Trigger};
pub use step::{AuditEntry, FinishedTask, NewTask, SkippedTask, StepRecord};
pub use summaries::{RunFilter, RunSummary};
pub use tasks::{Finished, TaskRow};
pub use ticks::{KnownTicks, NewTick, SettledTick, Tick, TickOutcome, TickRow, rfc3339};
pub use views::{AttemptRow, AuditRow, PublishState, RunEvent};
pub use wake::{Wake, WakeListener};

/// The most connections one process opens: more than a worker's concurrent activities gain from, and
/// few enough that five processes fit into PostgreSQL's default of 100.
const MAX_CONNECTIONS: u32 = 16;
/// How long a caller waits for a connection before it is told that the database is out of reach.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle on the database. Clones share one pool.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    doorbell: Arc<outbox::Doorbell>,
}

impl Store {
    /// Connects, and fails if the database cannot be reached within five seconds.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options = connect_options(url)?;
        Ok(Self::new(pool_options().connect_with(options).await?))
    }

    /// A handle that connects when it is first used. Fails only if `url` is malformed.
    pub fn connect_lazy(url: &str) -> Result<Self, StoreError> {
        let options = connect_options(url)?;
        Ok(Self::new(pool_options().connect_lazy_with(options)))
    }

    /// Asks the database for an answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Brings the schema up to date. Safe to call from several processes at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        Ok(sqlx::migrate!("./migrations").run(&self.pool).await?)
    }

    /// The pool, for gauges of its size and for a close that waits.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    fn new(pool: PgPool) -> Self {
        Self { pool, doorbell: Arc::default() }
    }
}

fn connect_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    Ok(PgConnectOptions::from_str(url)?.application_name("spine"))
}

fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // The ping before each use halves the throughput; a dead connection shows itself as a transient error.
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // A forgotten transaction would hold back vacuum, and with it the outbox.
                sqlx::query("set idle_in_transaction_session_timeout = '30s'").execute(connection).await?;
                Ok(())
            })
        })
}
