//! What one process at a time does: a session lock on a connection that does nothing else.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::bell::single_connection;
use crate::{Store, StoreError};

/// What one process at a time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Publishing from the outbox, and projecting the catalog.
    Relay,
    /// Reading events into the inbox.
    Inbox,
}

impl Duty {
    /// "spine" and a number, as bytes: what the duty's advisory lock is called.
    fn lock(self) -> i64 {
        match self {
            Duty::Relay => 0x7370_696e_6500_0001,
            Duty::Inbox => 0x7370_696e_6500_0002,
        }
    }
}

/// How often the holder asks whether it still is one, should the connection be cut without a word.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits for the answer before it takes the lock for lost.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The right to a duty. Between the loss of the lock and [`DutyLock::lost`] saying so two processes may do the same;
/// whatever they do must bear that. Two relays may publish the same rows, and `Nats-Msg-Id` makes that one
/// publication; of two readers of the inbox, one moves the position first and the other writes nothing.
#[derive(Debug)]
pub struct DutyLock {
    // A listener that listens to nothing: it reads its idle socket, so it sees a close at once.
    session: PgListener,
}

impl Store {
    /// Takes the lock of a duty, or returns `None` while another process has it.
    pub async fn try_duty(&self, duty: Duty) -> Result<Option<DutyLock>, StoreError> {
        let mut session = PgListener::connect_with(&single_connection(&self.pool)).await?;
        // Reconnecting would give a session without the lock.
        session.eager_reconnect(false);
        let session_settings = [
            "set client_connection_check_interval = '1s'",
            "set tcp_keepalives_idle = 10",
            "set tcp_keepalives_interval = 5",
            "set tcp_keepalives_count = 3",
        ];
        for setting in session_settings {
            if let Err(error) = sqlx::query(setting).execute(&mut session).await {
                // Not every platform has each of them; without them a takeover is later, not wrong.
                tracing::debug!(setting, %error, "not available");
            }
        }
        let taken: bool =
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(duty.lock()).fetch_one(&mut session).await?;
        Ok(taken.then_some(DutyLock { session }))
    }
}

impl DutyLock {
    /// Returns when the lock is lost. Stop then, and try for it again. Safe to cancel.
    pub async fn lost(&mut self) {
        loop {
            match timeout(CHECK_INTERVAL, self.session.try_recv()).await {
                Err(_) if self.is_held().await => {}
                Ok(Ok(Some(_))) => {}
                _ => return,
            }
        }
    }

    /// Gives the lock back at once.
    pub async fn release(mut self) -> Result<(), StoreError> {
        sqlx::query("select pg_advisory_unlock_all()").execute(&mut self.session).await?;
        Ok(())
    }

    async fn is_held(&mut self) -> bool {
        let held = sqlx::query_scalar(
            "select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())",
        )
        .fetch_one(&mut self.session);
        matches!(timeout(CHECK_TIMEOUT, held).await, Ok(Ok(true)))
    }
}
