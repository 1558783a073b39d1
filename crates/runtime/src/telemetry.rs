//! What our processes say on stderr.

use std::env::{self, VarError};
use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::EnvFilter;

/// The environment variable that replaces the default filter.
pub const RUST_LOG: &str = "RUST_LOG";

/// Libraries that say too much at `info` for an operator's log.
const QUIET: &str = "async_nats=warn,h2=warn,hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn,\
sqlx=warn,temporalio_client=warn,temporalio_sdk=warn,temporalio_sdk_core=warn,tonic=warn,tower=warn";

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a filter.
    #[error("parse {RUST_LOG} as a log filter such as `info,spine_router=debug`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// `RUST_LOG` is not text.
    #[error("read {RUST_LOG}: it is not UTF-8")]
    NotText,
    /// Logging was set up before.
    #[error("install the log subscriber")]
    Installed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends log lines to stderr, once per process.
///
/// `RUST_LOG` decides what is said; without it our own lines from `verbosity` (usually
/// [`Level::INFO`]) up, and libraries' warnings.
pub fn init(format: LogFormat, verbosity: Level) -> Result<(), TelemetryError> {
    let filter = filter(rust_log()?.as_deref(), verbosity)?;
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour);
    match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Installed)
}

fn rust_log() -> Result<Option<String>, TelemetryError> {
    match env::var(RUST_LOG) {
        Ok(text) => Ok(Some(text).filter(|t| !t.trim().is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(TelemetryError::NotText),
    }
}

fn filter(rust_log: Option<&str>, verbosity: Level) -> Result<EnvFilter, TelemetryError> {
    let default = format!("{},{QUIET}", verbosity.as_str().to_lowercase());
    EnvFilter::builder().parse(rust_log.unwrap_or(&default)).map_err(TelemetryError::Filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_parsed_or_refused() {
        let check = |rust_log, expected: Option<&str>| {
            let filter = filter(rust_log, Level::INFO).map(|f| f.to_string());
            match expected {
                Some(part) => assert!(filter.is_ok_and(|f| f.contains(part)), "{rust_log:?}"),
                None => assert!(filter.is_err_and(|e| e.to_string().contains(RUST_LOG)), "{rust_log:?}"),
            }
        };
        check(None, Some("async_nats=warn"));
        check(None, Some("info"));
        check(Some("spine_router=debug"), Some("spine_router=debug"));
        check(Some("spine_router=loud"), None);
    }
}
