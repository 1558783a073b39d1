//! Many events a request.

use serde_json::{Value, json};
use spine_runtime::metrics::labels::Arrival;

use crate::support::{answer, event, ingress, refused};

fn column<'a>(body: &'a Value, name: &str) -> Vec<&'a Value> {
    body["items"].as_array().unwrap().iter().map(|item| &item[name]).collect()
}

#[tokio::test]
async fn a_batch_stands_in_the_stream_in_its_order_and_can_be_sent_again_as_a_whole() {
    let ingress = ingress("").await;
    let events: Vec<Value> = (0..600).map(|n| event(&n.to_string())).collect();
    let (status, body) = answer(ingress.batch(&events)).await;
    assert_eq!(status, 202);
    let sequences: Vec<u64> = column(&body, "sequence").into_iter().map(|value| value.as_u64().unwrap()).collect();
    assert_eq!(sequences, (1..=600).collect::<Vec<u64>>());
    for place in [1, 250, 251, 600] {
        assert_eq!(ingress.stored(place).await.unwrap().id, (place - 1).to_string());
    }
    let (status, again) = answer(ingress.batch(&events)).await;
    assert_eq!(status, 202);
    assert!(column(&again, "status").into_iter().all(|status| status == "duplicate"), "{again}");
    assert_eq!(column(&again, "key"), column(&body, "key"));
    assert_eq!(ingress.count().await, 600);
    let metrics = &ingress.door.metrics.ingress.events;
    assert_eq!((metrics.get(Arrival::Accepted), metrics.get(Arrival::Duplicate)), (600, 600));
}

#[tokio::test]
async fn of_a_batch_in_part_wrong_the_rest_is_taken_and_each_event_is_answered() {
    let ingress = ingress("").await;
    let mut untyped = event("2");
    untyped.as_object_mut().unwrap().remove("type");
    let events = [event("1"), untyped, event("3"), event("1")];
    let body = refused(ingress.batch(&events), 400, "invalid_event", "1 of 4 events").await;
    assert_eq!(column(&body, "index"), [0, 1, 2, 3]);
    assert_eq!(column(&body, "id"), ["1", "2", "3", "1"]);
    assert_eq!(column(&body, "status"), ["accepted", "rejected", "accepted", "duplicate"]);
    assert_eq!(body["items"][1]["code"], "invalid_event");
    assert!(body["items"][1]["reason"].as_str().unwrap().contains("type must"), "{body}");
    assert_eq!(ingress.count().await, 2);

    let (status, body) = answer(ingress.batch(&[event("1"), event("2"), event("3")])).await;
    assert_eq!(
        (status, column(&body, "status")),
        (202, json!(["duplicate", "accepted", "duplicate"]).as_array().unwrap().iter().collect())
    );
    assert_eq!(ingress.count().await, 3);
}

#[tokio::test]
async fn refusals_of_different_kinds_have_a_status_of_their_own() {
    let ingress = ingress("").await;
    let mut far = event("1");
    far["spinehops"] = json!(99);
    let body = refused(ingress.batch(&[far, json!(5)]), 422, "batch_rejected", "2 of 2 events").await;
    assert_eq!(column(&body, "code"), ["too_many_hops", "invalid_event"]);
    assert_eq!(body["items"][1]["id"], Value::Null);
}

#[tokio::test]
async fn a_batch_may_be_empty_and_has_a_bound() {
    let ingress = ingress("[ingress]\nmax_body_bytes = 4000000\nmax_batch_events = 10000\n").await;
    assert_eq!(answer(ingress.batch(&[])).await, (202, json!({"items": []})));
    let many = vec![json!({}); 10_001];
    refused(ingress.batch(&many), 413, "too_large", "10001 events in a batch that may have 10000").await;
    let body = refused(ingress.batch(&many[1..]), 400, "invalid_event", "10000 of 10000").await;
    assert_eq!(column(&body, "index").len(), 10_000);
    for wrong in ["{}", "", "[", "[1]2", "null"] {
        let batch = ingress.post("application/cloudevents-batch+json", wrong);
        refused(batch, 400, "malformed_body", "no JSON array").await;
    }
    assert_eq!(ingress.count().await, 0);
}
