//! `spec.on`.

use super::decoder::{Cursor, Decoder, Fields};
use super::expressions;
use super::scope::Scope;
use super::{grammar, schedule};
use crate::activity::format::TRIGGER;
use crate::activity::{EventTrigger, Trigger};
use crate::document::NodeValue;
use crate::pattern::Pattern;

pub(super) fn decode(d: &mut Decoder, spec: &Fields<'_>) -> Vec<Trigger> {
    let items = d.list(spec, "on");
    items.iter().filter_map(|item| trigger(d, item, spec)).collect()
}

fn trigger(d: &mut Decoder, at: &Cursor<'_>, spec: &Fields<'_>) -> Option<Trigger> {
    let fields = d.map(at, &TRIGGER)?;
    let event = fields.get("event").and_then(|event| event_trigger(d, &fields, &event, spec));
    let schedule = fields.get("schedule").and_then(|schedule| schedule::decode(d, &schedule, fields.get("input")));
    event.map(Trigger::Event).or(schedule.map(Trigger::Schedule))
}

fn event_trigger(d: &mut Decoder, fields: &Fields<'_>, event: &Cursor<'_>, spec: &Fields<'_>) -> Option<EventTrigger> {
    let event_type = d.parsed(event, grammar::type_pattern);
    let source = fields.get("source").and_then(|at| d.constant(&at)).map(str::to_owned);
    let pattern = fields.get("match").and_then(|at| pattern(d, &at));
    let when = fields.get("when").and_then(|at| expressions::condition(d, &at, &Scope::trigger()));
    let (starts, cancels) = (d.flag(fields, "starts"), d.flag(fields, "cancels"));
    for at in ["starts", "cancels"].iter().filter_map(|name| fields.get(name)).filter(|_| !spec.has("instance")) {
        d.problem_at_key(&at, "belongs to a stateful activity, and `spec` has no `instance`");
    }
    if let Some(at) = fields.get("cancels").filter(|_| starts && cancels) {
        d.problem_at_key(&at, "one event can't both start an instance and cancel it");
    }
    Some(EventTrigger { event_type: event_type?, source, pattern, when, starts, cancels })
}

/// A content pattern.
pub(super) fn pattern(d: &mut Decoder, at: &Cursor<'_>) -> Option<Pattern> {
    if at.node.value == NodeValue::Invalid {
        return None;
    }
    let errors = match Pattern::compile(&at.node.to_value()) {
        Ok(pattern) => return Some(pattern),
        Err(errors) => errors,
    };
    for (pointer, message) in errors {
        let (node, path) = at.node.at_pointer(&at.path, &pointer);
        if node.value != NodeValue::Invalid {
            d.report.add(node.pos, &path, message);
        }
    }
    None
}
