//! One event a request.

use serde_json::json;
use spine_core::admission::{self, Delivery, Rejection};
use spine_core::catalog::{CatalogState, EventTypeEntry, SourceEntry};
use spine_core::decision::DeadReason;
use spine_core::event::{Data, Event};
use spine_core::signature::PrivateKey;
use spine_nats::catalog::Catalog;
use spine_runtime::metrics::labels::{Arrival, Request};
use spine_schemas::PayloadSchemas;
use spine_testkit::wait;

use crate::support::{PATIENCE, answer, event, ingress, refused};

#[tokio::test]
async fn an_event_is_answered_after_jetstream_has_it() {
    let ingress = ingress("").await;
    let (status, body) = answer(ingress.binary()).await;
    assert_eq!(status, 202);
    assert_eq!((&body["stream"], &body["sequence"], &body["duplicate"]), (&json!("EVENTS"), &json!(1), &json!(false)));
    let stored = ingress.stored(1).await.unwrap();
    assert_eq!((stored.data.clone(), body["key"].clone()), (Data::Json(json!({"total": 7})), json!(stored.key())));

    let (status, again) = answer(ingress.structured(&stored.to_json())).await;
    assert_eq!((status, &again["duplicate"]), (202, &json!(true)));
    let metrics = &ingress.door.metrics.ingress;
    assert_eq!((metrics.requests.get(Request::Accepted), metrics.requests.get(Request::Duplicate)), (1, 1));
    assert_eq!((metrics.events.get(Arrival::Accepted), metrics.events.get(Arrival::Duplicate)), (1, 1));
    assert_eq!(metrics.request_seconds.get_sample_count(), 2);
    assert_eq!(metrics.body_bytes.get() as usize, "{\"total\": 7}".len() + stored.to_json().to_string().len());
    ingress.door.shutdown.request();
    ingress.door.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn content_types_are_told_without_regard_to_case_and_parameters() {
    let ingress = ingress("").await;
    let check = async |content_type: &str, body: String| {
        assert_eq!(answer(ingress.post(content_type, body)).await.0, 202, "{content_type}");
    };
    check("application/cloudevents+json", event("1").to_string()).await;
    check("Application/CloudEvents+JSON; charset=UTF-8", event("2").to_string()).await;
    check("application/cloudevents-batch+json", json!([event("3")]).to_string()).await;
    check("APPLICATION/CLOUDEVENTS-BATCH+JSON;charset=utf-8", json!([event("4")]).to_string()).await;
    assert_eq!(ingress.count().await, 4);
    let xml = ingress.post("application/cloudevents+xml", "<event/>");
    refused(xml, 415, "unsupported_media_type", "application/cloudevents+xml").await;
    let batch = ingress.post("application/cloudevents-batch+avro", "x");
    refused(batch, 415, "unsupported_media_type", "application/cloudevents-batch+avro").await;
}

#[tokio::test]
async fn what_is_no_event_is_refused_by_name() {
    let ingress = ingress("").await;
    refused(ingress.binary().header("ce-time", "now"), 400, "invalid_event", "time must be a timestamp").await;
    refused(ingress.binary().body("{"), 400, "invalid_event", "data must be JSON").await;
    refused(ingress.post("text/plain", "x"), 400, "invalid_event", "no ce- header").await;
    let metrics = &ingress.door.metrics.ingress;
    assert_eq!((metrics.requests.get(Request::Invalid), metrics.events.get(Arrival::Rejected)), (3, 3));
    assert_eq!(ingress.count().await, 0);
}

/// Each refusal has the words that a router would write into the dead letter.
#[tokio::test]
async fn what_a_router_would_refuse_is_refused_in_its_words() {
    let ingress = ingress("[ingress]\nmax_body_bytes = 2000000\n").await;
    let mut far = event("1");
    far["spinehops"] = json!(17);
    let decoded = Event::from_json(far.to_string().as_bytes()).unwrap();
    let delivery = Delivery { subject: "events.com.shop.order", bytes: 1, deliveries: 1 };
    let words = admission::after_decode(&delivery, &decoded).unwrap_err().to_string();
    refused(ingress.structured(&far), 400, "too_many_hops", &words).await;

    let mut large = event("1");
    large["data"] = json!("x".repeat(1_000_000));
    let bytes = Event::from_json(large.to_string().as_bytes()).unwrap().to_json().to_string().len();
    let words = admission::before_decode(&Delivery { bytes, ..delivery }).unwrap_err().to_string();
    refused(ingress.structured(&large), 413, "too_large", &words).await;
    let broken = json!({"specversion": "1.0", "id": "", "source": "a b", "type": "x y"});
    let words = Event::from_json(broken.to_string().as_bytes()).unwrap_err().to_string();
    refused(ingress.structured(&broken), 400, "invalid_event", &words).await;
    assert_eq!(ingress.count().await, 0);
}

#[tokio::test]
async fn data_that_does_not_meet_its_schema_is_refused_in_the_routers_words() {
    let ingress = ingress("").await;
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"total": {"maximum": 100}},
    });
    let document = json!({
        "apiVersion": "spine/v1",
        "kind": "EventType",
        "metadata": {"name": "com.shop.order"},
        "spec": {"schema": schema},
    });
    let hash = "sha256:order".to_owned();
    let entry = EventTypeEntry { name: "com.shop.order".into(), hash: hash.clone() };
    let state = CatalogState { version: 1, event_types: vec![entry], ..CatalogState::default() };
    let mut writer = Catalog::new(ingress.jetstream.clone()).writer();
    writer.write(&state, &[(hash, document)]).await.unwrap();

    let mut costly = event("1");
    costly["data"] = json!({"total": 101});
    let schemas = PayloadSchemas::compile([("com.shop.order".to_owned(), schema)]).unwrap();
    let detail = schemas.validate("com.shop.order", &Data::Json(json!({"total": 101}))).unwrap_err();
    let words = Rejection::new(DeadReason::SchemaViolation, detail).to_string();
    let seen = wait::until("the ingress has the schema", PATIENCE, async || {
        let (status, body) = answer(ingress.structured(&costly)).await;
        (status != 202).then_some((status, body))
    });
    let (status, body) = seen.await;
    assert_eq!(
        (status, body["code"].as_str(), body["detail"].as_str()),
        (422, Some("schema_violation"), Some(&*words))
    );
    assert_eq!(answer(ingress.structured(&event("2"))).await.0, 202);

    writer.write(&CatalogState { version: 2, ..CatalogState::default() }, &[]).await.unwrap();
    wait::until("the schema is gone", PATIENCE, async || {
        (answer(ingress.structured(&costly)).await.0 == 202).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_its_source_may_not_send_or_has_not_signed_is_refused_in_the_routers_words() {
    let ingress = ingress("").await;
    let key = PrivateKey::from_seed(&[1; 32]).unwrap();
    let spec = json!({"source": "/shop", "types": ["com.shop.order"], "signature": "required",
        "keys": [{"id": "k", "publicKey": key.public_key().to_string()}]});
    let document = json!({"apiVersion": "spine/v1", "kind": "Source", "metadata": {"name": "shop"}, "spec": spec});
    let entry = SourceEntry { name: "shop".into(), hash: "sha256:shop".into() };
    let state = CatalogState { version: 1, sources: vec![entry.clone()], ..CatalogState::default() };
    Catalog::new(ingress.jetstream.clone()).writer().write(&state, &[(entry.hash, document)]).await.unwrap();

    let unsigned = wait::until("the ingress has the source", PATIENCE, async || {
        let (status, body) = answer(ingress.structured(&event("1"))).await;
        (status != 202).then_some((status, body))
    });
    let (status, body) = unsigned.await;
    let words = "bad_signature: Source shop refuses the signature: there is no `spinesignature`";
    assert_eq!((status, body["code"].as_str(), body["detail"].as_str()), (403, Some("forbidden"), Some(words)));
    let mut other = event("2");
    other["type"] = json!("com.shop.other");
    let words = "unauthorized: Source shop lets \"/shop\" not send type \"com.shop.other\"";
    refused(ingress.structured(&other), 403, "forbidden", words).await;

    let mut signed = Event::from_json(event("3").to_string().as_bytes()).unwrap();
    key.sign(&mut signed, "k");
    let (status, body) = answer(ingress.structured(&signed.to_json())).await;
    assert_eq!(status, 202, "{body}");
    let stored = ingress.stored(body["sequence"].as_u64().unwrap()).await.unwrap();
    assert!(key.public_key().verifies(&stored), "the signature outlives the ingress");
}
