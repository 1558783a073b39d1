//! The `with` of a task that uses nats.

use super::decoder::{Decoder, Fields};
use super::expressions::{template, text_template};
use super::headers::{self, Carrier};
use super::schema;
use super::scope::Scope;
use crate::activity::format::NATS_RESPONSE;
use crate::activity::{Exchange, Work};
use crate::expression::Template;
use crate::subject;

pub(super) fn work(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let exchange = if fields.has("request") { Exchange::Request } else { Exchange::Publish };
    let subject = subject(d, fields, exchange, &scope.clone().without_secrets());
    let headers = headers::decode(d, fields, scope, Carrier::Nats);
    let body = fields.get("body").and_then(|at| template(d, &at, scope));
    let response = fields.get("response").and_then(|at| d.map(&at, &NATS_RESPONSE));
    let schema = response.and_then(|fields| fields.get("schema")).map(|at| schema::decode(d, &at));
    Some(Work::Nats { exchange, subject: subject?, headers, body, schema })
}

fn subject(d: &mut Decoder, fields: &Fields<'_>, exchange: Exchange, scope: &Scope<'_>) -> Option<Template> {
    let at = fields.get(exchange.as_str())?;
    let template = text_template(d, &at, scope)?;
    if let Err(message) = subject::check(&template.subject_outline()) {
        d.problem(&at, message);
    } else if !template.has_fixed_first_part() {
        d.problem(
            &at,
            "the first part of a subject is written out or comes from `config`, never from data: \
             begin with a name and a dot, or with ${ config.prefix }.",
        );
    }
    Some(template)
}
