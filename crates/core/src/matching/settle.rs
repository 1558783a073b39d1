//! From candidates to activities: asks `when` of those that the index let through, and of no others.

use std::cell::OnceCell;
use std::sync::Arc;

use super::group::Candidate;
use super::{Entry, Match};
use crate::activity::{EventTrigger, Trigger};
use crate::event::Event;
use crate::expression::{EvalError, Expression, Scope};
use crate::pattern::{EventView, Root, Wildcard};

/// An event while it is matched. What costs a copy of it is made when it is first needed.
pub(crate) struct Moment<'e> {
    pub(super) event: &'e Event,
    pub(super) view: EventView<'e>,
    scope: OnceCell<Scope>,
}

impl<'e> Moment<'e> {
    pub(crate) fn new(event: &'e Event) -> Self {
        Self { event, view: EventView::new(event), scope: OnceCell::new() }
    }

    /// What expressions see of it.
    pub(crate) fn scope(&self) -> &Scope {
        self.scope.get_or_init(|| Scope::new().with("event", self.event.to_json()))
    }

    /// Whether the event has the source and the fields that the trigger wants; its `when` is not asked.
    pub(crate) fn fits(&self, trigger: &EventTrigger) -> bool {
        source_holds(trigger, self.event)
            && trigger.pattern.as_ref().is_none_or(|pattern| pattern.holds(&self.view as &dyn Root))
    }

    pub(super) fn truth(&self, when: &Expression) -> Result<bool, EvalError> {
        when.truth(self.scope())
    }
}

/// What became of an activity that the index let through.
pub(super) struct Settled<'i> {
    pub(super) entry: &'i Arc<Entry>,
    /// The first trigger that matches.
    pub(super) hit: Option<usize>,
    /// Triggers before it of which `when` was asked in vain.
    pub(super) refused: Vec<Refused>,
}

/// A `when` that was not true: false, or an error.
pub(super) struct Refused {
    pub(super) trigger: usize,
    pub(super) error: Option<EvalError>,
}

impl<'i> Settled<'i> {
    pub(super) fn into_match(self) -> Option<Match<'i>> {
        let entry = self.entry;
        if let Some(trigger) = self.hit {
            return Some(Match { entry, trigger, result: Ok(()) });
        }
        let failed = self.refused.into_iter().find_map(|one| Some((one.trigger, one.error?)));
        failed.map(|(trigger, error)| Match { entry, trigger, result: Err(error) })
    }
}

/// Settles each activity once, whichever of its rules came through. By name; candidates of one group are
/// in that order already.
pub(super) fn settle<'i>(mut candidates: Vec<Candidate<'i>>, groups: usize, moment: &Moment<'_>) -> Vec<Settled<'i>> {
    if groups > 1 {
        let order = |one: &Candidate<'i>| (one.entry.definition.name.as_str(), Arc::as_ptr(one.entry), one.trigger);
        candidates.sort_by(|a, b| order(a).cmp(&order(b)));
    }
    let activities = candidates.chunk_by(|a, b| Arc::ptr_eq(a.entry, b.entry));
    activities.map(|candidates| settle_one(candidates, moment)).collect()
}

fn settle_one<'i>(candidates: &[Candidate<'i>], moment: &Moment<'_>) -> Settled<'i> {
    let mut settled = Settled { entry: candidates[0].entry, hit: None, refused: Vec::new() };
    for rules in candidates.chunk_by(|a, b| a.trigger == b.trigger) {
        match truth(rules, moment) {
            Some(Ok(true)) => {
                settled.hit = Some(rules[0].trigger);
                break;
            }
            Some(Ok(false)) => settled.refused.push(Refused { trigger: rules[0].trigger, error: None }),
            Some(Err(error)) => settled.refused.push(Refused { trigger: rules[0].trigger, error: Some(error) }),
            None => {}
        }
    }
    settled
}

/// What `when` says of a trigger of which these rules came through; None if its pattern says no.
pub(super) fn truth(rules: &[Candidate<'_>], moment: &Moment<'_>) -> Option<Result<bool, EvalError>> {
    let verify = rules.iter().all(|rule| rule.asks.verify);
    if !verify && !rules[0].asks.when {
        return Some(Ok(true));
    }
    let Trigger::Event(trigger) = rules[0].entry.definition.triggers.get(rules[0].trigger)? else { return None };
    if verify && !moment.fits(trigger) {
        return None;
    }
    Some(trigger.when.as_ref().map_or(Ok(true), |when| moment.truth(when)))
}

/// Whether the event's source is one that the trigger wants.
pub(super) fn source_holds(trigger: &EventTrigger, event: &Event) -> bool {
    trigger.source.as_ref().is_none_or(|source| Wildcard::of_source(source).matches(&event.source))
}
