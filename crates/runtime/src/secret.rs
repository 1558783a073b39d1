//! Text that must not be shown.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What stands where a secret would.
pub const REDACTED: &str = "[redacted]";

/// Text that shows as [`REDACTED`] in Debug, Display and Serialize.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// `urls` (one, or several with commas between) without passwords and tokens.
///
/// Hides a password in the user part, a lone user part (to NATS it is a token; PostgreSQL's is a
/// plain user name and stays), and query values whose name speaks of a secret. In doubt it hides
/// more: an `@` anywhere ends the user part.
pub fn redact_url(urls: &str) -> String {
    urls.split(',').map(redact_one).collect::<Vec<_>>().join(",")
}

fn redact_one(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (redact_user(&scheme, user), rest),
        None => (String::new(), rest),
    };
    format!("{scheme}{user}{}", redact_query(rest))
}

fn redact_user(scheme: &str, user: &str) -> String {
    match user.split_once(':') {
        Some((name, _)) => format!("{name}:{REDACTED}@"),
        None if scheme.starts_with("postgres") => format!("{user}@"),
        None => format!("{REDACTED}@"),
    }
}

fn redact_query(rest: &str) -> String {
    let Some((path, query)) = rest.split_once('?') else {
        return rest.to_owned();
    };
    let pairs: Vec<String> = query.split('&').map(redact_pair).collect();
    format!("{path}?{}", pairs.join("&"))
}

fn redact_pair(pair: &str) -> String {
    const SECRET_WORDS: [&str; 4] = ["pass", "token", "secret", "key"];
    match pair.split_once('=') {
        Some((name, _)) if SECRET_WORDS.iter().any(|w| name.to_lowercase().contains(w)) => {
            format!("{name}={REDACTED}")
        }
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_only_when_exposed() -> Result<(), serde_json::Error> {
        let secret: Secret = serde_json::from_str("\"hunter2\"")?;
        assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)).matches("hunter2").count(), 0);
        assert_eq!(serde_json::to_string(&secret)?, "\"[redacted]\"");
        assert_eq!(secret.expose(), "hunter2");
        Ok(())
    }

    #[test]
    fn urls_lose_their_secrets() {
        let check = |url: &str, expected: &str| assert_eq!(redact_url(url), expected);
        check("nats://127.0.0.1:4222", "nats://127.0.0.1:4222");
        check("nats://u:p@a:1,nats://tok@b", "nats://u:[redacted]@a:1,nats://[redacted]@b");
        check("u:p@a:1", "u:[redacted]@a:1");
        check("postgres://spine@h/db", "postgres://spine@h/db");
        check("postgres://u:p@h/db?sslmode=off", "postgres://u:[redacted]@h/db?sslmode=off");
        check("postgres://u:p/w?#@h/db", "postgres://u:[redacted]@h/db");
        check("postgres:///db?user=u&password=p", "postgres:///db?user=u&password=[redacted]");
    }
}
