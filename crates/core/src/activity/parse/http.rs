//! What HTTP requests of tasks and context sources have in common.

use std::collections::BTreeMap;

use super::decoder::{Cursor, Decoder, Fields};
use super::expressions::{template, text_template};
use super::scope::Scope;
use crate::expression::Template;

/// Headers that we or the connection set.
const RESERVED: [&str; 6] = ["connection", "content-length", "host", "idempotency-key", "te", "transfer-encoding"];

pub(super) fn url(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Template> {
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

pub(super) fn headers(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> BTreeMap<String, Template> {
    let mut headers: BTreeMap<String, Template> = BTreeMap::new();
    for (name, at) in d.entries(fields, "headers") {
        check_name(d, name, &at);
        if headers.keys().any(|other| other.eq_ignore_ascii_case(name)) {
            d.problem_at_key(&at, "the same header stands here twice; upper and lower case make no difference");
        }
        if let Some(value) = text_template(d, &at, scope) {
            headers.insert(name.to_owned(), value);
        }
    }
    headers
}

fn check_name(d: &mut Decoder, name: &str, at: &Cursor<'_>) {
    // RFC 9110, section 5.6.2: token.
    let token = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
    if !token {
        d.problem_at_key(at, "not the name of a header: letters, digits and `-`");
    }
    if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        d.problem_at_key(at, "this header is set for you; leave it out");
    }
    let has_control = |(_, text): (Cursor<'_>, &str)| text.chars().any(char::is_control);
    if at.texts().into_iter().any(has_control) {
        d.problem(at, "the value of a header holds no line breaks or other control characters");
    }
}
