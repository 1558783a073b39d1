//! Stateful activities: what all of their triggers together say of an event.

use std::collections::BTreeMap;

use super::group::Candidate;
use super::settle::{Moment, truth};
use super::{Entry, Trigger};

/// A stateful activity of which a trigger lets an event through.
#[derive(Clone, Debug)]
pub struct Signal<'i> {
    /// The activity.
    pub entry: &'i Entry,
    /// Whether one of the triggers that match begins an instance.
    pub starts: bool,
    /// Whether one of the triggers that match cancels the instance.
    pub cancels: bool,
}

/// Asks every trigger that came through, and not only until one matches.
pub(super) fn of<'i>(mut candidates: Vec<Candidate<'i>>, moment: &Moment<'_>) -> Vec<Signal<'i>> {
    candidates.retain(|candidate| candidate.entry.definition.instance.is_some());
    let order = |one: &Candidate<'i>| (one.entry.definition.name.as_str(), one.trigger);
    candidates.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut signals: BTreeMap<&str, Signal<'i>> = BTreeMap::new();
    for rules in candidates.chunk_by(|a, b| order(a) == order(b)) {
        let entry = rules[0].entry;
        let Some(Trigger::Event(trigger)) = entry.definition.triggers.get(rules[0].trigger) else { continue };
        if truth(rules, moment) == Some(Ok(true)) {
            let name = entry.definition.name.as_str();
            let signal = signals.entry(name).or_insert(Signal { entry, starts: false, cancels: false });
            signal.starts |= trigger.starts;
            signal.cancels |= trigger.cancels;
        }
    }
    signals.into_values().collect()
}
