//! Why a configuration is refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration is refused. No variant shows a value, so none shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("read configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not TOML.
    #[error("parse {} at line {line}, column {column}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What TOML wants there.
        reason: String,
    },
    /// Nobody knows this key.
    #[error("unknown key `{key}` in {origin}{nearest}")]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// The file, variable or flag it stands in.
        origin: String,
        /// The known key that is most like it.
        nearest: Nearest,
    },
    /// A key has a value that it cannot have.
    #[error("bad value for `{key}` in {origin}: wanted {wanted}")]
    BadValue {
        /// The dotted key.
        key: String,
        /// The file, variable or flag the value stands in.
        origin: String,
        /// What may stand there.
        wanted: &'static str,
    },
    /// The layers do not merge.
    #[error("merge the layers of configuration")]
    Merge(#[source] config::ConfigError),
}

/// The name that was probably meant, if one is near.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest(pub Option<String>);

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, " (did you mean `{name}`?)"),
            None => Ok(()),
        }
    }
}
