use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use spine_core::canonical;
use spine_store::{Change, NewEventType, NewRevision, StoreError};
use tokio::task::JoinSet;

use crate::support::store;

fn activity(name: &str, document: Value) -> NewRevision {
    NewRevision { name: name.into(), hash: canonical::hash(&document), document }
}

fn event_type(name: &str, document: Value) -> NewEventType {
    NewEventType { name: name.into(), hash: canonical::hash(&document), document }
}

#[tokio::test]
async fn applying_again_changes_nothing_and_an_older_content_becomes_current_again() {
    let store = store().await;
    let (one, two) = (activity("fulfil", json!({"v": 1})), activity("fulfil", json!({"v": 2, "n": 1e2})));
    let types = [event_type("com.shop.order.placed", json!({"schema": true}))];
    let steps = [
        (&one, Change::Created, 1, 1),
        (&one, Change::Unchanged, 1, 1),
        (&two, Change::Updated, 2, 2),
        (&one, Change::Updated, 1, 3),
        (&two, Change::Updated, 2, 4),
    ];
    for (new, change, revision, version) in steps {
        let applied = store.apply(std::slice::from_ref(new), &types, "tester", false).await.unwrap();
        assert_eq!((applied[0].change, applied[0].revision), (change, Some(revision)));
        assert_eq!(store.registry_version().await.unwrap(), version);
    }
    let current = store.current_revision("fulfil").await.unwrap().unwrap();
    assert_eq!((current.revision, &current.document, current.enabled), (2, &two.document, true));
    assert_eq!(canonical::hash(&current.document), current.hash);
    assert_eq!(store.revision("fulfil", 1).await.unwrap().unwrap().document, one.document);
    assert!(store.revision("fulfil", 3).await.unwrap().is_none());

    let head = store.catalog_state().await.unwrap();
    assert_eq!((head.version, head.activities.len(), head.event_types.len()), (4, 1, 1));
    assert_eq!(head.activities[0].hash, two.hash);
    let documents = store.documents(&[two.hash.clone(), types[0].hash.clone()]).await.unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(store.list_activities().await.unwrap()[0].revision, 2);
    assert_eq!(store.list_event_types().await.unwrap()[0].name, "com.shop.order.placed");
}

#[tokio::test]
async fn a_dry_run_tells_and_does_nothing_and_a_name_given_twice_is_refused() {
    let store = store().await;
    let new = activity("fulfil", json!({}));
    let applied = store.apply(std::slice::from_ref(&new), &[], "tester", true).await.unwrap();
    assert_eq!((applied[0].change, applied[0].revision), (Change::Created, Some(1)));
    assert_eq!(store.catalog_state().await.unwrap(), Default::default());
    let error = store.apply(&[new.clone(), new], &[], "tester", false).await.unwrap_err();
    assert!(matches!(error, StoreError::NamedTwice { .. }));
}

#[tokio::test]
async fn parallel_applies_lose_nothing_and_leave_no_gap() {
    let store = store().await;
    let mut changes = store.registry_changes().await.unwrap();
    let mut applies = JoinSet::new();
    for i in 0..20 {
        let store = store.clone();
        applies.spawn(async move {
            let new = [activity("shared", json!({"i": i})), activity(&format!("own-{i}"), json!({"i": i}))];
            store.apply(&new, &[], "tester", false).await.unwrap()[0].revision.unwrap()
        });
    }
    let revisions: BTreeSet<u32> = applies.join_all().await.into_iter().collect();
    assert_eq!(revisions, (1..=20).collect());
    let head = store.catalog_state().await.unwrap();
    assert_eq!((head.version, head.activities.len()), (20, 21));
    let seen = tokio::time::timeout(Duration::from_secs(5), changes.wait(19)).await.unwrap().unwrap();
    assert_eq!(seen, 20);
}

#[tokio::test]
async fn migrating_twice_at_once_is_safe() {
    let store = store().await;
    let (one, two) = tokio::join!(store.migrate(), store.migrate());
    one.unwrap();
    two.unwrap();
    store.ping().await.unwrap();
}
