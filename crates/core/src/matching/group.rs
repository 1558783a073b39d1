//! All rules of one event type, or of one prefix of types.

use std::sync::Arc;

use super::bits::{Bits, Tally};
use super::builder::Builder;
use super::path::{Path, Scratch};
use super::places::Places;
use super::{Entry, event_triggers};
use crate::activity::{EventTrigger, TypePattern};
use crate::pattern::{Condition, EventView, Operator, TextTest, Wildcard};

/// The activities that listen to one type or prefix, and what their triggers ask.
#[derive(Clone, Debug)]
pub(super) struct Group {
    entries: Box<[Arc<Entry>]>,
    /// Those that listen to other types or prefixes as well.
    shared: Box<[Arc<Entry>]>,
    rules: Box<[Rule]>,
    /// The rules that ask anything of the event; the others always hold.
    asking: Bits,
    free: Bits,
    paths: Box<[Path]>,
    places: Places,
}

/// One combination of a trigger's conditions.
#[derive(Clone, Copy, Debug)]
struct Rule {
    entry: u32,
    trigger: u16,
    asks: Asks,
}

/// What there is to ask of a rule that its paths let through. It stands here so that most matches need
/// nothing of the definition, which is not in the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks {
    pub(super) enabled: bool,
    /// The paths let too much through: the pattern itself has to decide.
    pub(super) verify: bool,
    pub(super) when: bool,
}

/// A trigger that an event may start.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'i> {
    pub(super) entry: &'i Arc<Entry>,
    pub(super) trigger: usize,
    pub(super) asks: Asks,
}

impl Group {
    /// Indexes the triggers of `entries` that are of this type; each entry has one.
    pub(super) fn build(event_type: &TypePattern, mut entries: Vec<Arc<Entry>>) -> Self {
        entries.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
        let mut rules = Vec::new();
        let mut asking = Vec::new();
        let mut paths = Builder::default();
        for (at, entry) in (0..).zip(&entries) {
            for (trigger, when, conditions) in conjunctions(entry, event_type) {
                // A catalog has some 10⁵ activities, and none has more than 20,000 rules.
                let number = rules.len() as u32;
                let held =
                    conditions.iter().filter(|condition| paths.add(number, condition)).count() == conditions.len();
                let asks = Asks { enabled: entry.enabled, verify: !held, when };
                rules.push(Rule { entry: at, trigger: trigger as u16, asks });
                asking.extend((!conditions.is_empty()).then_some(number));
            }
        }
        let bound = rules.len();
        let asking = Bits::of(&asking, bound);
        let mut free = Bits::all(bound);
        free.subtract(&asking);
        let (paths, places) = paths.build(bound);
        let paths = paths.into();
        let shared = entries.iter().filter(|entry| listens_elsewhere(entry, event_type)).cloned().collect();
        Self { rules: rules.into(), asking, free, paths, places, shared, entries: entries.into() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    pub(super) fn shared(&self) -> &[Arc<Entry>] {
        &self.shared
    }

    /// Adds the triggers that the event may start, as fast as it goes. By name, then as they are written.
    pub(super) fn sieve<'i>(&'i self, event: &EventView<'_>, candidates: &mut Vec<Candidate<'i>>) {
        let mut left = self.asking.clone();
        let mut scratch = Scratch::new(self.rules.len());
        let mut known = self.places.unknown();
        for path in &self.paths {
            path.read(self.places.find(path.place, event, &mut known), &mut scratch);
            if !left.intersect(&scratch.held) {
                break;
            }
        }
        left.union(&self.free);
        candidates.extend(left.iter().map(|rule| self.candidate(rule)));
    }

    /// As [`Group::sieve`], and counts for each rule at how many paths it fails.
    pub(super) fn survey<'i>(&'i self, event: &EventView<'_>, candidates: &mut Vec<Candidate<'i>>) -> Tally {
        let mut failed = Tally::new(self.rules.len());
        let mut scratch = Scratch::new(self.rules.len());
        let mut known = self.places.unknown();
        for path in &self.paths {
            path.read(self.places.find(path.place, event, &mut known), &mut scratch);
            failed.count_missing(&self.asking, &scratch.held);
        }
        let mut left = Bits::all(self.rules.len());
        left.subtract(&failed.once);
        candidates.extend(left.iter().map(|rule| self.candidate(rule)));
        failed
    }

    /// The activity that a rule belongs to.
    pub(super) fn entry_of(&self, rule: u32) -> &Arc<Entry> {
        &self.entries[self.rules[rule as usize].entry as usize]
    }

    fn candidate(&self, rule: u32) -> Candidate<'_> {
        let Rule { trigger, asks, .. } = self.rules[rule as usize];
        Candidate { entry: self.entry_of(rule), trigger: usize::from(trigger), asks }
    }
}

/// The rules of an entry's triggers of this type: the trigger, whether it has a `when`, and the conditions
/// that must all hold.
fn conjunctions<'p>(
    entry: &'p Entry,
    event_type: &'p TypePattern,
) -> impl Iterator<Item = (usize, bool, Vec<Condition<'p>>)> {
    let triggers = event_triggers(&entry.definition).filter(|(_, trigger)| trigger.event_type == *event_type);
    triggers.flat_map(|(at, trigger)| {
        let combinations = match &trigger.pattern {
            Some(pattern) => pattern.conjunctions(),
            None => vec![Vec::new()],
        };
        let when = trigger.when.is_some();
        combinations.into_iter().map(move |rest| (at, when, source(trigger).into_iter().chain(rest).collect()))
    })
}

fn source(trigger: &EventTrigger) -> Option<Condition<'_>> {
    let wildcard = Wildcard::of_source(trigger.source.as_deref()?);
    Some(Condition { path: vec!["source"], alternatives: vec![Operator::Text(TextTest::Wildcard(wildcard))].into() })
}

fn listens_elsewhere(entry: &Entry, event_type: &TypePattern) -> bool {
    event_triggers(&entry.definition).any(|(_, trigger)| trigger.event_type != *event_type)
}
