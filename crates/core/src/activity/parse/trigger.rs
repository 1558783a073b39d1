//! `spec.on`.

use super::decoder::{Cursor, Decoder, Fields, Keys};
use super::scope::{self, Scope};
use super::{grammar, schedule};
use crate::activity::{EventTrigger, Trigger};
use crate::document::NodeValue;
use crate::pattern::Pattern;

/// The most triggers of an activity.
const MAX_TRIGGERS: usize = 20;

const TRIGGER: Keys =
    Keys::new(&["event", "source", "match", "when", "schedule", "input"]).later(&["starts", "cancels"]);

pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>) -> Vec<Trigger> {
    let mut items = d.list(at, "`on`");
    d.at_least_one(at, "trigger");
    d.at_most(at, &mut items, "trigger", MAX_TRIGGERS);
    items.iter().filter_map(|item| trigger(d, item)).collect()
}

fn trigger(d: &mut Decoder, at: &Cursor<'_>) -> Option<Trigger> {
    let fields = d.map(at, "a trigger", &TRIGGER)?;
    match (fields.get("event"), fields.get("schedule")) {
        (Some(event), None) => {
            refuse(d, &fields, &["input"], "a schedule");
            event_trigger(d, &fields, &event).map(Trigger::Event)
        }
        (None, Some(schedule)) => {
            refuse(d, &fields, &["source", "match", "when"], "an event");
            schedule::decode(d, &schedule, fields.get("input")).map(Trigger::Schedule)
        }
        (Some(_), Some(_)) => {
            d.problem(at, "a trigger has an `event` or a `schedule`, not both; write two triggers");
            None
        }
        (None, None) => {
            d.problem(at, "a trigger needs an `event` or a `schedule`");
            None
        }
    }
}

fn refuse(d: &mut Decoder, fields: &Fields<'_>, names: &[&str], of: &str) {
    for at in names.iter().filter_map(|name| fields.get(name)) {
        d.problem_at_key(&at, format!("belongs to {of} trigger, and this is none"));
    }
}

fn event_trigger(d: &mut Decoder, fields: &Fields<'_>, event: &Cursor<'_>) -> Option<EventTrigger> {
    let event_type = d.parsed(event, grammar::type_pattern);
    let source = fields.get("source").and_then(|at| d.constant(&at)).map(str::to_owned);
    let pattern = fields.get("match").and_then(|at| pattern(d, &at));
    let when = fields.get("when").and_then(|at| scope::expression(d, &at, &Scope::trigger()));
    Some(EventTrigger { event_type: event_type?, source, pattern, when })
}

fn pattern(d: &mut Decoder, at: &Cursor<'_>) -> Option<Pattern> {
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
