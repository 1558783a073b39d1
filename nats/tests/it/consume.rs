use std::time::Duration;

use async_nats::jetstream::Context;
use futures::StreamExt as _;
use spine_core::names::{EVENTS_STREAM, ROUTER_CONSUMER};
use spine_nats::consume::{Deliveries, Delivery, Settlement};
use spine_nats::publish::publish;
use spine_nats::wire::Mode;
use tokio::time::timeout;

use crate::order;
use crate::server::Server;

pub(crate) async fn next(deliveries: &mut Deliveries) -> Delivery {
    timeout(Duration::from_secs(20), deliveries.next()).await.expect("a delivery").unwrap()
}

async fn is_quiet(deliveries: &mut Deliveries) -> bool {
    timeout(Duration::from_millis(500), deliveries.next()).await.is_err()
}

async fn unfinished(jetstream: &Context) -> (usize, u64) {
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        jetstream.get_consumer_from_stream(ROUTER_CONSUMER, EVENTS_STREAM).await.unwrap();
    let info = consumer.cached_info();
    (info.num_ack_pending, info.num_pending)
}

#[tokio::test]
async fn deliveries_end_in_three_ways() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    for id in ["1", "2", "3"] {
        publish(&jetstream, &order(id), Mode::Binary).await.unwrap();
    }
    let mut deliveries = Deliveries::open(&jetstream, 8).await.unwrap();
    let (first, second, third) =
        (next(&mut deliveries).await, next(&mut deliveries).await, next(&mut deliveries).await);
    assert_eq!((first.stream_sequence, first.deliveries, first.subject.as_str()), (1, 1, "events.com.shop.order"));
    first.progress().await;
    first.settle(Settlement::Done).await;
    second.settle(Settlement::Dead("invalid_event")).await;
    third.settle(Settlement::RetryAfter(Duration::from_millis(100))).await;
    let again = next(&mut deliveries).await;
    assert_eq!((again.stream_sequence, again.deliveries), (3, 2));
    again.settle(Settlement::RetryAfter(Duration::ZERO)).await;
    next(&mut deliveries).await.settle(Settlement::Done).await;
    assert!(is_quiet(&mut deliveries).await);
    assert_eq!(unfinished(&jetstream).await, (0, 0));
}

#[tokio::test]
async fn no_more_is_taken_than_may_be_in_hand() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    for id in 0..20 {
        publish(&jetstream, &order(&id.to_string()), Mode::Structured).await.unwrap();
    }
    let mut deliveries = Deliveries::open(&jetstream, 4).await.unwrap();
    let mut in_hand = Vec::new();
    for _ in 0..4 {
        in_hand.push(next(&mut deliveries).await);
    }
    assert!(is_quiet(&mut deliveries).await);
    assert_eq!(unfinished(&jetstream).await, (4, 16), "nothing waits in a buffer");
    let mut settled = 0;
    while let Some(delivery) = in_hand.pop() {
        delivery.settle(Settlement::Done).await;
        settled += 1;
        if settled <= 16 {
            in_hand.push(next(&mut deliveries).await);
        }
    }
    assert_eq!(unfinished(&jetstream).await, (0, 0));
}

#[tokio::test]
async fn a_broker_that_is_killed_costs_no_event() {
    let mut server = Server::start().await;
    let jetstream = server.jetstream().await;
    let mut deliveries = Deliveries::open(&jetstream, 4).await.unwrap();
    publish(&jetstream, &order("1"), Mode::Structured).await.unwrap();
    next(&mut deliveries).await.settle(Settlement::Done).await;
    for round in 2..4 {
        server.kill();
        assert!(is_quiet(&mut deliveries).await);
        server.restart().await;
        while publish(&jetstream, &order(&round.to_string()), Mode::Structured).await.is_err() {}
        // The broker may have forgotten an ack with its last breath.
        loop {
            let delivery = next(&mut deliveries).await;
            let sequence = delivery.stream_sequence;
            delivery.settle(Settlement::Done).await;
            if sequence == round {
                break;
            }
        }
    }
}
