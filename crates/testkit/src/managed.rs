//! A server that is a child: started, watched, killed, started again on the same port and data.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::error::ServerError;
use crate::process::{self, Child};

/// How long a server may take to become ready. A slow, busy machine needs most of it at its first start.
const READY: Duration = Duration::from_secs(60);
/// How long a server may take to end when it is told to.
const STOP: Duration = Duration::from_secs(10);

/// How one server is run.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) log: PathBuf,
    /// What ends it in order.
    pub(crate) stop: Signal,
    /// The user and group to run as.
    pub(crate) user: Option<u32>,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Managed {
    spec: Spec,
    child: Child,
}

impl Managed {
    /// Starts it and waits until `ready` says so.
    pub(crate) async fn start<F: Future<Output = bool>>(
        spec: Spec,
        ready: impl FnMut() -> F,
    ) -> Result<Self, ServerError> {
        let child = launch(&spec)?;
        let mut managed = Self { spec, child };
        managed.await_ready(ready).await?;
        Ok(managed)
    }

    /// Starts it again, as it was, after it has ended.
    pub(crate) async fn restart<F: Future<Output = bool>>(
        &mut self,
        ready: impl FnMut() -> F,
    ) -> Result<(), ServerError> {
        self.kill()?;
        self.child = launch(&self.spec)?;
        self.await_ready(ready).await
    }

    /// How it ended, or `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends it at once and reaps it.
    pub(crate) fn kill(&mut self) -> Result<(), ServerError> {
        self.child.kill().map_err(|source| ServerError::Start { server: self.spec.name, source })
    }

    /// Ends it in order, and at once if that takes long.
    pub(crate) async fn stop(&mut self) -> Result<(), ServerError> {
        let stopped = self.child.stop(self.spec.stop, STOP).await;
        stopped.map_err(|source| ServerError::Start { server: self.spec.name, source })
    }

    async fn await_ready<F: Future<Output = bool>>(&mut self, mut ready: impl FnMut() -> F) -> Result<(), ServerError> {
        let deadline = tokio::time::Instant::now() + READY;
        let server = self.spec.name;
        loop {
            if let Some(status) = self.ended() {
                return Err(ServerError::Ended { server, status, log: self.child.log_tail() });
            }
            if ready().await {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(ServerError::NotReady { server, seconds: READY.as_secs(), log: self.child.log_tail() });
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

fn launch(spec: &Spec) -> Result<Child, ServerError> {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args);
    #[cfg(unix)]
    if let Some(user) = spec.user {
        use std::os::unix::process::CommandExt as _;
        command.uid(user).gid(user);
    }
    process::spawn(command, &spec.log, spec.stop).map_err(|source| ServerError::Start { server: spec.name, source })
}
