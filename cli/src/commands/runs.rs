//! `spine runs`: lists runs, shows one, waits for some, cancels and retries.

mod control;
mod find;
mod list;
mod show;
mod wait;

use crate::args::{Global, Runs};

pub(crate) async fn run(global: &Global, options: &Runs) -> anyhow::Result<()> {
    match options {
        Runs::List(options) => list::run(global, options).await,
        Runs::Show(options) => show::run(global, options).await,
        Runs::Wait(options) => wait::run(global, options).await,
        Runs::Cancel(options) => control::cancel(global, options).await,
        Runs::Retry(options) => control::retry(global, options).await,
    }
}
