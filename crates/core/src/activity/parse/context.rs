//! `spec.context`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decoder::{Cursor, Decoder, Keys};
use super::scope::Scope;
use super::{grammar, http, sql};
use crate::activity::{ContextSource, Lookup};

/// The most context sources of an activity.
const MAX_SOURCES: usize = 50;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);
const MOST_TIMEOUT: Duration = Duration::from_secs(60);

const SOURCE: Keys = Keys::new(&["http", "sql", "timeout", "default"]);
const HTTP: Keys = Keys::new(&["url", "headers"]);

pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>) -> BTreeMap<String, ContextSource> {
    let mut entries = d.entries(at, "`context`");
    d.at_most(at, &mut entries, "context source", MAX_SOURCES);
    let mut sources = BTreeMap::new();
    for (name, at) in entries {
        if let Err(message) = grammar::context_name(name) {
            d.problem_at_key(&at, message);
        }
        if let Some(source) = source(d, &at) {
            sources.insert(name.to_owned(), source);
        }
    }
    sources
}

fn source(d: &mut Decoder, at: &Cursor<'_>) -> Option<ContextSource> {
    let fields = d.map(at, "a context source", &SOURCE)?;
    let lookup = match (fields.get("http"), fields.get("sql")) {
        (Some(at), None) => http(d, &at),
        (None, Some(at)) => sql::decode(d, &at),
        (Some(_), Some(_)) => {
            d.problem(at, "a context source has `http` or `sql`, not both; give each a name of its own");
            None
        }
        (None, None) => {
            d.problem(at, "a context source needs `http` or `sql`");
            None
        }
    };
    let timeout =
        fields.get("timeout").and_then(|at| d.duration(&at, LEAST_TIMEOUT..=MOST_TIMEOUT)).unwrap_or(DEFAULT_TIMEOUT);
    let default = fields.get("default").map(|at| d.constant_value(&at));
    Some(ContextSource { lookup: lookup?, timeout, default })
}

fn http(d: &mut Decoder, at: &Cursor<'_>) -> Option<Lookup> {
    let fields = d.map(at, "the `http` of a context source", &HTTP)?;
    let url = http::url(d, &fields, &Scope::context());
    let headers = http::headers(d, &fields, &Scope::context());
    Some(Lookup::Http { url: url?, headers })
}
