//! A batch of events (JSON event format 1.0.2, section 4): what becomes of each is said.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use spine_core::event::Event;
use spine_nats::publish::{Ack, Message};
use spine_nats::wire::Mode;
use spine_runtime::metrics::labels::Request as Label;

use crate::Shared;
use crate::access::Sender;
use crate::problem::{Code, Problem};
use crate::publication;

/// The texts of the events in a batch, of which there may be `max`. They are not looked into.
pub fn split(body: &[u8], max: usize) -> Result<Vec<&RawValue>, Problem> {
    let malformed = |error| Problem::new(Code::MalformedBody, format!("the batch is no JSON array: {error}"));
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(malformed)?;
    if items.len() > max {
        let detail = format!("{} events in a batch that may have {max}, see ingress.max_batch_events", items.len());
        return Err(Problem::new(Code::TooLarge, detail));
    }
    Ok(items)
}

/// One event of a batch.
struct Item {
    /// What is known of who it is, to be shown.
    id: Value,
    source: Value,
    state: State,
}

/// What became of it.
enum State {
    Admitted(Box<Event>, Box<Message>),
    Stored(Ack, String),
    Failed(Problem),
}

/// Publishes those that may come in, in their order. Only where JetStream has all of them is the answer 2xx.
pub(super) async fn accept(shared: &Shared, sender: Sender<'_>, body: &[u8]) -> Result<Response, Problem> {
    let texts = split(body, shared.limits.batch_events)?;
    let mut items: Vec<Item> = texts.into_iter().map(|text| read(shared, sender, text)).collect();
    shared.rejected(items.iter().filter(|item| matches!(item.state, State::Failed(_))).count());
    let messages: Vec<Message> = items.iter().filter_map(Item::message).collect();
    let mut results = publication::all(shared, &messages).await.into_iter();
    for item in &mut items {
        let State::Admitted(event, _) = &item.state else { continue };
        item.state = match results.next() {
            Some(Ok(ack)) => State::Stored(ack, event.key().to_string()),
            Some(Err(problem)) => State::Failed(problem),
            None => State::Failed(Problem::new(Code::JetstreamUnavailable, "there was no answer")),
        };
    }
    answer(&items)
}

fn read(shared: &Shared, sender: Sender<'_>, text: &RawValue) -> Item {
    let event = match Event::from_json(text.get().as_bytes()) {
        Ok(event) => event,
        Err(error) => {
            let (id, source) = (known(error.event_id()), known(error.event_source()));
            return Item { id, source, state: State::Failed(error.into()) };
        }
    };
    let admitted = sender.may_send(&event).and_then(|()| publication::admit(shared, &event, Mode::Structured));
    let (id, source) = (known(Some(&event.id)), known(Some(&event.source)));
    let state = match admitted {
        Ok(message) => State::Admitted(Box::new(event), Box::new(message)),
        Err(problem) => State::Failed(problem),
    };
    Item { id, source, state }
}

/// What a sender wrote is shown as far as it can be an id.
fn known(text: Option<&str>) -> Value {
    text.map(|text| text.chars().take(spine_core::event::MAX_ID_BYTES).collect::<String>()).into()
}

impl Item {
    fn message(&self) -> Option<Message> {
        match &self.state {
            State::Admitted(_, message) => Some(Message::clone(message)),
            _ => None,
        }
    }

    fn problem(&self) -> Option<&Problem> {
        match &self.state {
            State::Failed(problem) => Some(problem),
            _ => None,
        }
    }

    fn show(&self, index: usize) -> Value {
        let mut shown = json!({"index": index, "id": self.id, "source": self.source});
        let more = match &self.state {
            State::Stored(ack, key) => {
                let status = if ack.duplicate { "duplicate" } else { "accepted" };
                json!({"status": status, "key": key, "sequence": ack.sequence})
            }
            State::Failed(problem) => {
                let status = if problem.retry_after.is_some() { "unavailable" } else { "rejected" };
                json!({"status": status, "code": problem.code.as_str(), "reason": problem.detail})
            }
            State::Admitted(..) => json!({"status": "unavailable"}),
        };
        if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
            shown.extend(more);
        }
        shown
    }
}

/// 202 if JetStream has all; 503 if some have to be sent again, and then all may be; else the status that those
/// which were refused have in common, or 422.
fn answer(items: &[Item]) -> Result<Response, Problem> {
    let shown: Value = items.iter().enumerate().map(|(index, item)| item.show(index)).collect();
    let problems: Vec<&Problem> = items.iter().filter_map(Item::problem).collect();
    let Some(first) = problems.first() else {
        let is_new = |item: &Item| matches!(&item.state, State::Stored(ack, _) if !ack.duplicate);
        let label = if items.is_empty() || items.iter().any(is_new) { Label::Accepted } else { Label::Duplicate };
        return Ok(publication::answer(StatusCode::ACCEPTED, label, &json!({"items": shown})));
    };
    let (total, failed) = (items.len(), problems.len());
    let (code, advice) = match problems.iter().find(|problem| problem.retry_after.is_some()) {
        Some(unavailable) => (unavailable.code, "send the whole batch again, what was taken is kept once"),
        None if problems.iter().all(|problem| problem.code == first.code) => (first.code, "the others were taken"),
        None => (Code::BatchRejected, "the others were taken"),
    };
    let detail = format!("{failed} of {total} events were not taken, see items; {advice}");
    Err(Problem { items: Some(shown), ..Problem::new(code, detail) })
}
