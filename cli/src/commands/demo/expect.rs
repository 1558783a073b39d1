//! Expectations, and how many of them held.

use std::time::Duration;

/// Which expectations held.
#[derive(Default)]
pub(super) struct Verdicts {
    held: usize,
    broken: Vec<String>,
}

impl Verdicts {
    /// Notes and prints whether an expectation held.
    pub(super) fn expect(&mut self, what: impl Into<String>, held: bool) {
        let what = what.into();
        println!("  {} {what}", if held { "ok  " } else { "FAIL" });
        if held {
            self.held += 1;
        } else {
            self.broken.push(what);
        }
    }

    /// Fails unless everything held.
    pub(super) fn conclude(self, took: Duration) -> anyhow::Result<()> {
        let total = self.held + self.broken.len();
        println!(
            "\n{} of {total} expectations held, in {:.0} s. Nothing was left behind.",
            self.held,
            took.as_secs_f64()
        );
        match self.broken.as_slice() {
            [] => Ok(()),
            broken => anyhow::bail!("{} expectation(s) did not hold:\n  {}", broken.len(), broken.join("\n  ")),
        }
    }
}
