//! One delivery, from its arrival to its settlement.

use std::time::Instant;

use futures::StreamExt as _;
use futures::stream;
use spine_core::admission::Rejection;
use spine_core::decision::{DeadReason, Decision, MAX_VERDICTS, Outcome, Verdict};
use spine_core::names;
use spine_nats::consume::{Delivery, Settlement};
use spine_nats::dead_letters::{self, Cause};
use spine_nats::decisions;
use spine_runtime::metrics::labels::{Decision as Label, Dependency};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Shared;
use crate::dispatch::{self, Started};
use crate::patience::{Attempt, until_ended};
use crate::ruling::{self, Admitted, Identity};

/// How many runs of one event are started at once.
const STARTS_AT_ONCE: usize = 16;

/// Decides, starts, records, settles. A delivery that could not be ended because the router stops is
/// given back.
pub(crate) async fn process(shared: &Shared, delivery: Delivery) {
    let received = Instant::now();
    let settlement = match decide(shared, &delivery, received).await {
        Some(settlement) => settlement,
        None => Settlement::RetryAfter(std::time::Duration::ZERO),
    };
    delivery.settle(settlement).await;
    shared.metrics.router.event_seconds.observe(received.elapsed().as_secs_f64());
}

async fn decide(shared: &Shared, delivery: &Delivery, received: Instant) -> Option<Settlement> {
    let snapshot = shared.catalog.current()?;
    let ruling = ruling::rule(delivery.into(), &snapshot, &shared.config);
    let mut left_out = 0;
    let (outcome, verdicts) = match ruling.result {
        Err(rejection) => (rejected(shared, delivery, &ruling.identity, rejection).await?, Vec::new()),
        Ok(admitted) => {
            left_out = admitted.left_out;
            carry_out(shared, delivery, &ruling.identity, admitted, received).await?
        }
    };
    let settlement = match &outcome {
        Outcome::Rejected { reason, .. } => Settlement::Dead(reason.as_str()),
        _ => Settlement::Done,
    };
    let mut decision = decision(delivery.into(), ruling.identity, ruling.catalog_version, outcome, verdicts);
    decision.verdicts_left_out += left_out;
    record(shared, delivery, &decision).await?;
    count(shared, &decision);
    Some(settlement)
}

/// Starts what matched, and says what the event became.
async fn carry_out(
    shared: &Shared,
    delivery: &Delivery,
    identity: &Identity,
    admitted: Admitted,
    received: Instant,
) -> Option<(Outcome, Vec<Verdict>)> {
    let Admitted { event, mut verdicts, stateful, .. } = admitted;
    let starts_run = |verdict: &&mut Verdict| verdict.matched && !stateful.contains(&verdict.activity);
    let mut starting: Vec<&mut Verdict> = verdicts.iter_mut().filter(starts_run).collect();
    let starts = starting.iter().map(|verdict| {
        let (event, activity, revision) = (&event, verdict.activity.as_str(), verdict.revision);
        let sequence = delivery.stream_sequence;
        until_ended(shared, delivery, move || dispatch::start(shared, activity, revision, event, sequence, received))
    });
    let started: Vec<Option<Started>> =
        stream::iter(starts.collect::<Vec<_>>()).buffered(STARTS_AT_ONCE).collect().await;
    let started: Vec<Started> = started.into_iter().collect::<Option<_>>()?;
    for (verdict, started) in starting.iter_mut().zip(&started) {
        verdict.run =
            (!matches!(started, Started::Refused(_))).then(|| names::run_id(&verdict.activity, &identity.key));
    }
    if let Some(Started::Refused(detail)) = started.iter().find(|started| matches!(started, Started::Refused(_))) {
        let rejection = Rejection { reason: DeadReason::StartRefused, detail: detail.clone() };
        return Some((rejected(shared, delivery, identity, rejection).await?, verdicts));
    }
    let outcome = match started.as_slice() {
        [] if !stateful.is_empty() => Outcome::Signalled,
        [] => Outcome::Unmatched,
        all if all.contains(&Started::New) => Outcome::Started,
        _ => started_before(shared, delivery, identity).await?,
    };
    Some((outcome, verdicts))
}

/// All runs were there already: by this very message, of which an earlier delivery was not settled, or by
/// an earlier message with the same source and id.
async fn started_before(shared: &Shared, delivery: &Delivery, identity: &Identity) -> Option<Outcome> {
    let known = until_ended(shared, delivery, || async {
        match decisions::of_key(&shared.jetstream, &identity.key).await {
            Ok(known) => Attempt::Ended(known),
            Err(error) => Attempt::Away(Dependency::Nats, error.to_string()),
        }
    });
    let known = known.await?;
    let earlier = known
        .iter()
        .map(|decision| decision.stream_sequence)
        .filter(|sequence| *sequence != delivery.stream_sequence)
        .min();
    Some(match earlier {
        Some(sequence) => Outcome::Duplicate { of_sequence: Some(sequence) },
        None if delivery.deliveries > 1 => Outcome::Started,
        None => Outcome::Duplicate { of_sequence: None },
    })
}

/// Puts the message into the DEAD stream, whole, before the delivery is ended.
async fn rejected(shared: &Shared, delivery: &Delivery, identity: &Identity, rejection: Rejection) -> Option<Outcome> {
    let Rejection { reason, detail } = rejection;
    let Identity { event_type, source, id, .. } = identity;
    let cause = Cause { reason, detail: &detail, event_type, source, id };
    until_ended(shared, delivery, || async {
        match dead_letters::bury(&shared.jetstream, delivery, &cause).await {
            Ok(()) => Attempt::Ended(()),
            Err(error) => Attempt::Away(Dependency::Nats, error.to_string()),
        }
    })
    .await?;
    shared.metrics.router.dead_letters.inc(reason.as_str());
    tracing::info!(
        sequence = delivery.stream_sequence,
        event_type = identity.event_type,
        id = identity.id,
        reason = reason.as_str(),
        detail,
        "event is dead"
    );
    Some(Outcome::Rejected { reason, detail })
}

async fn record(shared: &Shared, delivery: &Delivery, decision: &Decision) -> Option<()> {
    until_ended(shared, delivery, || async {
        match decisions::record(&shared.jetstream, decision).await {
            Ok(()) => Attempt::Ended(()),
            Err(error) => Attempt::Away(Dependency::Nats, error.to_string()),
        }
    })
    .await
}

/// Which message a decision is about.
pub(crate) struct Place {
    pub(crate) stream_sequence: u64,
    pub(crate) deliveries: u64,
    pub(crate) redrive_of: Option<u64>,
}

impl From<&Delivery> for Place {
    fn from(delivery: &Delivery) -> Self {
        let Delivery { stream_sequence, deliveries, headers, .. } = delivery;
        let redrive_of = dead_letters::redrive_of(headers);
        Self { stream_sequence: *stream_sequence, deliveries: *deliveries, redrive_of }
    }
}

pub(crate) fn decision(
    place: Place,
    identity: Identity,
    catalog_version: u64,
    outcome: Outcome,
    mut verdicts: Vec<Verdict>,
) -> Decision {
    let verdicts_left_out = verdicts.len().saturating_sub(MAX_VERDICTS);
    verdicts.truncate(MAX_VERDICTS);
    Decision {
        key: identity.key,
        source: identity.source,
        id: identity.id,
        event_type: identity.event_type,
        stream_sequence: place.stream_sequence,
        delivery: place.deliveries,
        decided_at: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
        catalog_version,
        outcome,
        verdicts,
        verdicts_left_out,
        redrive_of: place.redrive_of,
    }
}

pub(crate) fn count(shared: &Shared, decision: &Decision) {
    let label = match decision.outcome {
        Outcome::Rejected { .. } => Label::Rejected,
        Outcome::Unmatched => Label::Unmatched,
        Outcome::Duplicate { .. } => Label::Duplicate,
        Outcome::Started => Label::Started,
        Outcome::Signalled => Label::Signalled,
    };
    shared.metrics.router.decisions.inc(label);
    if decision.redrive_of.is_some() {
        shared.metrics.router.redriven.inc(label);
    }
}
