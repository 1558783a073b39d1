//! How a process ends: asked once it drains, asked twice it leaves.

use std::collections::BTreeMap;
use std::io;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The exit code after a second signal: 128 + SIGINT, as shells have it.
pub const EXIT_SECOND_SIGNAL: i32 = 130;

/// The exit code after a drain that took longer than its deadline.
pub const EXIT_OVERRUN: i32 = 1;

/// The wish that the process, or a part of it, ends. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    running: Running,
}

impl Shutdown {
    /// A wish that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends when the end is wished for; cancel-safe.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Whether the end is wished for.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Wishes for the end of this and of every child.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// A wish that this one implies, and that leaves this one alone.
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), running: self.running.clone() }
    }

    /// The tasks that still run under this wish, its parents and children, by name.
    pub fn running(&self) -> Vec<&'static str> {
        self.running.names()
    }

    pub(crate) fn started(&self, name: &'static str) {
        self.running.change(name, |count| count + 1);
    }

    pub(crate) fn ended(&self, name: &'static str) {
        self.running.change(name, |count| count.saturating_sub(1));
    }
}

/// How many tasks of each name run.
#[derive(Clone, Debug, Default)]
struct Running(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl Running {
    fn change(&self, name: &'static str, change: impl FnOnce(usize) -> usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name).or_default();
        *count = change(*count);
    }

    fn names(&self) -> Vec<&'static str> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().filter(|(_, count)| **count > 0).map(|(name, _)| *name).collect()
    }
}

/// Owns the watch over signals; dropping it ends the watch.
#[must_use = "dropping it ends the watch over signals"]
#[derive(Debug)]
pub struct SignalWatch(JoinHandle<()>);

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Watches for SIGINT and SIGTERM until the answer is dropped; needs a tokio runtime.
///
/// The first signal requests `shutdown`. From then, or from a request made elsewhere, the process
/// has `deadline` to end on its own. A second signal exits it with [`EXIT_SECOND_SIGNAL`]; after
/// the deadline it exits with [`EXIT_OVERRUN`] and an error line that names what still runs.
/// Fails if the handlers cannot be installed.
pub fn on_signals(shutdown: Shutdown, deadline: Duration) -> io::Result<SignalWatch> {
    let signals = Signals::install()?;
    Ok(SignalWatch(tokio::spawn(async move {
        let ending = watch(signals, &shutdown, deadline).await;
        leave(&ending, deadline);
    })))
}

/// Why a drain was cut short.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    SecondSignal,
    Overrun(Vec<&'static str>),
}

async fn watch(mut signals: Signals, shutdown: &Shutdown, deadline: Duration) -> Ending {
    tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "draining; a second signal exits at once");
            shutdown.request();
        }
        () = shutdown.requested() => {}
    }
    tokio::select! {
        _ = signals.next() => Ending::SecondSignal,
        () = tokio::time::sleep(deadline) => Ending::Overrun(shutdown.running()),
    }
}

fn leave(ending: &Ending, deadline: Duration) {
    match ending {
        Ending::SecondSignal => {
            tracing::warn!("second signal: exiting without draining");
            process::exit(EXIT_SECOND_SIGNAL);
        }
        Ending::Overrun(running) => {
            let running = running.join(", ");
            tracing::error!(running, ?deadline, "drain took longer than its deadline: exiting");
            process::exit(EXIT_OVERRUN);
        }
    }
}

/// Where signals come from: the operating system, or a test.
enum Signals {
    #[cfg(unix)]
    System { int: tokio::signal::unix::Signal, term: tokio::signal::unix::Signal },
    #[cfg(not(unix))]
    System,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests send signals through it"))]
    Given(mpsc::Receiver<&'static str>),
}

impl Signals {
    #[cfg(unix)]
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self::System { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    #[cfg(not(unix))]
    fn install() -> io::Result<Self> {
        Ok(Self::System)
    }

    async fn next(&mut self) -> &'static str {
        match self {
            #[cfg(unix)]
            Self::System { int, term } => tokio::select! {
                Some(()) = int.recv() => "SIGINT",
                Some(()) = term.recv() => "SIGTERM",
                else => std::future::pending().await,
            },
            #[cfg(not(unix))]
            Self::System => match tokio::signal::ctrl_c().await {
                Ok(()) => "SIGINT",
                Err(_) => std::future::pending().await,
            },
            Self::Given(signals) => match signals.recv().await {
                Some(name) => name,
                None => std::future::pending().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    async fn ending(sent: usize) -> (Ending, Shutdown) {
        let shutdown = Shutdown::new();
        shutdown.started("relay");
        shutdown.child().started("router");
        shutdown.started("worker");
        shutdown.ended("worker");
        let (sender, receiver) = mpsc::channel(2);
        for _ in 0..sent {
            sender.send("SIGTERM").await.ok();
        }
        if sent == 0 {
            shutdown.request();
        }
        (watch(Signals::Given(receiver), &shutdown, DEADLINE).await, shutdown)
    }

    #[tokio::test(start_paused = true)]
    async fn one_signal_drains_two_leave_and_the_deadline_names_what_runs() {
        let overrun = || Ending::Overrun(vec!["relay", "router"]);
        for (sent, expected) in [(0, overrun()), (1, overrun()), (2, Ending::SecondSignal)] {
            let (ending, shutdown) = ending(sent).await;
            assert_eq!(ending, expected, "{sent} signals");
            assert!(shutdown.is_requested());
        }
    }

    #[test]
    fn a_child_ends_alone_and_with_its_parent() {
        let parent = Shutdown::new();
        let (one, two) = (parent.child(), parent.child());
        one.request();
        assert!(one.is_requested() && !parent.is_requested() && !two.is_requested());
        parent.request();
        assert!(two.is_requested());
    }
}
