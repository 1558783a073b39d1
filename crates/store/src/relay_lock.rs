//! One relay at a time: a session lock on a connection that does nothing else.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::bell::single_connection;
use crate::{Store, StoreError};

/// "spine" and a number, as bytes: what the relay's advisory lock is called.
const LOCK: i64 = 0x7370_696e_6500_0001;
/// How often the holder asks whether it still is one, should the connection be cut without a word.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits for the answer before it takes the lock for lost.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The right to publish from the outbox. Between the loss of the lock and [`RelayLock::lost`] saying so
/// two relays may publish the same rows; `Nats-Msg-Id` makes that one publication.
#[derive(Debug)]
pub struct RelayLock {
    // A listener that listens to nothing: it reads its idle socket, so it sees a close at once.
    session: PgListener,
}

impl Store {
    /// Takes the relay's lock, or returns `None` while another process has it.
    pub async fn try_relay_lock(&self) -> Result<Option<RelayLock>, StoreError> {
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
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut session).await?;
        Ok(taken.then_some(RelayLock { session }))
    }
}

impl RelayLock {
    /// Returns when the lock is lost. Stop publishing then, and try for it again. Safe to cancel.
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
