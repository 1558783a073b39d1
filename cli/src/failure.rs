//! How a command fails: 1 if it could not be done, 2 if what it was given is wrong, 3 if the time was over.

use std::fmt;
use std::process::ExitCode;

/// What a command was given is wrong: a file, an argument, a setting. Exit code 2.
#[derive(Debug)]
pub(crate) struct Invalid(pub(crate) String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// An error that ends the command with exit code 2.
pub(crate) fn invalid(message: impl fmt::Display) -> anyhow::Error {
    anyhow::Error::new(Invalid(message.to_string()))
}

/// What was waited for had not happened when the time was over. Exit code 3.
#[derive(Debug)]
pub(crate) struct TimedOut(pub(crate) String);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TimedOut {}

/// Prints the error and its causes to stderr, and says which exit code it means.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    let caused_by = |is: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(is);
    match () {
        () if caused_by(|cause| cause.is::<Invalid>()) => ExitCode::from(2),
        () if caused_by(|cause| cause.is::<TimedOut>()) => ExitCode::from(3),
        () => ExitCode::FAILURE,
    }
}
