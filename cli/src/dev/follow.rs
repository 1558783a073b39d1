//! One line for each event, run and emitted event, as it happens.

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy};
use futures::StreamExt as _;
use serde_json::Value;
use spine_core::decision::{Decision, Outcome, Verdict};
use spine_core::event::{Data, Event};
use spine_core::names;
use spine_runtime::shutdown::Shutdown;

/// Prints until `shutdown`. That it can't is said, and no reason to stop.
pub(crate) async fn follow(jetstream: jetstream::Context, shutdown: Shutdown) {
    let decisions = stream(&jetstream, names::DECISIONS_STREAM, &shutdown, |_, _, payload| {
        serde_json::from_slice(payload).ok().and_then(|decision| decided(&decision))
    });
    let events = stream(&jetstream, names::EVENTS_STREAM, &shutdown, |sequence, headers, payload| {
        spine_nats::wire::decode(headers, payload).ok().and_then(|event| told(sequence, &event))
    });
    let (decisions, events) = tokio::join!(decisions, events);
    for error in [decisions, events].into_iter().filter_map(Result::err) {
        eprintln!("not following any more: {error:#}");
    }
}

async fn stream(
    jetstream: &jetstream::Context,
    name: &str,
    shutdown: &Shutdown,
    line: impl Fn(u64, &async_nats::HeaderMap, &[u8]) -> Option<String>,
) -> anyhow::Result<()> {
    let config = OrderedConfig { deliver_policy: DeliverPolicy::New, ..OrderedConfig::default() };
    let consumer: Consumer<OrderedConfig> = jetstream.get_stream(name).await?.create_consumer(config).await?;
    let mut messages = consumer.messages().await?;
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = shutdown.requested() => return Ok(()),
        };
        // An ordered consumer makes itself anew after a loss; an error on the way is no end.
        let Some(Ok(message)) = message else {
            if message.is_none() {
                return Ok(());
            }
            continue;
        };
        let sequence = message.info().map(|info| info.stream_sequence).unwrap_or_default();
        let headers = message.headers.clone().unwrap_or_default();
        if let Some(line) = line(sequence, &headers, &message.payload) {
            println!("{line}");
        }
    }
}

/// The line of a decision. Our own notices are told as what they are about, not as events that nobody wants.
fn decided(decision: &Decision) -> Option<String> {
    if decision.event_type.starts_with(names::OWN_TYPES) && decision.outcome == Outcome::Unmatched {
        return None;
    }
    let runs: Vec<&str> = decision.verdicts.iter().filter_map(|verdict| verdict.run.as_deref()).collect();
    let misses = decision.verdicts.iter().filter(|verdict| !verdict.matched);
    let became = match &decision.outcome {
        Outcome::Rejected { reason, detail } => format!("dead: {reason}: {detail}"),
        Outcome::Duplicate { .. } => "duplicate, nothing started".into(),
        Outcome::Unmatched => {
            let reasons: Vec<String> =
                misses.map(|verdict| format!("{}: {}", verdict.activity, verdict.because)).collect();
            if reasons.is_empty() { "unmatched".into() } else { format!("unmatched ({})", reasons.join("; ")) }
        }
        Outcome::Started => format!("started {}", runs.join(", ")),
        Outcome::Signalled => format!("given to {}", instances(decision).join(", ")),
    };
    Some(format!("event    {} {}  {became}", decision.event_type, decision.id))
}

/// The instances that get the event: each activity with the key.
fn instances(decision: &Decision) -> Vec<String> {
    let of = |verdict: &Verdict| Some(format!("{}/{}", verdict.activity, verdict.instance.as_ref()?));
    decision.verdicts.iter().filter_map(of).collect()
}

/// The line of an event that a run has put into the stream.
fn told(sequence: u64, event: &Event) -> Option<String> {
    let run = event.extensions.get(names::RUN_EXTENSION).and_then(Value::as_str)?;
    match event.event_type.strip_prefix(names::OWN_TYPES) {
        Some("run.completed") => Some(format!("run      {run}  completed")),
        Some("run.failed") => {
            let error = match &event.data {
                Data::Json(data) => data["error"]["message"].as_str().unwrap_or_default().to_owned(),
                _ => String::new(),
            };
            Some(format!("run      {run}  failed: {error}"))
        }
        Some(_) => None,
        None => Some(format!(
            "emitted  {} {}  {}:{sequence} by {run}",
            event.event_type,
            event.subject.as_deref().unwrap_or("-"),
            names::EVENTS_STREAM
        )),
    }
}
