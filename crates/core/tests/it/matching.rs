//! The index finds exactly what the rules of content patterns say, written down here a second time.
//!
//! By default 20,000 random cases; `SPINE_PROPERTY_CASES=1000000 cargo test --release -p spine-core
//! --test it matching` runs as many as one likes. A case is one pattern against one event; `SPINE_PROPERTY_SEED`
//! moves to others.

mod adversary;
mod examples;
mod naive;
mod random;

use std::env;
use std::sync::Arc;

use serde_json::{Value, json};
use spine_core::activity::{self, Activity, Document};
use spine_core::decision::Verdict;
use spine_core::event::{Data, Event};
use spine_core::matching::{Entry, Index};
use spine_core::pattern::Pattern;

use random::Random;

/// The most activities of one index of the property test. Where there are few, none hides what another does.
const ACTIVITIES: usize = 40;
/// How many events each index is asked about.
const EVENTS: usize = 25;

/// The definition of an activity with these triggers.
pub(crate) fn definition(name: &str, triggers: &Value) -> Arc<Activity> {
    let text = json!({"apiVersion": "spine/v1", "kind": "Activity", "metadata": {"name": name},
        "spec": {"on": triggers, "tasks": [{"id": "t", "uses": "emit", "with": {"type": "done"}}]}});
    match activity::parse("test.json", &text.to_string()).map(|mut documents| documents.remove(0)) {
        Ok(Document::Activity(definition)) => Arc::new(definition.value),
        other => panic!("{text}: {other:?}"),
    }
}

pub(crate) fn entry(name: &str, triggers: &Value) -> Entry {
    Entry { revision: 1, enabled: true, definition: definition(name, triggers) }
}

/// An activity with one trigger on type `t` that has this pattern.
pub(crate) fn listener(name: &str, pattern: &Value) -> Entry {
    entry(name, &json!([{"event": "t", "match": pattern}]))
}

pub(crate) fn event(data: Value) -> Event {
    let mut event = Event::new("t", "/shop", "1");
    event.data = Data::Json(data);
    event
}

pub(crate) fn matched(index: &Index, event: &Event) -> Vec<String> {
    index.matched(event).iter().map(|one| one.entry.definition.name.clone()).collect()
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn the_index_the_patterns_and_the_rules_agree() {
    let (cases, seed) = (number("SPINE_PROPERTY_CASES", 20_000) as usize, number("SPINE_PROPERTY_SEED", 1));
    let (mut done, mut hits) = (0, 0);
    for round in 0.. {
        let mut random = Random::new(seed.wrapping_mul(1 << 32) + round);
        let most = if random.one_in(2) { 4 } else { ACTIVITIES };
        let activities = 1 + random.below(most);
        hits += agree(&mut random, activities, round);
        done += activities * EVENTS;
        if done >= cases {
            break;
        }
    }
    assert!(hits * 20 > done && hits * 20 < done * 19, "{hits} of {done} cases match: the alphabet teaches nothing");
}

/// One index against its events; how many cases matched.
fn agree(random: &mut Random, activities: usize, round: u64) -> usize {
    let triggers: Vec<Value> = (0..activities).map(|_| random.triggers()).collect();
    let mut entries: Vec<Entry> =
        triggers.iter().enumerate().map(|(at, one)| entry(&format!("a{at:03}"), one)).collect();
    for entry in &mut entries {
        entry.enabled = !random.one_in(10);
    }
    let index = Index::build(1, entries.clone());
    let mut hits = 0;
    for _ in 0..EVENTS {
        let event = random.event();
        let json = event.to_json();
        let wanted: Vec<usize> = (0..triggers.len()).filter(|at| naive::starts(&triggers[*at], &json)).collect();
        let context = || format!("round {round}: {json}");
        check_patterns(&triggers, &json);
        let enabled = wanted.iter().filter(|at| entries[**at].enabled).map(|at| format!("a{at:03}"));
        assert_eq!(matched(&index, &event), enabled.collect::<Vec<_>>(), "{}", context());
        check_verdicts(&index, &event, &entries, &wanted, &context());
        hits += wanted.len();
    }
    check_change(random, &index, entries);
    hits
}

/// [`Pattern::check`] agrees for each pattern by itself, also of those under another type.
fn check_patterns(triggers: &[Value], json: &Value) {
    for pattern in triggers.iter().flat_map(|one| one.as_array().unwrap()).filter_map(|one| one.get("match")) {
        let got = Pattern::compile(pattern).unwrap().check(json);
        assert_eq!(got.is_ok(), naive::holds(pattern, json), "{pattern} {json} {got:?}");
    }
}

fn check_verdicts(index: &Index, event: &Event, entries: &[Entry], wanted: &[usize], context: &str) {
    let (decided, explained) = (index.decide(event), index.explain(event));
    assert_eq!(explained.len(), index.listeners(&event.event_type), "{context}");
    assert!(decided.iter().all(|one| explained.contains(one)), "{context}\n{decided:#?}\n{explained:#?}");
    for verdicts in [&decided, &explained] {
        let order = |one: &Verdict| (!one.matched, one.activity.clone());
        assert!(verdicts.is_sorted_by_key(order), "{context}");
        let matched = verdicts.iter().filter(|one| one.matched).count();
        assert_eq!(matched, wanted.iter().filter(|at| entries[**at].enabled).count(), "{context}");
    }
    let disabled = decided.iter().filter(|one| one.because.starts_with("the activity is disabled")).count();
    assert_eq!(disabled, wanted.iter().filter(|at| !entries[**at].enabled).count(), "{context}");
}

/// A changed index answers as one that was built from nothing, and nothing changes what another matches.
fn check_change(random: &mut Random, index: &Index, mut entries: Vec<Entry>) {
    for at in (0..entries.len()).rev() {
        match random.below(8) {
            0 => drop(entries.remove(at)),
            1 => entries[at].enabled = !entries[at].enabled,
            3 => entries[at] = entry(&format!("a{at:03}"), &random.triggers()),
            2 => entries.insert(at, entry(&format!("b{at:03}"), &random.triggers())),
            _ => {}
        }
    }
    let (changed, built) = (index.next(2, entries.clone()), Index::build(2, entries));
    for _ in 0..3 {
        let event = random.event();
        assert_eq!(changed.decide(&event), built.decide(&event));
        assert_eq!(matched(&changed, &event), matched(&built, &event));
    }
}
