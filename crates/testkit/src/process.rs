//! Children that die with this process.

mod spawner;

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// How much of a log an error shows.
const LOG_TAIL: u64 = 4000;
/// How often the end of a child is looked for.
const POLL: Duration = Duration::from_millis(10);

/// A child with its output in a file. Dropped, it is killed.
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    log: PathBuf,
}

/// Starts `command` with its output appended to `log`. When this process ends, however it does, the
/// child gets `at_end`.
pub fn spawn(mut command: Command, log: &Path, at_end: Signal) -> std::io::Result<Child> {
    let output = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    command.stdin(std::process::Stdio::null()).stdout(output.try_clone()?).stderr(output);
    Ok(Child { child: spawner::spawn(command, at_end)?, log: log.to_owned() })
}

impl Child {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end; `None` if it runs longer than `at_most`.
    pub async fn wait(&mut self, at_most: Duration) -> std::io::Result<Option<ExitStatus>> {
        let deadline = tokio::time::Instant::now() + at_most;
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(Some(status)),
                None if tokio::time::Instant::now() >= deadline => return Ok(None),
                None => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Sends a signal. One to a child that has ended is no error.
    pub fn signal(&mut self, signal: Signal) -> std::io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        match Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default()) {
            Some(pid) => Ok(rustix::process::kill_process(pid, signal)?),
            None => Ok(()),
        }
    }

    /// Ends it at once (SIGKILL) and reaps it.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Ends it with `signal`, and at once if it takes longer than `at_most`.
    pub async fn stop(&mut self, signal: Signal, at_most: Duration) -> std::io::Result<()> {
        self.signal(signal)?;
        match self.wait(at_most).await? {
            Some(_) => Ok(()),
            None => self.kill(),
        }
    }

    /// The end of its output.
    pub fn log_tail(&self) -> String {
        tail(&self.log).unwrap_or_else(|error| format!("({}: {error})", self.log.display()))
    }

    /// All of its output.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nobody is left to be told of a failure; the kernel ends the child with this process at the latest.
            drop(self.kill());
        }
    }
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
