//! From events to JetStream: admitted as a router would, published in order, answered after the ack.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use spine_core::admission::{self, Delivery};
use spine_core::event::Event;
use spine_nats::publish::{Ack, Message, publish_all};
use spine_nats::wire::Mode;
use spine_runtime::metrics::labels::{Arrival, Request as Label};

use crate::Shared;
use crate::problem::{Code, Problem};

/// The most events on their way to JetStream at once, of all requests: more only add to the time that each takes.
pub(crate) const MAX_IN_FLIGHT: usize = 1000;

/// The most events of one batch on their way at once, so that four batches share the way.
const WINDOW: usize = 250;

/// How long a request waits for its turn. JetStream takes 1,000 events in some 20 ms.
const TURN: Duration = Duration::from_secs(2);

/// Publishes one event and answers after JetStream's ack.
pub(crate) async fn one(shared: &Shared, event: Event, mode: Mode) -> Result<Response, Problem> {
    let message = admit(shared, &event, mode).inspect_err(|_| shared.rejected(1))?;
    let results = all(shared, &[message]).await;
    let missing = || Problem::new(Code::JetstreamUnavailable, "there was no answer");
    let ack = results.into_iter().next().ok_or_else(missing)??;
    let label = if ack.duplicate { Label::Duplicate } else { Label::Accepted };
    Ok(answer(StatusCode::ACCEPTED, label, &accepted(&event, &ack)))
}

/// The message that carries the event, if a router would let it in.
pub(crate) fn admit(shared: &Shared, event: &Event, mode: Mode) -> Result<Message, Problem> {
    let message = Message::of(event, mode)?;
    let delivery = Delivery { subject: message.subject(), bytes: message.payload_bytes(), deliveries: 1 };
    admission::before_decode(&delivery)?;
    admission::after_decode(&delivery, event)?;
    shared.rules.check(event)?;
    Ok(message)
}

/// Publishes all in order, and says what became of each. Once the stream takes none, events of the windows behind are
/// not tried: they would not stand in order, and the time that a request takes stays bounded. That NATS does not permit
/// one of them keeps no other back.
pub(crate) async fn all(shared: &Shared, messages: &[Message]) -> Vec<Result<Ack, Problem>> {
    let mut results: Vec<Result<Ack, Problem>> = Vec::with_capacity(messages.len());
    let mut stopped = None;
    for window in messages.chunks(WINDOW) {
        if let Some(code) = stopped {
            let detail = "an event before it in the batch was not taken, so this one was not tried";
            results.extend(window.iter().map(|_| Err(Problem::new(code, detail))));
            continue;
        }
        let published = publish_window(shared, window).await;
        stopped = published.iter().find_map(|result| result.as_ref().err().map(|p| p.code).filter(concerns_all));
        results.extend(published);
    }
    results.iter().for_each(|result| shared.arrived(result));
    results
}

/// Whether what is wrong with one event is wrong with any.
fn concerns_all(code: &Code) -> bool {
    matches!(code, Code::JetstreamUnavailable | Code::StreamFull | Code::Overloaded)
}

async fn publish_window(shared: &Shared, window: &[Message]) -> Vec<Result<Ack, Problem>> {
    let turns = u32::try_from(window.len()).unwrap_or(u32::MAX);
    let Ok(Ok(_turns)) = tokio::time::timeout(TURN, shared.in_flight.acquire_many(turns)).await else {
        let detail = format!("{MAX_IN_FLIGHT} events are on their way to JetStream already");
        return window.iter().map(|_| Err(Problem::new(Code::Overloaded, detail.clone()))).collect();
    };
    let results = publish_all(&shared.jetstream, window, &shared.violations).await;
    results.into_iter().map(|result| result.map_err(Problem::from)).collect()
}

/// What is said of an event that JetStream has.
pub(crate) fn accepted(event: &Event, ack: &Ack) -> Value {
    json!({
        "id": event.id,
        "source": event.source,
        "key": event.key(),
        "stream": ack.stream,
        "sequence": ack.sequence,
        "duplicate": ack.duplicate,
    })
}

/// An answer in JSON that is no problem.
pub(crate) fn answer(status: StatusCode, label: Label, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.extensions_mut().insert(label);
    response
}

impl Shared {
    /// Counts what became of an event, and takes note of whether JetStream is there.
    fn arrived(&self, result: &Result<Ack, Problem>) {
        let arrival = match result {
            Ok(ack) if ack.duplicate => Arrival::Duplicate,
            Ok(_) => Arrival::Accepted,
            Err(problem) if problem.retry_after.is_some() => Arrival::Unavailable,
            Err(_) => Arrival::Rejected,
        };
        self.metrics.ingress.events.inc(arrival);
        match result {
            Ok(_) => self.presence.seen(),
            Err(problem) if problem.code == Code::JetstreamUnavailable => self.presence.missed(&problem.detail),
            Err(_) => {}
        }
    }

    /// Counts events that may not come in.
    pub(crate) fn rejected(&self, count: usize) {
        self.metrics.ingress.events.add(Arrival::Rejected, count as u64);
    }
}
