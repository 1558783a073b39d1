//! `spine provision`: database, streams, consumers and schedules as they should be.

use serde::Serialize;

use crate::args::Global;
use crate::schedules::{self, Look, ScheduleChange};
use crate::{connect, output};

/// What was done.
#[derive(Serialize)]
pub(crate) struct Provisioned {
    database: &'static str,
    streams: Vec<StreamChange>,
    schedules: Vec<ScheduleChange>,
}

#[derive(Serialize)]
struct StreamChange {
    name: String,
    change: String,
}

pub(crate) async fn run(global: &Global) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let done = provision(&config).await?;
    output::print(global.output, &done, |done| {
        let database = std::iter::once(["database".to_owned(), done.database.to_owned()]);
        let streams = done.streams.iter().map(|change| [change.name.clone(), change.change.clone()]);
        let schedules = done.schedules.iter().map(|change| [change.schedule.clone(), change.people()]);
        output::table(&["what", "change"], database.chain(streams).chain(schedules))
    })
}

/// Migrates, makes streams and consumers, makes schedules equal to the registry. Safe to repeat.
pub(crate) async fn provision(config: &spine_runtime::config::Config) -> anyhow::Result<Provisioned> {
    let store = connect::store(config).await?;
    store.migrate().await?;
    let client = connect::nats(config, "spine provision").await?;
    let streams = spine_nats::topology::provision(&client).await?;
    // A new stream is read from its start, one that routers have decided before from where it ends now.
    let extent = spine_nats::tail::extent(&async_nats::jetstream::new(client)).await?;
    store.begin_inbox(extent.last).await?;
    let streams = streams
        .into_iter()
        .map(|change| StreamChange { name: change.name, change: change.action.to_string() })
        .collect();
    let temporal = connect::temporal(config).await?;
    let schedules = schedules::sync(&temporal, &store, Look::Everything).await?;
    Ok(Provisioned { database: "up to date", streams, schedules })
}
