use spine_core::decision::{Decision, Outcome};
use spine_core::event::{Data, Event};
use spine_nats::publish::{PublishError, publish};
use spine_nats::wire::{self, Mode};
use spine_nats::{connect, decisions};

use crate::order;
use crate::server::Server;

#[tokio::test]
async fn an_event_is_stored_once_and_comes_back_as_it_was() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    let first = publish(&jetstream, &order("1"), Mode::Structured).await.unwrap();
    let again = publish(&jetstream, &order("1"), Mode::Binary).await.unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!((again.stream.as_str(), again.sequence), ("EVENTS", first.sequence));
    let other_source = Event { source: "/other".into(), ..order("1") };
    assert!(!publish(&jetstream, &other_source, Mode::Binary).await.unwrap().duplicate);
    for (sequence, expected) in [(first.sequence, order("1")), (first.sequence + 1, other_source)] {
        let message = decisions::event_at(&jetstream, sequence).await.unwrap().unwrap();
        assert_eq!(wire::decode(&message.headers, &message.payload).unwrap(), expected);
    }
    assert!(decisions::event_at(&jetstream, 99).await.unwrap().is_none());
}

#[tokio::test]
async fn what_can_never_be_stored_is_told_from_what_can_not_now() {
    let mut server = Server::start().await;
    let jetstream = server.jetstream().await;
    for bytes in [1_000_001, 2_000_000] {
        let large = Event { data: Data::Binary(vec![0; bytes]), ..order("1") };
        let error = publish(&jetstream, &large, Mode::Binary).await.unwrap_err();
        assert!(matches!(error, PublishError::TooLarge { .. }) && !error.is_transient(), "{error:?}");
    }
    let invalid = Event { event_type: "a b".into(), ..order("1") };
    assert!(matches!(publish(&jetstream, &invalid, Mode::Binary).await, Err(PublishError::Invalid(_))));
    server.kill();
    let error = publish(&jetstream, &order("1"), Mode::Structured).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    server.restart().await;
    let mut stored = publish(&jetstream, &order("1"), Mode::Structured).await;
    for _ in 0..10 {
        if stored.is_err() {
            stored = publish(&jetstream, &order("1"), Mode::Structured).await;
        }
    }
    stored.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let error = connect(&["nats://me:secret@127.0.0.1:1".into()], None, "test").await.unwrap_err();
    assert_eq!(error.to_string(), "connect to NATS at nats://127.0.0.1:1; is it running?");
}

fn decision(event: &Event, stream_sequence: u64) -> Decision {
    Decision {
        key: event.key(),
        source: event.source.clone(),
        id: event.id.clone(),
        event_type: event.event_type.clone(),
        stream_sequence,
        delivery: 1,
        decided_at: "2026-11-24T00:00:00Z".into(),
        catalog_version: 1,
        outcome: Outcome::Unmatched,
        verdicts: Vec::new(),
        verdicts_left_out: 0,
        redrive_of: None,
    }
}

#[tokio::test]
async fn decisions_are_recorded_once_and_found_by_key_and_by_id() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    let other = Event { source: "/other".into(), ..order("1") };
    assert!(decisions::of_key(&jetstream, &other.key()).await.unwrap().is_empty());
    for (event, sequence) in [(&order("1"), 1), (&order("1"), 1), (&other, 2), (&order("1"), 3), (&order("2"), 4)] {
        decisions::record(&jetstream, &decision(event, sequence)).await.unwrap();
    }
    let sequences =
        |found: Vec<Decision>| found.into_iter().map(|decision| decision.stream_sequence).collect::<Vec<_>>();
    assert_eq!(sequences(decisions::of_key(&jetstream, &order("1").key()).await.unwrap()), [1, 3]);
    assert_eq!(sequences(decisions::of_id(&jetstream, "1").await.unwrap()), [1, 2, 3]);
}
