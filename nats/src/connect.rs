//! The connection to NATS: it comes back by itself and says by name what the server does not permit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;

use crate::pause;
use crate::violations::{Violations, violation};

/// How long one attempt to connect, or one request, may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often the server is asked whether it is there; two answers missing mean it is not.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// An address is none.
    #[error("parse NATS address {address:?}")]
    Address {
        /// The address, without what may be a password.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The credentials file cannot be used.
    #[error("read NATS credentials {}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No server answers.
    #[error("connect to NATS at {addresses}; is it running?")]
    Server {
        /// The addresses that were tried, without passwords.
        addresses: String,
        /// Why.
        source: async_nats::ConnectError,
    },
}

/// Connects as `name`, failing at once if no server answers. Once connected, it reconnects for ever.
pub async fn connect(urls: &[String], credentials: Option<&Path>, name: &str) -> Result<Client, ConnectError> {
    connect_watched(urls, credentials, name, &Violations::default()).await
}

/// The same, with what the server does not permit told to `violations` as well.
pub async fn connect_watched(
    urls: &[String],
    credentials: Option<&Path>,
    name: &str,
    violations: &Violations,
) -> Result<Client, ConnectError> {
    let violations = violations.clone();
    let servers = urls.iter().map(|url| parse(url)).collect::<Result<Vec<_>, _>>()?;
    let mut options = ConnectOptions::new()
        .name(name)
        .connection_timeout(TIMEOUT)
        .request_timeout(Some(TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .max_reconnects(None)
        .reconnect_delay_callback(pause::after)
        .event_callback(move |event| {
            tell(&event);
            violations.tell(&event);
            std::future::ready(())
        });
    options = with_url_user(options, &servers);
    if let Some(path) = credentials {
        let failed = |source| ConnectError::Credentials { path: path.to_owned(), source };
        options = options.credentials_file(path).await.map_err(failed)?;
    }
    let addresses = || urls.iter().map(|url| without_password(url)).collect::<Vec<_>>().join(", ");
    options.connect(servers).await.map_err(|source| ConnectError::Server { addresses: addresses(), source })
}

/// The client leaves what an address says of the user alone: a name and a password, or a token.
fn with_url_user(options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some(server) = servers.iter().find(|server| server.has_user_pass()) else { return options };
    match (server.username().map(decode), server.password().map(decode)) {
        (Some(user), Some(password)) => options.user_and_password(user, password),
        (Some(token), None) => options.token(token),
        (None, _) => options,
    }
}

fn parse(url: &str) -> Result<ServerAddr, ConnectError> {
    url.parse().map_err(|source| ConnectError::Address { address: without_password(url), source })
}

fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

fn tell(event: &Event) {
    // A refused publish is never answered: without this line it would look like a lost ack.
    if let Some(text) = violation(event) {
        return tracing::error!(violation = text, "NATS does not permit this");
    }
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("lost the connection to NATS, reconnecting"),
        Event::LameDuckMode => tracing::warn!("the NATS server is about to stop"),
        Event::SlowConsumer(subscription) => tracing::warn!(subscription, "too slow for a NATS subscription"),
        Event::ServerError(error) => tracing::error!(%error, "the NATS server reports an error"),
        Event::ClientError(error) => tracing::error!(%error, "the NATS client reports an error"),
        Event::Draining | Event::Closed => tracing::debug!(%event, "NATS connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let check = |url, expected: &str| assert_eq!(without_password(url), expected);
        check("nats://me:secret@host:4222", "nats://host:4222");
        check("me:s@cret@host", "host");
        check("host:4222", "host:4222");
    }
}
