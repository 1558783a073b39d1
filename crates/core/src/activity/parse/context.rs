//! `spec.context`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decoder::{Cursor, Decoder, Fields};
use super::headers::{self, Carrier};
use super::scope::{Scope, Surroundings};
use super::{grammar, http, sql};
use crate::activity::format::{CONTEXT_HTTP, CONTEXT_SOURCE, CONTEXT_SQL};
use crate::activity::{ContextSource, Lookup};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn decode(
    d: &mut Decoder,
    spec: &Fields<'_>,
    surroundings: &Surroundings,
) -> BTreeMap<String, ContextSource> {
    let scope = Scope::context(surroundings);
    let mut sources = BTreeMap::new();
    for (name, at) in d.entries(spec, "context") {
        if let Err(message) = grammar::context_name(name) {
            d.problem_at_key(&at, message);
        }
        if let Some(source) = source(d, &at, &scope) {
            sources.insert(name.to_owned(), source);
        }
    }
    sources
}

fn source(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<ContextSource> {
    let fields = d.map(at, &CONTEXT_SOURCE)?;
    let http = fields.get("http").and_then(|at| http(d, &at, scope));
    let sql = fields.get("sql").and_then(|at| sql(d, &at, scope));
    let timeout = d.duration(&fields, "timeout").unwrap_or(DEFAULT_TIMEOUT);
    let default = fields.get("default").map(|at| d.constant_value(&at));
    Some(ContextSource { lookup: http.or(sql)?, timeout, default })
}

fn http(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Lookup> {
    let fields = d.map(at, &CONTEXT_HTTP)?;
    let address = http::address(d, &fields, scope);
    let headers = headers::decode(d, &fields, scope, Carrier::Http);
    let tls = http::tls(d, &fields);
    Some(Lookup::Http { address: address?, headers, tls })
}

fn sql(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Lookup> {
    let fields = d.map(at, &CONTEXT_SQL)?;
    let sql::Statement { query, args, database } = sql::statement(d, &fields, scope)?;
    Some(Lookup::Sql { query, args, database })
}
