//! `spine runs show`.

use async_nats::jetstream;
use serde::Serialize;
use spine_core::decision::Decision;
use spine_core::key::EventKey;
use spine_nats::decisions;

use super::find;
use crate::args::Global;
use crate::args::runs::Show;
use crate::trace::{self, RunTrace, timeline};
use crate::{connect, output};

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    trace: RunTrace,
    /// What routers decided of the event; empty where NATS is away or has forgotten.
    decisions: Vec<Decision>,
}

pub(crate) async fn run(global: &Global, options: &Show) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let store = connect::store(&config).await?;
    let id = find::one(&store, &options.run).await?.id;
    let (nats, temporal) =
        tokio::join!(connect::nats_if_there(&config, "spine runs show"), connect::temporal_if_there(&config));
    let found = trace::run(&store, temporal.as_ref(), &id).await?;
    let trace = found.ok_or_else(|| anyhow::anyhow!("run {id:?} was there a moment ago and is not any more"))?;
    let decisions = match nats {
        Some(nats) => decisions_of(&jetstream::new(nats), &trace).await,
        None => Vec::new(),
    };
    let shown = Shown { trace, decisions };
    output::print(global.output, &shown, |shown| timeline::people(&shown.trace, &shown.decisions, options.full))
}

async fn decisions_of(jetstream: &jetstream::Context, trace: &RunTrace) -> Vec<Decision> {
    let key = EventKey::new(&trace.run.event.source, &trace.run.event.id);
    decisions::of_key(jetstream, &key).await.unwrap_or_else(|error| {
        tracing::warn!("going on without the decisions: {:#}", anyhow::Error::new(error));
        Vec::new()
    })
}
