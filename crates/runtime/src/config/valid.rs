//! What may stand where: each function takes text that is fit for its key, each constant says what that is.

use std::path::PathBuf;

use crate::secret::Secret;

pub(super) const NATS: &str = "NATS servers such as nats://127.0.0.1:4222, with commas between several";
pub(super) const TEMPORAL: &str = "host:port such as 127.0.0.1:7233, or an http:// or https:// URL";
pub(super) const POSTGRES: &str = "a URL such as postgres://user@host:5432/name";

pub(super) fn nats(text: &str) -> Option<String> {
    text.split(',').all(is_nats_server).then(|| text.to_owned())
}

fn is_nats_server(server: &str) -> bool {
    let server = server.trim();
    let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split('/').next().unwrap_or(host);
    ["nats", "tls", "ws", "wss"].contains(&scheme) && is_host(host, false)
}

pub(super) fn temporal(text: &str) -> Option<String> {
    let fit = match text.split_once("://") {
        Some((scheme, host)) => ["http", "https"].contains(&scheme) && is_host(host.trim_end_matches('/'), false),
        None => is_host(text, true),
    };
    fit.then(|| text.to_owned())
}

/// A host name or address, with a port where `port` says so or one is given.
fn is_host(text: &str, port: bool) -> bool {
    let has_port = !text.ends_with(']') && text.contains(':');
    let (host, number) = match text.rsplit_once(':') {
        Some((host, number)) if has_port => (host, Some(number)),
        _ => (text, None),
    };
    let number_fits = number.map_or(!port, |number| number.parse::<u16>().is_ok());
    number_fits && !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@".contains(c))
}

pub(super) fn postgres(text: &str) -> Option<Secret> {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    rest.filter(|rest| !rest.is_empty()).map(|_| Secret::new(text))
}

pub(super) fn path(text: &str) -> Option<PathBuf> {
    filled(text).map(PathBuf::from)
}

pub(super) fn filled(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn addresses_fit_or_not() {
        let check = |fit: fn(&str) -> bool, text: &str, expected: bool| assert_eq!(fit(text), expected, "{text}");
        let nats: fn(&str) -> bool = |text| super::nats(text).is_some();
        for text in ["nats://a:4222", "a", "a:4222, tls://u:p@b:1", "nats://[::1]:4222", "wss://a/path"] {
            check(nats, text, true);
        }
        for text in ["", "http://a", "nats://", "nats://a:port", "a b", "a,,b", "nats://u:pa,ss@b"] {
            check(nats, text, false);
        }
        let temporal: fn(&str) -> bool = |text| super::temporal(text).is_some();
        for text in ["127.0.0.1:7233", "ns.tmprl.cloud:7233", "https://a/", "http://a:80", "[::1]:7233"] {
            check(temporal, text, true);
        }
        for text in ["", "localhost", "a:7233x", "ftp://a:1", "https://", "a/b:1"] {
            check(temporal, text, false);
        }
    }
}
