//! What matching costs on one core: `cargo bench -p spine-schemas --bench matching` prints one table.
//!
//! The mix of activities is in [`workload`]. Numbers depend on the machine and on what else runs there; the
//! last column does less so: it compares with a scan of all activities in the same run.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on may panic")]

mod hot_path;
mod measure;
mod swap;
mod workload;

use std::hint::black_box;
use std::time::Instant;

use serde_json::Value;
use spine_core::activity::{Trigger, TypePattern};
use spine_core::event::Event;
use spine_core::matching::{Entry, Index};

use measure::{Table, per_second, resident_bytes};

fn main() {
    // `cargo test --benches` asks whether it runs, not how fast.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let (small, large) = if quick { (200, 1000) } else { (10_000, 100_000) };
    let mut table = Table::default();
    let entries = workload::entries(large, large / 50);
    build(&mut table, &entries);
    let few = workload::entries(small, small / 20);
    let events = workload::events(workload::WARM, small / 20);
    let naive = per_second(&events, |event| scan(&few, event));
    table.rate(&format!("naive scan of {small} activities"), naive, naive);
    let index = Index::build(1, few);
    matched(&mut table, &index, small / 20, naive);
    matched(&mut table, &Index::build(1, entries.clone()), large / 50, naive);
    let decided = per_second(&events, |event| index.decide(event).len());
    table.rate(&format!("decided, with near misses, among {small}"), decided, naive);
    hot_path::measure(&mut table, &index, small / 20, naive);
    swap::measure(&mut table, &entries, large / 50, quick);
    table.print();
}

/// How many events a second are matched, if they are in the cache and if they are not.
fn matched(table: &mut Table, index: &Index, types: usize, naive: f64) {
    for (count, what) in [(workload::WARM, ""), (workload::COLD, ", nothing in the cache")] {
        let events = workload::events(count, types);
        let found: usize = events.iter().map(|event| index.matched(event).len()).sum();
        assert!(found > 0 && found < events.len() * 20, "{found} matches for {count} events");
        let rate = per_second(&events, |event| index.matched(event).len());
        table.rate(&format!("matched among {} activities{what}", index.len()), rate, naive);
    }
}

fn build(table: &mut Table, entries: &[Entry]) {
    let copies = [entries.to_vec(), entries.to_vec()];
    let [first, second] = copies;
    let (before, began) = (resident_bytes(), Instant::now());
    let index = Index::build(1, first);
    let took = began.elapsed();
    let count = entries.len();
    table.row(&format!("build of {count} activities"), took.as_secs_f64() * 1000.0, "ms");
    table.row(&format!("memory of {count} activities"), (resident_bytes() - before) / 1e6, "MB");
    let mut changed = second;
    changed[count / 2].revision += 1;
    let began = Instant::now();
    let next = index.next(2, changed);
    table.row("the next index, one activity changed", began.elapsed().as_secs_f64() * 1000.0, "ms");
    black_box((index, next));
}

/// What a router without an index would do: ask every trigger of every activity.
fn scan(entries: &[Entry], event: &Event) -> usize {
    let json = event.to_json();
    entries.iter().filter(|entry| entry.definition.triggers.iter().any(|trigger| starts(trigger, event, &json))).count()
}

fn starts(trigger: &Trigger, event: &Event, json: &Value) -> bool {
    let Trigger::Event(trigger) = trigger else { return false };
    let listens = match &trigger.event_type {
        TypePattern::Exact(name) => *name == event.event_type,
        TypePattern::Prefix(prefix) => event.event_type.starts_with(prefix.as_str()),
    };
    listens && trigger.pattern.as_ref().is_none_or(|pattern| pattern.check(json).is_ok())
}
