//! How a command fails: 1 if it could not be done, 2 if what it was given is wrong.

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

/// Prints the error and its causes to stderr, and says which exit code it means.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    if error.chain().any(|cause| cause.is::<Invalid>()) { ExitCode::from(2) } else { ExitCode::from(1) }
}
