//! Time, memory, and the table they end in.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long one rate is measured.
const FOR: Duration = Duration::from_secs(2);

/// How often a second `work` is done, one item after the other: the best of several rounds, as others use
/// this machine too.
pub(crate) fn per_second<T>(items: &[T], mut work: impl FnMut(&T) -> usize) -> f64 {
    let (began, mut best) = (Instant::now(), 0_f64);
    let mut next = items.iter().cycle();
    let mut batch = 1;
    while began.elapsed() < FOR {
        let round = Instant::now();
        for item in next.by_ref().take(batch) {
            black_box(work(item));
        }
        let took = round.elapsed().as_secs_f64();
        best = best.max(batch as f64 / took);
        if took < 0.05 {
            batch *= 2;
        }
    }
    best
}

/// The memory of this process that is in use.
pub(crate) fn resident_bytes() -> f64 {
    const PAGE: f64 = 4096.0;
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or_default() * PAGE
}

/// Rows of a name, a value, its unit, and how many times the naive scan that is.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    pub(crate) fn row(&mut self, name: &str, value: f64, unit: &str) {
        self.0.push([name.into(), format!("{value:.1}"), unit.into(), String::new()]);
    }

    pub(crate) fn rate(&mut self, name: &str, rate: f64, naive: f64) {
        self.0.push([name.into(), format!("{rate:.0}"), "events/s".into(), format!("{:.1}x", rate / naive)]);
    }

    pub(crate) fn print(&self) {
        println!("{:<50} {:>12} {:<9} {:>10}", "", "", "", "naive scan");
        for [name, value, unit, ratio] in &self.0 {
            println!("{name:<50} {value:>12} {unit:<9} {ratio:>10}");
        }
    }
}
