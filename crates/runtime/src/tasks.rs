//! Who runs what: every spawned task has a name here and is joined here.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::shutdown::Shutdown;

/// What a task fails with.
pub type TaskError = Box<dyn Error + Send + Sync>;

/// The tasks of one owner.
///
/// A task that fails or panics requests the shutdown, so that the others end too. Dropping the
/// owner aborts what still runs.
#[derive(Debug)]
pub struct Tasks {
    shutdown: Shutdown,
    names: BTreeMap<Id, &'static str>,
    set: JoinSet<Result<(), TaskError>>,
}

impl Tasks {
    /// No tasks yet; the ones to come end when `shutdown` is requested.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, names: BTreeMap::new(), set: JoinSet::new() }
    }

    /// Starts `task` on the current tokio runtime. It is to end soon after the shutdown is requested.
    pub fn spawn<E>(&mut self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: Into<TaskError>,
    {
        let guard = Guard::new(name, self.shutdown.clone());
        let handle = self.set.spawn(async move {
            let result = task.await.map_err(Into::into);
            guard.done(&result);
            result
        });
        self.names.insert(handle.id(), name);
    }

    /// Waits until every task has ended, then says which failed.
    ///
    /// It waits without a bound until the shutdown is requested; from then tasks have `deadline`,
    /// and those that still run after it are aborted and count as failed.
    pub async fn join(mut self, deadline: Duration) -> Result<(), TaskFailures> {
        let mut failures = Vec::new();
        let shutdown = self.shutdown.clone();
        let over = async {
            shutdown.requested().await;
            tokio::time::sleep(deadline).await;
        };
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                ended = self.set.join_next_with_id() => match ended {
                    Some(ended) => failures.extend(self.failure(ended)),
                    None => break,
                },
                () = &mut over => {
                    failures.extend(self.overrun(deadline));
                    self.set.shutdown().await;
                    break;
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(TaskFailures(failures)) }
    }

    fn failure(&mut self, ended: Result<(Id, Result<(), TaskError>), JoinError>) -> Option<TaskFailure> {
        let (id, fate) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(Fate::Failed(error))),
            Err(error) => (error.id(), Some(Fate::Panicked(panic_text(error)))),
        };
        let name = self.names.remove(&id).unwrap_or("unnamed");
        fate.map(|fate| TaskFailure { name, fate })
    }

    fn overrun(&self, deadline: Duration) -> Vec<TaskFailure> {
        self.names.values().map(|name| TaskFailure { name, fate: Fate::Overran(deadline) }).collect()
    }
}

/// Notes that a task runs; requests the shutdown unless it ends well.
struct Guard {
    name: &'static str,
    shutdown: Shutdown,
    ended_well: bool,
}

impl Guard {
    fn new(name: &'static str, shutdown: Shutdown) -> Self {
        shutdown.started(name);
        Self { name, shutdown, ended_well: false }
    }

    fn done(mut self, result: &Result<(), TaskError>) {
        self.ended_well = result.is_ok();
        if let Err(error) = result {
            tracing::error!(task = self.name, error = chain(error.as_ref()), "task failed");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shutdown.ended(self.name);
        if !self.ended_well {
            self.shutdown.request();
        }
    }
}

/// How a task ended that did not end well.
#[derive(Debug)]
pub enum Fate {
    /// It answered with an error.
    Failed(TaskError),
    /// It panicked, with this text.
    Panicked(String),
    /// It still ran this long after the shutdown was requested, and was aborted.
    Overran(Duration),
}

/// One task that did not end well.
#[derive(Debug)]
pub struct TaskFailure {
    /// The name it was spawned with.
    pub name: &'static str,
    /// How it ended.
    pub fate: Fate,
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fate {
            Fate::Failed(_) => write!(f, "task `{}` failed", self.name),
            Fate::Panicked(text) => write!(f, "task `{}` panicked: {text}", self.name),
            Fate::Overran(deadline) => {
                write!(f, "task `{}` did not stop within {deadline:?}", self.name)
            }
        }
    }
}

/// Every task that did not end well, in the order of their ends; never empty.
///
/// Its source is the first task's error; each error's whole chain was logged when it happened.
#[derive(Debug)]
pub struct TaskFailures(Vec<TaskFailure>);

impl TaskFailures {
    /// The failures, first the one that came first.
    pub fn failures(&self) -> &[TaskFailure] {
        &self.0
    }
}

impl fmt::Display for TaskFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

impl Error for TaskFailures {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.iter().find_map(|failure| match &failure.fate {
            Fate::Failed(error) => Some(error.as_ref() as &(dyn Error + 'static)),
            _ => None,
        })
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no text".to_owned()),
        Err(_) => "aborted".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    const DEADLINE: Duration = Duration::from_secs(5);

    async fn joined(first: impl Future<Output = io::Result<()>> + Send + 'static) -> (String, Shutdown) {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        let requested = shutdown.clone();
        tasks.spawn("relay", async move {
            requested.requested().await;
            Ok::<_, io::Error>(())
        });
        tasks.spawn("router", first);
        let said = match tasks.join(DEADLINE).await {
            Ok(()) => String::new(),
            Err(failures) => chain(&failures),
        };
        (said, shutdown)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_named_and_ends_the_others() {
        let (said, shutdown) = joined(async { Err(io::Error::other("no broker")) }).await;
        assert_eq!(said, "task `router` failed: no broker");
        assert!(shutdown.is_requested() && shutdown.running().is_empty());

        let (said, shutdown) = joined(async { panic!("boom") }).await;
        assert_eq!(said, "task `router` panicked: boom");
        assert!(shutdown.is_requested());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_aborted_and_named() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("stuck", std::future::pending::<io::Result<()>>());
        shutdown.request();
        let said = tasks.join(DEADLINE).await.map_err(|failures| failures.to_string());
        assert_eq!(said, Err("task `stuck` did not stop within 5s".to_owned()));
        assert!(shutdown.running().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_end_well_leave_the_others_alone() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("once", async { Ok::<_, io::Error>(()) });
        assert!(tasks.join(DEADLINE).await.is_ok());
        assert!(!shutdown.is_requested());
    }
}
