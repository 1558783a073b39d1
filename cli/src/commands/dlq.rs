//! `spine dlq`: looks at dead letters, redrives them, edits them, drops them.

mod chain;
mod change;
mod choose;
mod edit;
mod gate;
mod list;
mod people;
mod show;
mod stats;

use async_nats::jetstream;
use spine_runtime::config::Config;

use crate::args::Global;
use crate::args::dlq::Dlq;
use crate::connect;

pub(crate) async fn run(global: &Global, options: &Dlq) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let jetstream = jetstream::new(connect::nats(&config, "spine dlq").await?);
    let desk = Desk { jetstream, config, output: global.output };
    match options {
        Dlq::List(options) => list::run(&desk, options).await,
        Dlq::Show(options) => show::run(&desk, options).await,
        Dlq::Stats(options) => stats::run(&desk, options).await,
        Dlq::Redrive(options) => change::redrive(&desk, options).await,
        Dlq::Edit(options) => edit::run(&desk, options).await,
        Dlq::Drop(options) => change::drop_letters(&desk, options).await,
    }
}

/// What every command works with.
struct Desk {
    jetstream: jetstream::Context,
    config: Config,
    output: crate::output::Format,
}
