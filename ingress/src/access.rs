//! Who may send: bearer tokens and client certificates, and the sources and types that each may send.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use spine_core::event::Event;
use subtle::{Choice, ConstantTimeEq as _};

use crate::listen::Peer;
use crate::problem::{Code, Problem};

/// Everybody who may send. None at all: everybody may send everything.
#[derive(Debug, Default)]
pub(crate) struct Access {
    pub(crate) clients: BTreeMap<String, Client>,
}

/// One who may send.
#[derive(Debug)]
pub(crate) struct Client {
    /// The SHA-256 of each of its tokens.
    pub(crate) tokens: Vec<[u8; 32]>,
    /// Names that its certificate may have, `dns:NAME` or `uri:URI`.
    pub(crate) certificates: Vec<String>,
    pub(crate) sources: Vec<String>,
    pub(crate) types: Vec<String>,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender<'a> {
    /// Nobody asks who they are.
    Anyone,
    /// A client, by name.
    Known(&'a str, &'a Client),
}

impl Access {
    pub(crate) fn is_open(&self) -> bool {
        self.clients.is_empty()
    }

    /// Who sends a request with these headers over this connection. A token is looked at before a certificate.
    pub(crate) fn authenticate(&self, headers: &HeaderMap, peer: &Peer) -> Result<Sender<'_>, Problem> {
        if self.is_open() {
            return Ok(Sender::Anyone);
        }
        let found = match headers.get(header::AUTHORIZATION) {
            Some(value) => bearer(value).and_then(|token| self.of_token(token)),
            None if peer.names.is_empty() => {
                let detail = "the request has neither the header Authorization nor a client certificate";
                return Err(challenge(Code::MissingCredentials, detail));
            }
            None => self.of_certificate(&peer.names),
        };
        let known = found.map(|(name, client)| Sender::Known(name, client));
        known.ok_or_else(|| challenge(Code::UnknownCredentials, "no client has this token or certificate"))
    }

    /// Every token is compared, and each in constant time, so that the time taken tells nothing.
    fn of_token(&self, token: &str) -> Option<(&str, &Client)> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let is_theirs = |client: &Client| {
            let all = client.tokens.iter().map(|known| known.ct_eq(&hash));
            bool::from(all.fold(Choice::from(0), |found, equal| found | equal))
        };
        let mut found = None;
        for (name, client) in &self.clients {
            if is_theirs(client) {
                found = Some((name.as_str(), client));
            }
        }
        found
    }

    fn of_certificate(&self, names: &[String]) -> Option<(&str, &Client)> {
        let is_theirs = |client: &Client| client.certificates.iter().any(|known| names.contains(known));
        self.clients.iter().find(|(_, client)| is_theirs(client)).map(|(name, client)| (name.as_str(), client))
    }
}

impl Sender<'_> {
    /// Whether this event is one of those that the sender may send.
    pub(crate) fn may_send(&self, event: &Event) -> Result<(), Problem> {
        let Self::Known(name, client) = self else { return Ok(()) };
        let check = |what: &str, value: &str, fits: bool| {
            let detail = || format!("client {name:?} may not send events of {what} {value:?}");
            if fits { Ok(()) } else { Err(Problem::new(Code::Forbidden, detail())) }
        };
        check("source", &event.source, client.sources.iter().any(|pattern| source_fits(pattern, &event.source)))?;
        check("type", &event.event_type, client.types.iter().any(|pattern| type_fits(pattern, &event.event_type)))
    }
}

/// Whether a source is what the pattern says: the same, or a `*` at the end stands for anything.
fn source_fits(pattern: &str, source: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => source.starts_with(start),
        None => source == pattern,
    }
}

/// Whether a type is what the pattern says: the same, or `.*` at the end stands for anything below.
fn type_fits(pattern: &str, event_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(start) => event_type.starts_with(start),
        None => event_type == pattern,
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
fn bearer(value: &header::HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn challenge(code: Code, detail: &str) -> Problem {
    Problem::new(code, detail).with_header(header::WWW_AUTHENTICATE, "Bearer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        let client = |token: &str, certificate: &str| Client {
            tokens: vec![Sha256::digest(token).into(), Sha256::digest(format!("{token}-next")).into()],
            certificates: vec![certificate.to_owned()],
            sources: vec!["/shop/*".into(), "/exact".into()],
            types: vec!["com.shop.*".into(), "com.exact".into()],
        };
        let clients = [("a", client("token-a", "dns:a.example")), ("b", client("token-b", "uri:spiffe://b"))];
        Access { clients: clients.map(|(name, client)| (name.to_owned(), client)).into() }
    }

    fn who(authorization: Option<&str>, names: &[&str]) -> Result<String, Code> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        let peer = Peer::new([127, 0, 0, 1].into(), names.iter().map(|name| (*name).to_owned()).collect());
        match access().authenticate(&headers, &peer) {
            Ok(Sender::Known(name, _)) => Ok(name.to_owned()),
            Ok(Sender::Anyone) => Ok("anyone".to_owned()),
            Err(problem) => Err(problem.code),
        }
    }

    #[test]
    fn a_sender_is_known_by_token_or_certificate() {
        assert_eq!(who(Some("Bearer token-a"), &[]), Ok("a".into()));
        assert_eq!(who(Some("bearer token-b-next"), &["dns:a.example"]), Ok("b".into()));
        assert_eq!(who(None, &["dns:x", "uri:spiffe://b"]), Ok("b".into()));
        for wrong in ["Bearer token-c", "Bearer ", "Bearer", "Basic token-a", "token-a", "Bearer token-a x"] {
            assert_eq!(who(Some(wrong), &["dns:a.example"]), Err(Code::UnknownCredentials), "{wrong}");
        }
        assert_eq!(who(None, &["dns:A.example"]), Err(Code::UnknownCredentials));
        assert_eq!(who(None, &[]), Err(Code::MissingCredentials));
    }

    #[test]
    fn a_sender_sends_what_it_may_and_nothing_else() {
        let access = access();
        let sender = Sender::Known("a", &access.clients["a"]);
        let check = |source: &str, event_type: &str, expected: bool| {
            let verdict = sender.may_send(&Event::new(event_type, source, "1"));
            assert_eq!(verdict.is_ok(), expected, "{source} {event_type}");
        };
        check("/shop/1", "com.shop.order", true);
        check("/exact", "com.exact", true);
        check("/shop", "com.shop.order", false);
        check("/exact/1", "com.shop.order", false);
        check("/shop/1", "com.shopping", false);
        check("/shop/1", "com.shop", false);
        check("/shop/1", "com.exact.more", false);
        assert!(Sender::Anyone.may_send(&Event::new("t", "/x", "1")).is_ok());
    }
}
