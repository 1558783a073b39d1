//! The `with` of a task that uses wait.

use super::decoder::{Decoder, Fields};
use super::scope::Scope;
use super::{expressions, grammar, trigger};
use crate::activity::{Until, Work};
use crate::inbox::WaitSpec;

pub(super) fn work(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Work> {
    let duration = d.duration(fields, "for").map(Until::For);
    let moment = fields.get("until").and_then(|at| expressions::text_template(d, &at, scope)).map(Until::Moment);
    let event = event(d, fields, scope);
    Some(Work::Wait(duration.or(moment).or(event)?))
}

fn event(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Until> {
    let event_type = fields.get("event").and_then(|at| d.parsed(&at, grammar::type_pattern));
    let source = fields.get("source").and_then(|at| d.constant(&at)).map(str::to_owned);
    let pattern = fields.get("match").map(|at| Some((at.node.to_value(), trigger::pattern(d, &at)?)));
    let key = fields.get("key").map(|at| expressions::text(d, &at, &Scope::trigger()));
    let equals = fields.get("equals").map(|at| expressions::text_template(d, &at, scope));
    if let Some(at) = fields.get("key").filter(|_| !fields.has("equals")) {
        d.problem_at_key(&at, "nothing says what it must give; write `equals` beside it, or leave it out");
    }
    // What is written and wrong must not become a wait for more than was meant.
    let spec = WaitSpec::new(event_type?, source, all_right(pattern)?, all_right(key)?);
    Some(Until::Event { spec: Box::new(spec), equals: all_right(equals)? })
}

/// What is written, if it is right; `None` if it is wrong.
fn all_right<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    match written {
        None => Some(None),
        Some(right) => right.map(Some),
    }
}
