//! What can go wrong with the database, and whether another attempt may help.

use sqlx::migrate::MigrateError;

use spine_core::run::RunStatus;

use crate::registry::Kind;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database could not be reached or refused the statement.
    #[error("use the database")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or the database has migrations that this binary does not know.
    #[error("migrate the database")]
    Migrate(#[from] MigrateError),
    /// There is no such run.
    #[error("find run {0:?}")]
    UnknownRun(String),
    /// A run that goes on or ended well can't be retried.
    #[error("retry run {run:?}, which is {}; only one that failed or was cancelled can be", status.as_str())]
    NotRetryable {
        /// The run.
        run: String,
        /// Where it stands.
        status: RunStatus,
    },
    /// There is no such task instance.
    #[error("find task {task:?} #{index} of run {run:?}")]
    UnknownTask {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// Which instance.
        index: u32,
    },
    /// A step stands on something that has changed since it was decided: a person or an event has ended a task, or
    /// another attempt has folded events.
    #[error("write a step of run {0:?} that something has overtaken; decide again")]
    Overtaken(String),
    /// The registry has no such thing.
    #[error("find {} {name:?} in the registry", kind.as_str())]
    Unknown {
        /// What kind of thing.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// Pruning would delete something that nobody agreed to: it came since they were asked.
    #[error("prune {} {name:?}, which was not there a moment ago; look again", kind.as_str())]
    NotAgreed {
        /// What kind of thing.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// The activity has no such revision, or none that was current before.
    #[error("find revision {} of {name:?}", revision.map_or("before the present one".to_owned(), |revision| revision.to_string()))]
    NoRevision {
        /// The activity.
        name: String,
        /// The revision that was asked for.
        revision: Option<u32>,
    },
    /// One `apply` names the same thing twice.
    #[error("apply {kind} {name:?}, which is named twice")]
    NamedTwice {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A changed schema breaks the compatibility that its event type promises.
    #[error("apply event type {name:?}: {}", problems.join("; "))]
    Incompatible {
        /// The event type.
        name: String,
        /// What breaks it, each with its place in the document.
        problems: Vec<String>,
    },
    /// Two documents say who may send what for the same `source`.
    #[error("apply sources that name {pattern:?} twice: {names}; only one document can rule it")]
    SameSource {
        /// The `source` of both.
        pattern: String,
        /// Their names.
        names: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Database(error) | StoreError::Migrate(MigrateError::Execute(error)) => is_transient(error),
            _ => false,
        }
    }
}

/// Whether the same statement may succeed later: the connection was the problem, or a SQLSTATE says so
/// (PostgreSQL, appendix A: 08 connection, 40 rollback, 53 resources, 57 operator intervention,
/// 55P03 lock not available).
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
                || code == "55P03"
                // A transaction that idled too long: the connection is gone, the next attempt gets another.
                || code == "25P03"
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_transient_and_a_missing_run_is_not() {
        assert!(StoreError::from(sqlx::Error::PoolTimedOut).is_transient());
        assert!(!StoreError::from(sqlx::Error::RowNotFound).is_transient());
        assert!(!StoreError::UnknownRun("run/a/b".into()).is_transient());
    }
}
