//! Verdicts: what is said of one activity. Nothing in here asks the index.

use super::settle::{Moment, Refused, source_holds};
use super::{Entry, event_triggers};
use crate::activity::{EventTrigger, TypePattern};
use crate::decision::Verdict;
use crate::event::Event;
use crate::expression::Expression;

/// The most characters of why an activity does not match; there may be 20 triggers to speak of.
const MAX_BECAUSE: usize = 2000;

/// The verdict on one activity, from its triggers alone. What was found out about a `when` before is
/// taken from `refused`.
pub(super) fn judge(entry: &Entry, moment: &Moment<'_>, refused: &[Refused]) -> Verdict {
    let mut misses = Vec::new();
    let event_type = &moment.event.event_type;
    for (at, trigger) in event_triggers(&entry.definition).filter(|(_, one)| covers(&one.event_type, event_type)) {
        match check(trigger, moment, refused.iter().find(|one| one.trigger == at)) {
            Ok(()) => return hit(entry, trigger, moment.event),
            Err(miss) => misses.push(miss),
        }
    }
    verdict(entry, false, clipped(misses.join("; ")))
}

/// The verdict on an activity of which this trigger matches.
pub(super) fn hit(entry: &Entry, trigger: &EventTrigger, event: &Event) -> Verdict {
    let because = held(trigger, event);
    if entry.enabled {
        return verdict(entry, true, because);
    }
    verdict(entry, false, format!("the activity is disabled; otherwise it would match: {because}"))
}

/// Those that matched first, then by name.
pub(super) fn sorted(mut verdicts: Vec<Verdict>) -> Vec<Verdict> {
    verdicts.sort_by(|a, b| b.matched.cmp(&a.matched).then_with(|| a.activity.cmp(&b.activity)));
    verdicts
}

fn verdict(entry: &Entry, matched: bool, because: String) -> Verdict {
    Verdict {
        activity: entry.definition.name.clone(),
        revision: entry.revision,
        matched,
        because,
        run: None,
        instance: None,
    }
}

fn covers(pattern: &TypePattern, event_type: &str) -> bool {
    match pattern {
        TypePattern::Exact(name) => name == event_type,
        TypePattern::Prefix(prefix) => event_type.starts_with(prefix.as_str()),
    }
}

/// All conditions of a trigger, which hold.
fn held(trigger: &EventTrigger, event: &Event) -> String {
    let mut held = format!("type is {}", event.event_type);
    if let Some(source) = &trigger.source {
        held.push_str(", source is like ");
        held.push_str(source);
    }
    if trigger.pattern.is_some() {
        held.push_str(", the pattern matches");
    }
    if let Some(when) = &trigger.when {
        held.push_str(", `");
        held.push_str(when.source());
        held.push_str("` is true");
    }
    held
}

/// Ok, or the first condition that does not hold: the value seen and the value wanted.
fn check(trigger: &EventTrigger, moment: &Moment<'_>, refused: Option<&Refused>) -> Result<(), String> {
    if let Some(source) = &trigger.source
        && !source_holds(trigger, moment.event)
    {
        return Err(format!("source is {}, wanted {source}", moment.event.source));
    }
    if let Some(pattern) = &trigger.pattern {
        pattern.check_root(&moment.view).map_err(|mismatch| mismatch.to_string())?;
    }
    match (&trigger.when, refused) {
        (None, _) => Ok(()),
        (Some(_), Some(Refused { error: Some(error), .. })) => Err(error.to_string()),
        (Some(when), Some(Refused { error: None, .. })) => Err(is_false(when)),
        (Some(when), None) => match moment.truth(when) {
            Ok(true) => Ok(()),
            Ok(false) => Err(is_false(when)),
            Err(error) => Err(error.to_string()),
        },
    }
}

fn is_false(when: &Expression) -> String {
    format!("`{}` is false", when.source())
}

fn clipped(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_BECAUSE) {
        text.truncate(end);
        text.push('…');
    }
    text
}
