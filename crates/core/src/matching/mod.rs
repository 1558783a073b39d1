//! Finds the activities that an event starts, and says of each one why or why not.
//!
//! Triggers are grouped by event type, exact or prefix, so an event meets only those that listen to its
//! type. Inside a group every rule (a trigger, or one combination of its `$or` alternatives) has a bit.
//! For each path that some rule names there is the set of rules that the event's value there allows,
//! looked up and not searched for; the sets are intersected, the most selective path first, until none is left.
//! Only what is left has its `when` evaluated. Nothing of the event is copied on the way.
//!
//! Invariant: the index gives exactly what [`crate::pattern::Pattern::check`] gives for each trigger by
//! itself. Where a rule is more than its group can hold, the group lets too much through and says so,
//! and the pattern itself decides.

mod affixes;
mod bits;
mod builder;
mod change;
mod group;
mod judge;
mod near;
mod path;
mod places;
mod postings;
mod ranges;
mod settle;
mod signals;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod wildcards;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::activity::{Activity, EventTrigger, Trigger, TypePattern};
use crate::decision::Verdict;
use crate::event::Event;
use crate::expression::EvalError;
use group::Group;
pub(crate) use settle::Moment;
pub use signals::Signal;

/// The current revision of one activity, ready to be matched.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The revision that new runs get.
    pub revision: u32,
    /// False: it starts nothing.
    pub enabled: bool,
    /// The definition.
    pub definition: Arc<Activity>,
}

/// An activity of which a trigger let an event through.
#[derive(Clone, Debug)]
pub struct Match<'i> {
    /// The activity.
    pub entry: &'i Entry,
    /// The first trigger that matches, counted among all triggers of the activity.
    pub trigger: usize,
    /// Ok if it matches. An error if no trigger matches and the `when` of this one failed.
    pub result: Result<(), EvalError>,
}

/// All event triggers of one state of the catalog. Immutable: a change makes a new one, which shares
/// with it whatever did not change.
#[derive(Clone, Debug, Default)]
pub struct Index {
    version: u64,
    entries: Vec<Arc<Entry>>,
    /// Whether there is a stateful activity at all.
    stateful: bool,
    // Only ever asked for one key: their order is no one's business.
    exact: HashMap<String, Arc<Group>>,
    prefixes: HashMap<String, Arc<Group>>,
}

impl Index {
    /// Indexes `entries`, which are the catalog's state `version`. Names are unique.
    pub fn build(version: u64, entries: Vec<Entry>) -> Self {
        Self::default().next(version, entries)
    }

    /// The index of another state. Only event types of which a trigger changed are indexed anew; an entry
    /// is unchanged if it has the same definition in memory, the same revision and is as enabled as before.
    pub fn next(&self, version: u64, entries: Vec<Entry>) -> Self {
        let change = change::between(&self.entries, entries);
        let stateful = change.entries.iter().any(|entry| entry.definition.instance.is_some());
        let (exact, prefixes) = (self.exact.clone(), self.prefixes.clone());
        let mut index = Self { version, entries: change.entries, stateful, exact, prefixes };
        index.rebuild(&change.types);
        index
    }

    fn rebuild(&mut self, types: &BTreeSet<TypePattern>) {
        let mut members: BTreeMap<&TypePattern, Vec<Arc<Entry>>> =
            types.iter().map(|event_type| (event_type, Vec::new())).collect();
        for entry in &self.entries {
            for (_, trigger) in event_triggers(&entry.definition) {
                if let Some(list) = members.get_mut(&trigger.event_type)
                    && list.last().is_none_or(|last| !Arc::ptr_eq(last, entry))
                {
                    list.push(entry.clone());
                }
            }
        }
        for (event_type, entries) in members {
            let (groups, name) = match event_type {
                TypePattern::Exact(name) => (&mut self.exact, name),
                TypePattern::Prefix(name) => (&mut self.prefixes, name),
            };
            match entries.is_empty() {
                true => groups.remove(name),
                false => groups.insert(name.clone(), Arc::new(Group::build(event_type, entries))),
            };
        }
    }

    /// The version of the catalog it stands for.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many activities it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many activities listen to this event type: as many as [`Index::explain`] gives verdicts.
    pub fn listeners(&self, event_type: &str) -> usize {
        let groups: Vec<&Group> = self.groups(event_type).collect();
        match groups.as_slice() {
            [only] => only.len(),
            several => {
                let shared: BTreeSet<_> = several.iter().flat_map(|group| group.shared()).map(Arc::as_ptr).collect();
                several.iter().map(|group| group.len() - group.shared().len()).sum::<usize>() + shared.len()
            }
        }
    }

    /// The enabled activities that this event starts, and those of which a `when` failed; by name.
    pub fn matched(&self, event: &Event) -> Vec<Match<'_>> {
        let moment = Moment::new(event);
        let mut candidates = Vec::new();
        let mut groups = 0;
        for group in self.groups(&event.event_type) {
            group.sieve(&moment.view, &mut candidates);
            groups += 1;
        }
        candidates.retain(|candidate| candidate.asks.enabled);
        settle::settle(candidates, groups, &moment).into_iter().filter_map(settle::Settled::into_match).collect()
    }

    /// The stateful activities of which a trigger lets this event through, disabled ones too; by name.
    pub fn signals(&self, event: &Event) -> Vec<Signal<'_>> {
        if !self.stateful {
            return Vec::new();
        }
        let moment = Moment::new(event);
        let mut candidates = Vec::new();
        for group in self.groups(&event.event_type) {
            group.sieve(&moment.view, &mut candidates);
        }
        signals::of(candidates, &moment)
    }

    /// The verdicts for a decision's record: all activities that matched or would if they were enabled, and
    /// at most [`crate::decision::MAX_NEAR_MISSES`] others, the nearest that are found at a bounded cost:
    /// those of which only `when` failed, then those of which one condition failed, then any. Those that
    /// matched come first, then they go by name. Of how many this is, [`Index::listeners`] says.
    pub fn decide(&self, event: &Event) -> Vec<Verdict> {
        near::decide(&self.groups(&event.event_type).collect::<Vec<_>>(), event)
    }

    /// A verdict for each activity that listens to the event's type: those that matched first, then by
    /// name. It asks each trigger by itself, without the index, so it takes as long as there are listeners.
    pub fn explain(&self, event: &Event) -> Vec<Verdict> {
        let moment = Moment::new(event);
        let entries: BTreeMap<_, _> = self
            .groups(&event.event_type)
            .flat_map(Group::entries)
            .map(|entry| ((entry.definition.name.as_str(), Arc::as_ptr(entry)), entry))
            .collect();
        judge::sorted(entries.into_values().map(|entry| judge::judge(entry, &moment, &[])).collect())
    }

    /// The groups that an event of this type meets.
    fn groups(&self, event_type: &str) -> impl Iterator<Item = &Group> {
        let prefixes = (!self.prefixes.is_empty()).then(|| {
            let dots = event_type.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
            dots.filter_map(|(at, _)| self.prefixes.get(&event_type[..=at]))
        });
        self.exact.get(event_type).into_iter().chain(prefixes.into_iter().flatten()).map(Arc::as_ref)
    }
}

/// The triggers that events start, with their places among all triggers.
fn event_triggers(activity: &Activity) -> impl Iterator<Item = (usize, &EventTrigger)> {
    activity.triggers.iter().enumerate().filter_map(|(at, trigger)| match trigger {
        Trigger::Event(trigger) => Some((at, trigger)),
        Trigger::Schedule(_) => None,
    })
}
