//! Headers of HTTP requests and NATS messages.

use std::collections::BTreeMap;

use super::decoder::{Cursor, Decoder, Fields};
use super::expressions::text_template;
use super::scope::Scope;
use crate::expression::Template;

/// Headers that we or the connection set.
const RESERVED: [&str; 6] = ["connection", "content-length", "host", "idempotency-key", "te", "transfer-encoding"];

/// What carries the headers.
#[derive(Clone, Copy)]
pub(super) enum Carrier {
    Http,
    Nats,
}

impl Carrier {
    /// Whether a header, in lower case, is ours or the connection's to set.
    fn reserves(self, name: &str) -> bool {
        match self {
            Carrier::Http => RESERVED.contains(&name),
            // What begins so tells a NATS server what to do, and deduplicates.
            Carrier::Nats => name == "idempotency-key" || name.starts_with("nats-"),
        }
    }
}

pub(super) fn decode(
    d: &mut Decoder,
    fields: &Fields<'_>,
    scope: &Scope<'_>,
    carrier: Carrier,
) -> BTreeMap<String, Template> {
    let mut headers: BTreeMap<String, Template> = BTreeMap::new();
    for (name, at) in d.entries(fields, "headers") {
        check_name(d, name, &at, carrier);
        if headers.keys().any(|other| other.eq_ignore_ascii_case(name)) {
            d.problem_at_key(&at, "the same header stands here twice; upper and lower case make no difference");
        }
        if let Some(value) = text_template(d, &at, scope) {
            headers.insert(name.to_owned(), value);
        }
    }
    headers
}

fn check_name(d: &mut Decoder, name: &str, at: &Cursor<'_>, carrier: Carrier) {
    // RFC 9110, section 5.6.2: token.
    let token = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
    if !token {
        d.problem_at_key(at, "not the name of a header: letters, digits and `-`");
    }
    if carrier.reserves(&name.to_ascii_lowercase()) {
        d.problem_at_key(at, "this header is set for you; leave it out");
    }
    let has_control = |(_, text): (Cursor<'_>, &str)| text.chars().any(char::is_control);
    if at.texts().into_iter().any(has_control) {
        d.problem(at, "the value of a header holds no line breaks or other control characters");
    }
}
