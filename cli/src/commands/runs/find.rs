//! Which run is meant by what people have in hand.

use anyhow::anyhow;
use spine_store::{RunSummary, Store};

use crate::failure::invalid;
use crate::output;

/// How many candidates are named where several fit.
const NAMED: u32 = 5;

/// The one run that `text` stands for. Fails with what is there if there is none, or more than one.
pub(crate) async fn one(store: &Store, text: &str) -> anyhow::Result<RunSummary> {
    let mut found = store.find_runs(text, NAMED + 1).await?;
    match found.len() {
        0 => Err(anyhow!(
            "there is no run {text:?}: no run has an id that is, ends in, or has a last part that begins with it \
             (6 digits at least), and no event with this id started one; `spine runs list` lists them"
        )),
        1 => Ok(found.swap_remove(0)),
        _ => Err(ambiguous(text, &found)),
    }
}

/// That several runs fit, and which.
pub(crate) fn ambiguous(text: &str, found: &[RunSummary]) -> anyhow::Error {
    let named = found
        .iter()
        .take(NAMED as usize)
        .map(|run| format!("\n  {}  {}  started {}", run.id, run.status.as_str(), output::when(run.started_at)));
    let more = if found.len() > NAMED as usize { "\n  and more" } else { "" };
    invalid(format!("{text:?} may be any of these runs; name one by its id:{}{more}", named.collect::<String>()))
}
