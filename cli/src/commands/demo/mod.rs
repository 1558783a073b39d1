//! `spine demo`: the web-shop example on a throw-away stack, every outcome checked.
//!
//! What it prints is what happened, read back from the streams and the database by the code of
//! `spine trace`; what was expected is compared with that, and decides the exit code.

mod expect;
mod scenes;

use anyhow::Context as _;
use spine_runtime::shutdown::{self, Shutdown};

use crate::args::{Dev, Global};
use crate::dev;

use expect::Verdicts;

pub(crate) async fn run(global: &Global) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    let shutdown = Shutdown::new();
    let _signals =
        shutdown::on_signals(shutdown.clone(), std::time::Duration::from_secs(30)).context("watch for signals")?;
    println!("Booting nats-server, Temporal and PostgreSQL on free ports, in a throw-away folder …");
    let options = Dev {
        ephemeral: true,
        example: true,
        nats_port: None,
        temporal_port: None,
        postgres_port: None,
        ingress_port: None,
        metrics_port: None,
    };
    let started = tokio::select! {
        started = dev::start(global, &options, shutdown.clone()) => started?,
        () = shutdown.requested() => return Ok(()),
    };
    println!("Ready after {:.1} s; 3 activities and 4 event types are applied.\n", began.elapsed().as_secs_f64());
    let mut verdicts = Verdicts::default();
    let played = tokio::select! {
        played = scenes::play(&started, &mut verdicts) => played,
        () = shutdown.requested() => Err(anyhow::anyhow!("the demo was interrupted")),
    };
    let stopped = started.stop().await;
    played?;
    stopped?;
    verdicts.conclude(began.elapsed())
}
