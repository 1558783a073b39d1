//! Whether an event may come in: pure checks, in the order in which a router makes them.
//!
//! Between [`before_decode`] and [`after_decode`] stands the decoding itself, after them [`Sources`] says
//! whether the source may send this, and last comes the payload schema of the event's type; all of them
//! end in a [`Rejection`].

mod sources;

pub use sources::Sources;

use serde_json::Value;

use crate::decision::DeadReason;
use crate::event::{Event, EventError, MAX_EVENT_BYTES};
use crate::names::{RUN_EXTENSION, event_subject};

/// How many runs may stand between an event and the outside world. A chain that was meant is rarely
/// longer than a handful; a loop reaches it within seconds and ends there.
pub const MAX_HOPS: u64 = 16;

/// How often an event is delivered before it counts as one that crashes whoever takes it.
pub const MAX_DELIVERIES: u64 = 10;

/// What is known of a message before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The subject it was published on.
    pub subject: &'a str,
    /// Its size, headers and payload.
    pub bytes: usize,
    /// How often it has been delivered, this time included.
    pub deliveries: u64,
}

/// Why an event may not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// Why, as a code.
    pub reason: DeadReason,
    /// Why, in words.
    pub detail: String,
}

impl Rejection {
    /// A rejection.
    pub fn new(reason: DeadReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<EventError> for Rejection {
    fn from(error: EventError) -> Self {
        Self::new(DeadReason::InvalidEvent, error.to_string())
    }
}

/// What can be said without looking inside.
pub fn before_decode(delivery: &Delivery<'_>) -> Result<(), Rejection> {
    if delivery.deliveries > MAX_DELIVERIES {
        let detail = format!("delivery {} of an event that may have {MAX_DELIVERIES}", delivery.deliveries);
        return Err(Rejection::new(DeadReason::TooManyDeliveries, detail));
    }
    if delivery.bytes > MAX_EVENT_BYTES {
        let detail = format!("{} bytes of an event that may have {MAX_EVENT_BYTES}", delivery.bytes);
        return Err(Rejection::new(DeadReason::TooLarge, detail));
    }
    Ok(())
}

/// What can be said of a well-formed event without its schema. The subject has to name the type, because
/// the right to publish on a subject is the right to send its type.
pub fn after_decode(delivery: &Delivery<'_>, event: &Event) -> Result<(), Rejection> {
    let wanted = event_subject(&event.event_type);
    if delivery.subject != wanted {
        let detail = format!("subject {:?} carries an event of type {:?}", delivery.subject, event.event_type);
        return Err(Rejection::new(DeadReason::SubjectMismatch, detail));
    }
    let hops = event.hops();
    if hops > MAX_HOPS {
        let last = event.extensions.get(RUN_EXTENSION).and_then(Value::as_str);
        let last = last.map(|run| format!("; the last of them is {run}")).unwrap_or_default();
        let detail = format!("{hops} runs stand between this event and the outside world, {MAX_HOPS} may{last}");
        return Err(Rejection::new(DeadReason::TooManyHops, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::HOPS_EXTENSION;

    fn check(subject: &str, bytes: usize, deliveries: u64, hops: u64, expected: Option<DeadReason>) {
        let delivery = Delivery { subject, bytes, deliveries };
        let mut event = Event::new("com.shop.order", "/shop", "1");
        event.extensions.insert(HOPS_EXTENSION.into(), json!(hops));
        let verdict = before_decode(&delivery).and_then(|()| after_decode(&delivery, &event));
        assert_eq!(verdict.err().map(|rejection| rejection.reason), expected, "{delivery:?}, {hops} hops");
    }

    #[test]
    fn the_last_allowed_value_passes_and_the_next_one_does_not() {
        let subject = "events.com.shop.order";
        check(subject, MAX_EVENT_BYTES, MAX_DELIVERIES, MAX_HOPS, None);
        check(subject, MAX_EVENT_BYTES + 1, 1, 0, Some(DeadReason::TooLarge));
        check(subject, 1, MAX_DELIVERIES + 1, 0, Some(DeadReason::TooManyDeliveries));
        check(subject, 1, 1, MAX_HOPS + 1, Some(DeadReason::TooManyHops));
        check("events.com.shop.orders", 1, 1, 0, Some(DeadReason::SubjectMismatch));
        check("com.shop.order", 1, 1, 0, Some(DeadReason::SubjectMismatch));
    }

    #[test]
    fn a_message_delivered_too_often_is_not_looked_at_any_further() {
        check("nonsense", MAX_EVENT_BYTES + 1, MAX_DELIVERIES + 1, 99, Some(DeadReason::TooManyDeliveries));
    }

    #[test]
    fn hops_that_are_no_number_count_as_too_many() {
        let delivery = Delivery { subject: "events.t", bytes: 1, deliveries: 1 };
        let mut event = Event::new("t", "/shop", "1");
        event.extensions.insert(HOPS_EXTENSION.into(), json!("many"));
        assert_eq!(after_decode(&delivery, &event).unwrap_err().reason, DeadReason::TooManyHops);
    }
}
