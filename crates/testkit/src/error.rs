//! Why a server could not be had.

use std::path::PathBuf;

use thiserror::Error;

/// Why a server could not be booted or talked to.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Its program is nowhere.
    #[error("find the program {program:?}: it is not under {looked}, nor in PATH; run `make setup`, or install it")]
    NotFound {
        /// The program.
        program: &'static str,
        /// Where it was looked for.
        looked: String,
    },
    /// A file or folder could not be used.
    #[error("use {path}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It could not be started.
    #[error("start {server}")]
    Start {
        /// Which server.
        server: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// It ended instead of becoming ready.
    #[error("start {server}: it ended with {status}; the end of its log:\n{log}")]
    Ended {
        /// Which server.
        server: &'static str,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// It did not become ready in time.
    #[error("start {server}: it is not ready after {seconds} s; the end of its log:\n{log}")]
    NotReady {
        /// Which server.
        server: &'static str,
        /// How long it was waited for, in seconds.
        seconds: u64,
        /// The last lines of its log.
        log: String,
    },
    /// A one-off program of a server failed.
    #[error("run {program}: {output}")]
    Program {
        /// Which program.
        program: String,
        /// What it said.
        output: String,
    },
    /// Another stack uses the same state folder.
    #[error(
        "use the state folder {0}: another stack runs in it; stop that one, name another folder, or use a throw-away one"
    )]
    Taken(PathBuf),
    /// No port could be had.
    #[error("find a free port")]
    Port(#[source] std::io::Error),
}

impl ServerError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
