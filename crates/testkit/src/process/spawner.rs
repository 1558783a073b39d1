//! The one thread that spawns.
//!
//! The kernel sends a child its parent-death signal when the *thread* that spawned it ends (prctl(2),
//! PR_SET_PDEATHSIG), so that thread must live as long as the process.

use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use rustix::process::Signal;

type Job = (Command, Signal, Sender<std::io::Result<Child>>);

/// Spawns `command` from the thread that lives for ever.
pub(super) fn spawn(command: Command, at_end: Signal) -> std::io::Result<Child> {
    let gone = || std::io::Error::other("the spawning thread is gone");
    let (answer, answered) = channel();
    spawner()?.send((command, at_end, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

fn spawner() -> std::io::Result<&'static Sender<Job>> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    let (jobs, queue) = channel::<Job>();
    std::thread::Builder::new().name("spine-spawner".into()).spawn(move || {
        for (command, at_end, answer) in queue {
            // A caller that has gone drops its answer, and with that ends the child.
            drop(answer.send(guarded(command, at_end)));
        }
    })?;
    Ok(SPAWNER.get_or_init(|| jobs))
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "pre_exec is unsafe; the closure calls only prctl, getppid and nothing that allocates")]
fn guarded(mut command: Command, at_end: Signal) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt as _;
    // A group of its own: Ctrl-C in a terminal is for the parent, which ends its children in order.
    command.process_group(0);
    let parent = rustix::process::getpid();
    // Runs after uid and gid were set: a change of credentials would clear the signal.
    let guard = move || {
        rustix::process::set_parent_process_death_signal(Some(at_end))?;
        // The parent may have died before the signal was set.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls, and neither allocates nor locks.
    unsafe { command.pre_exec(guard) }.spawn()
}

#[cfg(not(target_os = "linux"))]
fn guarded(mut command: Command, _at_end: Signal) -> std::io::Result<Child> {
    std::os::unix::process::CommandExt::process_group(&mut command, 0).spawn()
}
