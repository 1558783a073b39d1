//! Makes dead letters of messages that no delivery to a router ends: those that no client can read, and those that a
//! consumer of somebody else gave up.
//!
//! Whatever fails is done again, and a letter that is there already is not stored twice.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use spine_core::decision::{DeadReason, Outcome};
use spine_core::names::{ROUTER_CONSUMER, type_of_subject};
use spine_nats::dead_letters::{self, Cause, Original};
use spine_nats::given_up::{self, Advisories, GivenUp, Raw};
use spine_nats::unreadable::{self, Sentry};
use spine_nats::{decisions, wire};
use spine_runtime::backoff::Backoff;
use spine_runtime::health::Component;

use crate::ruling::Identity;
use crate::{Shared, process};

/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Why something could not be buried.
#[derive(Debug, thiserror::Error)]
enum BuryError {
    #[error(transparent)]
    GivenUp(#[from] given_up::GivenUpError),
    #[error(transparent)]
    Read(#[from] spine_nats::ReadError),
    #[error(transparent)]
    Publish(#[from] spine_nats::publish::PublishError),
}

/// Goes on until the task is ended.
pub(crate) async fn work(shared: Arc<Shared>, component: Component) {
    let (mut sentry, mut pauses) = (Sentry::default(), pauses());
    loop {
        let Err(error) = rounds(&shared, &component, &mut sentry, &mut pauses).await;
        tracing::warn!(error = &error as &dyn std::error::Error, "failed to bury a message, trying again");
        component.down(format!("failed to bury a message: {error}"));
        tokio::time::sleep(pauses.next().unwrap_or(PAUSES.1)).await;
    }
}

fn pauses() -> Backoff {
    Backoff::new(PAUSES.0, PAUSES.1, 2)
}

/// Goes on until something fails: looks for unreadable messages, then waits some seconds for one that was given up.
async fn rounds(
    shared: &Shared,
    component: &Component,
    sentry: &mut Sentry,
    pauses: &mut Backoff,
) -> Result<Infallible, BuryError> {
    let advisories = Advisories::open(&shared.jetstream).await?;
    loop {
        for raw in sentry.look(&shared.jetstream).await? {
            if let Err(error) = bury_unreadable(shared, &raw).await {
                sentry.look_again_at(raw.sequence);
                return Err(error);
            }
        }
        component.up();
        *pauses = self::pauses();
        if let Some(given_up) = advisories.next().await? {
            bury_given_up(shared, &given_up).await?;
        }
    }
}

/// It is rejected, as a router would have done, and taken out of everybody's way.
async fn bury_unreadable(shared: &Shared, raw: &Raw) -> Result<(), BuryError> {
    let (reason, detail) = (DeadReason::InvalidEvent, "its headers are no text, so that no client can read it");
    let identity = identity(raw);
    bury(shared, raw, reason, detail, &identity, 1, ROUTER_CONSUMER).await?;
    let place = process::Place { stream_sequence: raw.sequence, deliveries: 1, redrive_of: None };
    let version = shared.catalog.current().map_or(0, |snapshot| snapshot.index.version());
    let outcome = Outcome::Rejected { reason, detail: detail.to_owned() };
    let decision = process::decision(place, identity, version, outcome, Vec::new());
    decisions::record(&shared.jetstream, &decision).await?;
    process::count(shared, &decision);
    Ok(unreadable::take_out(&shared.jetstream, raw.sequence).await?)
}

/// What is given up stays in the stream: others have dealt with it, or will.
async fn bury_given_up(shared: &Shared, given_up: &GivenUp) -> Result<(), BuryError> {
    let GivenUp { consumer, stream_sequence, deliveries, .. } = given_up;
    match given_up::message(&shared.jetstream, given_up).await? {
        Some(raw) => {
            let detail = format!("consumer {consumer} gave it up after {deliveries} deliveries");
            bury(shared, &raw, DeadReason::ConsumerGaveUp, &detail, &identity(&raw), *deliveries, consumer).await?;
        }
        None => tracing::error!(
            sequence = stream_sequence,
            consumer,
            "a consumer gave up a message that is not in the stream any more: there is nothing to bury"
        ),
    }
    Ok(given_up.done().await?)
}

async fn bury(
    shared: &Shared,
    raw: &Raw,
    reason: DeadReason,
    detail: &str,
    identity: &Identity,
    deliveries: u64,
    consumer: &str,
) -> Result<(), BuryError> {
    let none = HeaderMap::new();
    let original = Original {
        subject: &raw.subject,
        headers: raw.headers.as_ref().unwrap_or(&none),
        raw_headers: raw.headers.as_ref().err().map(Vec::as_slice),
        payload: &raw.payload,
        stream_sequence: raw.sequence,
        deliveries,
        consumer,
    };
    let Identity { event_type, source, id, .. } = identity;
    dead_letters::bury(&shared.jetstream, original, &Cause { reason, detail, event_type, source, id }).await?;
    shared.metrics.router.dead_letters.inc(reason.as_str());
    tracing::warn!(sequence = raw.sequence, event_type, id, reason = reason.as_str(), detail, "event is dead");
    Ok(())
}

/// Who it is, if it can be read; else it is known by its place.
fn identity(raw: &Raw) -> Identity {
    let subject_type = type_of_subject(&raw.subject).unwrap_or(&raw.subject);
    let event = raw.headers.as_ref().ok().and_then(|headers| wire::decode(headers, &raw.payload).ok());
    event.map_or_else(|| Identity::of_place(raw.sequence, subject_type), |event| Identity::of_event(&event))
}
