//! A NOTIFY, and waiting for it with a poll behind it.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody rang.
    Rung,
    /// The time was up, or the connection was lost and something may have been missed: look anyway.
    Poll,
}

/// A connection of its own that LISTENs on one channel. A lost connection never fails a wait: the caller
/// polls until it is back.
#[derive(Debug)]
pub(crate) struct Bell {
    own: PgPool,
    channel: &'static str,
    listener: Option<PgListener>,
}

impl Bell {
    /// Listens on `channel` from now on.
    pub(crate) async fn listen(pool: &PgPool, channel: &'static str) -> Result<Self, sqlx::Error> {
        let mut bell = Self { own: single_connection(pool), channel, listener: None };
        bell.connect().await?;
        Ok(bell)
    }

    /// Waits for a ring, for `at_most` this long. Rings that came in since the last call count, as one.
    pub(crate) async fn wait(&mut self, at_most: Duration) -> Woken {
        let until = Instant::now() + at_most;
        if self.listener.is_none() {
            return self.reconnect(until).await;
        }
        let Some(listener) = &mut self.listener else { return Woken::Poll };
        match timeout_at(until, listener.try_recv()).await {
            Err(_) => Woken::Poll,
            Ok(Ok(Some(_))) => {
                while listener.next_buffered().is_some() {}
                Woken::Rung
            }
            Ok(Ok(None)) => Woken::Poll,
            Ok(Err(error)) => {
                tracing::warn!(channel = self.channel, %error, "lost the notification connection, polling");
                self.listener = None;
                Woken::Poll
            }
        }
    }

    async fn connect(&mut self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.own).await?;
        listener.listen(self.channel).await?;
        self.listener = Some(listener);
        Ok(())
    }

    async fn reconnect(&mut self, until: Instant) -> Woken {
        match timeout_at(until, self.connect()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(channel = self.channel, %error, "still polling");
                sleep_until(until).await;
            }
            Err(_) => {}
        }
        Woken::Poll
    }
}

/// Rings on a connection that has just committed. A failure costs the listener one poll, nothing else.
pub(crate) async fn ring(connection: &mut PgConnection, channel: &'static str) {
    // A notifying commit holds a lock that all others want: it must not wait for the disk.
    let rung = sqlx::query("select set_config('synchronous_commit', 'off', true), pg_notify($1, '')")
        .bind(channel)
        .execute(connection)
        .await;
    if let Err(error) = rung {
        tracing::debug!(channel, %error, "could not ring");
    }
}

/// A pool of one connection to the same database, for what must not share.
pub(crate) fn single_connection(pool: &PgPool) -> PgPool {
    PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(crate::ACQUIRE_TIMEOUT)
        .connect_lazy_with((*pool.connect_options()).clone())
}
