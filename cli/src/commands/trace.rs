//! `spine trace`: what became of an event.

use std::time::Duration;

use anyhow::bail;

use crate::args::{Global, Trace};
use crate::{connect, output, trace};

pub(crate) async fn run(global: &Global, options: &Trace) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let jetstream = async_nats::jetstream::new(connect::nats(&config, "spine trace").await?);
    let store = connect::store(&config).await?;
    let temporal = connect::temporal_if_there(&config).await;
    let sources = trace::Sources { jetstream: &jetstream, store: &store, temporal: temporal.as_ref() };
    let source = options.source.as_deref();
    let traces = match options.wait {
        Some(seconds) => trace::settled(&sources, source, &options.event, Duration::from_secs(seconds)).await?,
        None => trace::event(&sources, source, &options.event).await?,
    };
    if traces.is_empty() {
        bail!(
            "nothing is known of an event with id {:?}: it was never published, is not routed yet, or is older than the streams keep",
            options.event
        );
    }
    output::print(global.output, &traces, |traces| trace::people::events(traces))
}
