//! How long a match takes at worst while indexes are built, swapped and dropped on another thread: by the
//! clock, which counts whatever else wants the processor, and in time that the matching thread itself spent.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use spine_core::event::Event;
use spine_core::matching::{Entry, Index};

use crate::measure::Table;
use crate::workload;

const FOR: Duration = Duration::from_secs(3);

pub(crate) fn measure(table: &mut Table, entries: &[Entry], types: usize, quick: bool) {
    let events = &workload::events(workload::WARM, types);
    let time = if quick { Duration::from_millis(50) } else { FOR };
    let index = Arc::new(ArcSwap::from_pointee(Index::build(1, entries.to_vec())));
    let quiet = longest(&index, events, time);
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (index, stop, entries) = (index.clone(), stop.clone(), entries.to_vec());
        thread::spawn(move || swap(&index, entries, &stop))
    };
    let busy = longest(&index, events, time);
    stop.store(true, Ordering::Relaxed);
    let swaps = swapper.join().unwrap();
    report(table, "alone", quiet);
    report(table, &format!("during {swaps} swaps"), busy);
}

fn report(table: &mut Table, when: &str, times: [Duration; 4]) {
    let names =
        ["one match in 1,000 is longer", "one match in 100,000 is longer", "longest match", "longest match, own time"];
    for (name, time) in names.iter().zip(times) {
        table.row(&format!("{name}, {when}"), time.as_secs_f64() * 1e6, "us");
    }
}

/// Times of single matches: that which one in 1,000 exceeds, one in 100,000, and the longest, by the clock; and
/// the longest that the thread itself worked.
fn longest(index: &ArcSwap<Index>, events: &[Event], time: Duration) -> [Duration; 4] {
    let began = Instant::now();
    let (mut times, mut own) = (Vec::with_capacity(10_000_000), Duration::ZERO);
    for event in events.iter().cycle().take(times.capacity()) {
        let (start, own_start) = (Instant::now(), own_time());
        black_box(index.load().matched(event).len());
        own = own.max(own_time() - own_start);
        times.push(start.elapsed());
        if began.elapsed() > time {
            break;
        }
    }
    times.sort_unstable();
    let at = |one_in: usize| times[times.len() - 1 - times.len() / one_in];
    [at(1000), at(100_000), times[times.len() - 1], own]
}

fn own_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// Changes one activity at a time, and all of them every tenth time. The old index is dropped here, when
/// no one matches with it any more.
fn swap(index: &ArcSwap<Index>, mut entries: Vec<Entry>, stop: &AtomicBool) -> u64 {
    let mut version = 1;
    while !stop.load(Ordering::Relaxed) {
        version += 1;
        let at = version as usize * 7919 % entries.len();
        entries[at].revision += 1;
        let next = match version % 10 {
            0 => Index::build(version, entries.clone()),
            _ => index.load().next(version, entries.clone()),
        };
        let mut old = index.swap(Arc::new(next));
        while Arc::get_mut(&mut old).is_none() {
            thread::yield_now();
        }
    }
    version - 1
}
