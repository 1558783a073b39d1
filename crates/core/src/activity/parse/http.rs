//! HTTP requests of tasks and context sources.

use std::collections::BTreeMap;

use super::decoder::{Decoder, Fields};
use super::expressions::template;
use super::headers::{self, Carrier};
use super::schema;
use super::scope::Scope;
use crate::activity::format::RESPONSE;
use crate::activity::{Address, Output, Response, Status, Work};
use crate::expression::Template;

/// The `with` of a task that uses http.
pub(super) fn work(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let method = d.word(fields, "method");
    let address = address(d, fields, scope);
    let headers = headers::decode(d, fields, scope, Carrier::Http);
    let body = fields.get("body").and_then(|at| template(d, &at, scope));
    if let (Some(at), Some(method @ ("GET" | "HEAD"))) = (fields.get("body"), method) {
        d.problem_at_key(&at, format!("a {method} request has no body"));
    }
    let tls = tls(d, fields);
    let response = response(d, fields);
    Some(Work::Http { method: method?.to_owned(), address: address?, headers, body, tls, response })
}

/// `url` and `query`.
pub(super) fn address(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Address> {
    let url = url(d, fields, scope);
    let query = d.entries(fields, "query");
    let query: BTreeMap<_, _> =
        query.iter().filter_map(|(name, at)| Some(((*name).to_owned(), template(d, at, scope)?))).collect();
    Some(Address { url: url?, query })
}

/// The operator's name for TLS options.
pub(super) fn tls(d: &mut Decoder, fields: &Fields<'_>) -> Option<String> {
    let at = fields.get("tls")?;
    let name = d.constant(&at)?.to_owned();
    let url = fields.get("url").map(|url| url.node.to_value());
    if url.is_some_and(|url| url.as_str().is_some_and(|url| url.starts_with("http://"))) {
        d.problem_at_key(&at, "TLS options belong to an address that begins with https://");
    }
    Some(name)
}

fn url(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Template> {
    let at = fields.get("url")?;
    let text = d.text(&at)?;
    let starts_right = ["http://", "https://", "${"].iter().any(|start| text.starts_with(start));
    if !starts_right {
        d.problem(
            &at,
            "an address begins with http:// or https://, or with an expression such as ${ config.shop_url }",
        );
    } else if text.chars().any(char::is_control) {
        d.problem(&at, "an address holds no line breaks or other control characters");
    }
    let template = template(d, &at, scope)?;
    if !template.has_fixed_host() {
        d.problem(
            &at,
            "the host of an address is written out or comes from `config`, never from data: \
             begin with http://host/ or ${ config.shop_url }/",
        );
    }
    Some(template)
}

fn response(d: &mut Decoder, fields: &Fields<'_>) -> Response {
    let default = Response::default();
    let Some(fields) = fields.get("response").and_then(|at| d.map(&at, &RESPONSE)) else { return default };
    let status = d.list(&fields, "status");
    let status: Vec<Status> = status
        .iter()
        .filter_map(|at| Status::try_from(at.node.to_value()).map_err(|message| d.problem(at, message)).ok())
        .collect();
    let schema = fields.get("schema").map(|at| schema::decode(d, &at));
    let output = if d.word(&fields, "output") == Some("full") { Output::Full } else { Output::Body };
    Response { status: if status.is_empty() { default.status } else { status }, schema, output }
}
