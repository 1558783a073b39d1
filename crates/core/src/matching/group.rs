//! All rules of one event type, or of one prefix of types.

use std::sync::Arc;

use super::bits::{Bits, Tally};
use super::builder::Builder;
use super::path::{Path, Scratch};
use super::{Entry, event_triggers};
use crate::activity::{EventTrigger, TypePattern};
use crate::pattern::{Condition, Operator, Root, TextTest, Wildcard};

/// The activities that listen to one type or prefix, and what their triggers ask.
#[derive(Clone, Debug)]
pub(super) struct Group {
    entries: Box<[Arc<Entry>]>,
    /// Those that listen to other types or prefixes as well.
    shared: Box<[Arc<Entry>]>,
    rules: Box<[Rule]>,
    /// The rules that ask anything of the event; the others always hold.
    asking: Bits,
    free: Box<[u32]>,
    paths: Box<[Path]>,
}

/// One combination of a trigger's conditions.
#[derive(Clone, Copy, Debug)]
struct Rule {
    entry: u32,
    trigger: u16,
    /// The paths let too much through: the pattern itself has to decide.
    verify: bool,
}

/// A trigger that an event may start: its `when` is still to be asked.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'i> {
    pub(super) entry: &'i Arc<Entry>,
    pub(super) trigger: usize,
    /// Its pattern is still to be asked as well.
    pub(super) verify: bool,
}

impl Group {
    /// Indexes the triggers of `entries` that are of this type; each entry has one.
    pub(super) fn build(event_type: &TypePattern, entries: Vec<Arc<Entry>>) -> Self {
        let mut rules = Vec::new();
        let mut asking = Vec::new();
        let mut paths = Builder::default();
        for (at, entry) in (0..).zip(&entries) {
            for (trigger, conditions) in conjunctions(entry, event_type) {
                // A catalog has some 10⁵ activities, and none has more than 20,000 rules.
                let number = rules.len() as u32;
                let held = conditions.iter().fold(true, |held, condition| paths.add(number, condition) && held);
                rules.push(Rule { entry: at, trigger: trigger as u16, verify: !held });
                asking.extend((!conditions.is_empty()).then_some(number));
            }
        }
        let bound = rules.len();
        let asking = Bits::of(&asking, bound);
        let mut free = Bits::all(bound);
        free.subtract(&asking);
        let paths = paths.build(bound).into();
        let shared = entries.iter().filter(|entry| listens_elsewhere(entry, event_type)).cloned().collect();
        Self { rules: rules.into(), asking, free: free.iter().collect(), paths, shared, entries: entries.into() }
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

    /// Adds the triggers that the event may start, as fast as it goes.
    pub(super) fn sieve<'i>(&'i self, event: &dyn Root, candidates: &mut Vec<Candidate<'i>>) {
        candidates.extend(self.free.iter().map(|rule| self.candidate(*rule)));
        if self.paths.is_empty() {
            return;
        }
        let mut left = self.asking.clone();
        let mut scratch = Scratch::new(self.rules.len());
        for path in &self.paths {
            path.read(event, &mut scratch);
            if !left.intersect(&scratch.held) {
                return;
            }
        }
        candidates.extend(left.iter().map(|rule| self.candidate(rule)));
    }

    /// As [`Group::sieve`], and counts for each rule at how many paths it fails.
    pub(super) fn survey<'i>(&'i self, event: &dyn Root, candidates: &mut Vec<Candidate<'i>>) -> Tally {
        let mut failed = Tally::new(self.rules.len());
        let mut scratch = Scratch::new(self.rules.len());
        for path in &self.paths {
            path.read(event, &mut scratch);
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
        let Rule { trigger, verify, .. } = self.rules[rule as usize];
        Candidate { entry: self.entry_of(rule), trigger: usize::from(trigger), verify }
    }
}

/// The rules of an entry's triggers of this type: the trigger, and the conditions that must all hold.
fn conjunctions<'p>(
    entry: &'p Entry,
    event_type: &'p TypePattern,
) -> impl Iterator<Item = (usize, Vec<Condition<'p>>)> {
    let triggers = event_triggers(&entry.definition).filter(|(_, trigger)| trigger.event_type == *event_type);
    triggers.flat_map(|(at, trigger)| {
        let combinations = match &trigger.pattern {
            Some(pattern) => pattern.conjunctions(),
            None => vec![Vec::new()],
        };
        combinations.into_iter().map(move |rest| (at, source(trigger).into_iter().chain(rest).collect()))
    })
}

fn source(trigger: &EventTrigger) -> Option<Condition<'_>> {
    let wildcard = Wildcard::of_source(trigger.source.as_deref()?);
    Some(Condition { path: vec!["source"], alternatives: vec![Operator::Text(TextTest::Wildcard(wildcard))].into() })
}

fn listens_elsewhere(entry: &Entry, event_type: &TypePattern) -> bool {
    event_triggers(&entry.definition).any(|(_, trigger)| trigger.event_type != *event_type)
}
