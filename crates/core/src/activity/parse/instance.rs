//! `spec.instance`.

use std::collections::BTreeMap;

use super::decoder::{Cursor, Decoder, Fields};
use super::expressions;
use super::grammar;
use super::graph::Graph;
use super::scope::{Scope, Surroundings};
use crate::activity::format::{INSTANCE, SET};
use crate::activity::{Instance, SetState};

pub(super) fn decode(
    d: &mut Decoder,
    at: &Cursor<'_>,
    spec: &Fields<'_>,
    surroundings: &Surroundings,
    graph: &Graph,
) -> Option<Instance> {
    let fields = d.map(at, &INSTANCE)?;
    check_triggers(d, spec);
    let key = fields.get("key").and_then(|at| expressions::text(d, &at, &Scope::admitted()));
    let state = state(d, &fields);
    let set = d.list(&fields, "set").iter().filter_map(|at| set(d, at, surroundings)).collect();
    let whole = Scope::whole(surroundings, graph);
    let complete_when = fields.get("completeWhen").and_then(|at| expressions::condition(d, &at, &whole));
    let expire_after = d.duration(&fields, "expireAfter");
    Some(Instance { key: key?, state, set, complete_when, expire_after })
}

/// Some event must begin an instance; a tick has no key, so it can't.
fn check_triggers(d: &mut Decoder, spec: &Fields<'_>) {
    let Some(on) = spec.get("on") else { return };
    let triggers = on.items();
    let starts = triggers.iter().any(|trigger| trigger.node.get("starts").is_some_and(|node| node.to_value() == true));
    if !starts && !triggers.is_empty() {
        d.problem(&on, "no instance would ever begin; write `starts: true` to the event that begins one");
    }
    for trigger in triggers.iter().filter(|trigger| trigger.node.get("schedule").is_some()) {
        d.problem(trigger, "a schedule can't trigger a stateful activity: its tick has no key; write an activity of its own that emits an event");
    }
}

fn state(d: &mut Decoder, fields: &Fields<'_>) -> BTreeMap<String, serde_json::Value> {
    let mut state = BTreeMap::new();
    for (name, at) in d.entries(fields, "state") {
        if let Err(message) = grammar::state_name(name) {
            d.problem_at_key(&at, message);
        }
        state.insert(name.to_owned(), d.constant_value(&at));
    }
    state
}

fn set(d: &mut Decoder, at: &Cursor<'_>, surroundings: &Surroundings) -> Option<SetState> {
    let fields = d.map(at, &SET)?;
    let scope = Scope::fold(surroundings);
    let when = fields.get("when").and_then(|at| expressions::condition(d, &at, &scope));
    let free = fields.free();
    if free.is_empty() {
        d.problem(at, "nothing is set; write a name of `state` with its new value, as in {when: …, paid: true}");
    }
    let mut values = BTreeMap::new();
    for (name, at) in free {
        if !surroundings.has_state(name) {
            let known = surroundings.state_names();
            d.problem_at_key(&at, format!("`state` has no `{name}`; {}", grammar::suggest(name, &known)));
        }
        if let Some(value) = expressions::template(d, &at, &scope) {
            values.insert(name.to_owned(), value);
        }
    }
    Some(SetState { when, values })
}
