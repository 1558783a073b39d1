//! Dead letters: what they keep, how they are found, and what becomes of them.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use spine_core::decision::DeadReason;
use spine_core::names::{DEAD_STREAM, EVENTS_STREAM};
use spine_nats::consume::Deliveries;
use spine_nats::dead_letters::marks::{self, Action, Mark};
use spine_nats::dead_letters::{self, Cause, Filter, Letter, Redriven};
use spine_nats::publish::publish;
use spine_nats::wire::{self, Mode};
use time::OffsetDateTime;

use crate::consume::next;
use crate::order;
use crate::server::Server;

#[tokio::test]
async fn a_dead_letter_is_the_whole_message_with_its_reason() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    publish(&jetstream, &order("1"), Mode::Binary).await.unwrap();
    let mut deliveries = Deliveries::open(&jetstream, 1).await.unwrap();
    let delivery = next(&mut deliveries).await;
    let cause = Cause { detail: "data: no\nid", ..cause(DeadReason::SchemaViolation) };
    for _ in 0..2 {
        dead_letters::bury(&jetstream, &delivery, &cause).await.unwrap();
    }
    let letters = dead_letters::scan(&jetstream, &Filter::default()).await.unwrap();
    assert_eq!(letters.len(), 1);
    let Letter { letter, reason, detail, event_type, source, id, subject, message_id, .. } = letters[0].clone();
    assert_eq!((letter, reason.as_str(), detail.as_str()), (1, "schema_violation", "data: no id"));
    assert_eq!((event_type.as_str(), subject.as_str()), ("com.shop_order", "events.com.shop.order"));
    assert_eq!((source.as_deref(), id.as_deref()), (Some("/shop 1"), Some("1")));
    assert_eq!(message_id.as_deref(), Some(order("1").key().as_str()));
    assert_eq!((letters[0].stream_sequence, letters[0].deliveries, letters[0].left_out_bytes), (1, 1, None));

    let whole = dead_letters::at(&jetstream, 1).await.unwrap().unwrap();
    assert_eq!((&whole.letter, &whole.payload, whole.is_there), (&letters[0], &delivery.payload, true));
    let names = |headers: &HeaderMap| headers.iter().map(|(name, _)| name.to_string()).collect::<BTreeSet<_>>();
    let mut expected = names(&delivery.headers);
    assert!(expected.remove("Nats-Msg-Id"));
    assert_eq!(names(&whole.headers), expected);
    assert!(dead_letters::at(&jetstream, 2).await.unwrap().is_none());
}

/// Any library that knows CloudEvents reads a letter as the event that died, with why.
#[tokio::test]
async fn a_letter_is_the_event_with_attributes_that_say_what_happened() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    publish(&jetstream, &order("1"), Mode::Binary).await.unwrap();
    let delivery = next(&mut Deliveries::open(&jetstream, 1).await.unwrap()).await;
    dead_letters::bury(&jetstream, &delivery, &cause(DeadReason::SchemaViolation)).await.unwrap();
    let stored = jetstream.get_stream(DEAD_STREAM).await.unwrap().get_raw_message(1).await.unwrap();
    assert_eq!(stored.subject.as_str(), "dead.schema_violation.com.shop_order");
    let event = wire::decode(&stored.headers, &stored.payload).unwrap();
    assert_eq!((event.id.as_str(), &event.data), ("1", &order("1").data));
    assert_eq!(event.extensions[dead_letters::REASON], "schema_violation");
    assert_eq!(event.extensions[dead_letters::DETAIL], "why");
    assert_eq!(event.extensions[dead_letters::DELIVERIES], "1");
    assert!(event.extensions.keys().all(|name| name.len() <= 20), "{:?}", event.extensions);
}

#[tokio::test]
async fn letters_are_found_by_what_they_say_and_marked() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    for id in ["1", "2", "3"] {
        publish(&jetstream, &order(id), Mode::Structured).await.unwrap();
    }
    let mut deliveries = Deliveries::open(&jetstream, 3).await.unwrap();
    let reasons = [DeadReason::SchemaViolation, DeadReason::StartRefused, DeadReason::SchemaViolation];
    for (id, reason) in ["1", "2", "3"].into_iter().zip(reasons) {
        let delivery = next(&mut deliveries).await;
        dead_letters::bury(&jetstream, &delivery, &Cause { id, ..cause(reason) }).await.unwrap();
    }
    let found = async |filter: Filter| {
        let letters = dead_letters::scan(&jetstream, &filter).await.unwrap();
        letters.into_iter().map(|letter| letter.letter).collect::<Vec<_>>()
    };
    let reasons = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let second = dead_letters::at(&jetstream, 2).await.unwrap().unwrap().letter.died_at;
    assert_eq!(found(Filter::default()).await, [1, 2, 3]);
    assert_eq!(found(Filter { reasons: reasons(&["schema_violation"]), ..Filter::default() }).await, [1, 3]);
    assert_eq!(found(Filter { reasons: reasons(&["start_refused", "x"]), ..Filter::default() }).await, [2]);
    assert_eq!(found(Filter { event_type: Some("com.shop order".into()), ..Filter::default() }).await, [1, 2, 3]);
    assert_eq!(found(Filter { event_type: Some("com.shop".into()), ..Filter::default() }).await, [0; 0]);
    assert_eq!(found(Filter { id: Some("3".into()), ..Filter::default() }).await, [3]);
    assert_eq!(found(Filter { source: Some("/other".into()), ..Filter::default() }).await, [0; 0]);
    assert_eq!(found(Filter { since: Some(second), ..Filter::default() }).await, [2, 3]);
    assert_eq!(found(Filter { until: Some(second), ..Filter::default() }).await, [1]);

    assert!(marks::last(&jetstream).await.unwrap().is_empty());
    let mark = |letter, action| Mark {
        letter,
        action,
        at: OffsetDateTime::now_utc(),
        by: "ada".into(),
        because: None,
        stream_sequence: None,
        event: None,
    };
    let dropped = mark(1, Action::Dropped);
    for mark in [&dropped, &dropped, &mark(2, Action::Dropped), &mark(2, Action::Redriven)] {
        marks::add(&jetstream, mark).await.unwrap();
    }
    let last: Vec<_> = marks::last(&jetstream).await.unwrap().into_iter().collect();
    assert_eq!(last, [(1, Action::Dropped), (2, Action::Redriven)]);
    assert_eq!(marks::of(&jetstream, 1).await.unwrap(), [dropped]);
    assert_eq!(marks::of(&jetstream, 2).await.unwrap().len(), 2);
}

fn cause(reason: DeadReason) -> Cause<'static> {
    Cause { reason, detail: "why", event_type: "com.shop order", source: "/shop 1", id: "1" }
}

#[tokio::test]
async fn a_message_too_large_for_its_letter_is_named() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    // As large as a message may be at all: the stream's own limit is taken away, the server's is 1 MiB.
    let mut events = jetstream.get_stream(EVENTS_STREAM).await.unwrap().cached_info().config.clone();
    events.max_message_size = -1;
    jetstream.update_stream(events).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "large");
    let payload = vec![b'x'; (1 << 20) - 100];
    jetstream.publish_with_headers("events.com.shop.order", headers, payload.into()).await.unwrap().await.unwrap();
    let delivery = next(&mut Deliveries::open(&jetstream, 1).await.unwrap()).await;
    dead_letters::bury(&jetstream, &delivery, &cause(DeadReason::TooLarge)).await.unwrap();
    let stored = jetstream.get_stream(DEAD_STREAM).await.unwrap().get_raw_message(1).await.unwrap();
    assert!(stored.payload.is_empty());
    // The original is found where it is, as long as it is there.
    let whole = dead_letters::at(&jetstream, 1).await.unwrap().unwrap();
    assert!(whole.letter.left_out_bytes.is_some_and(|bytes| bytes > 1_000_000), "{:?}", whole.letter);
    assert_eq!((&whole.payload, whole.is_there), (&delivery.payload, true));
    jetstream.get_stream(EVENTS_STREAM).await.unwrap().delete_message(1).await.unwrap();
    assert!(!dead_letters::at(&jetstream, 1).await.unwrap().unwrap().is_there);
}

#[tokio::test]
async fn a_letter_is_redriven_as_it_was_once_for_each_time_it_is_wanted() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    publish(&jetstream, &order("1"), Mode::Binary).await.unwrap();
    let delivery = next(&mut Deliveries::open(&jetstream, 1).await.unwrap()).await;
    dead_letters::bury(&jetstream, &delivery, &cause(DeadReason::SchemaViolation)).await.unwrap();
    let whole = dead_letters::at(&jetstream, 1).await.unwrap().unwrap();
    let event = wire::decode(&whole.headers, &whole.payload).unwrap();
    let redrive = async |redriven: Redriven<'_>, time| {
        let ack = dead_letters::redrive(&jetstream, &whole, redriven, time).await.unwrap();
        (ack.sequence, ack.duplicate)
    };
    assert_eq!(redrive(Redriven::Original(&event), 1).await, (2, false));
    assert_eq!(redrive(Redriven::Original(&event), 1).await, (2, true), "an attempt that is repeated");
    assert_eq!(redrive(Redriven::Original(&event), 2).await, (3, false));
    let mut edited = event.clone();
    edited.subject = Some("edited".into());
    assert_eq!(redrive(Redriven::Edited(&edited), 1).await, (4, false), "it is not taken for the original");
    assert_eq!(redrive(Redriven::Edited(&edited), 1).await, (4, true));

    let events = jetstream.get_stream(EVENTS_STREAM).await.unwrap();
    let at = async |sequence| events.get_raw_message(sequence).await.unwrap();
    let (first, second, fourth) = (at(1).await, at(2).await, at(4).await);
    assert_eq!((&second.payload, &second.subject), (&first.payload, &first.subject));
    assert_eq!(second.headers.get("Nats-Msg-Id").unwrap().as_str(), format!("{}~r1", event.key()));
    assert_eq!(dead_letters::redrive_of(&second.headers), Some(1));
    assert_eq!(wire::decode(&second.headers, &second.payload).unwrap(), event);
    assert_eq!(wire::decode(&fourth.headers, &fourth.payload).unwrap(), edited);
}
