//! Events of instances: given in order, and what becomes of those that an instance leaves behind.

use serde_json::json;
use spine_core::event::Event;
use spine_core::inbox::{Batch, ForInstance, Item};
use spine_core::planning::Outcome;
use spine_core::run::Failure;
use spine_store::{Delivered, Fold, RetryFrom, StepRecord, Store};
use time::OffsetDateTime;

use crate::support::store;

/// Reads these events, each with whether it starts an instance, from `first` on.
async fn read(store: &Store, first: u64, ids: &[(&str, bool)]) {
    let items = (first..).zip(ids).map(|(sequence, (id, starts))| Item {
        sequence,
        received_at: OffsetDateTime::now_utc(),
        event: Event::new("com.shop.order.placed", "https://shop.example", *id),
        instances: vec![ForInstance {
            activity: "order".into(),
            revision: 1,
            enabled: true,
            key: Ok("K".into()),
            starts: *starts,
            cancels: false,
        }],
        waits: Vec::new(),
    });
    let items: Vec<Item> = items.collect();
    let upto = first + ids.len() as u64 - 1;
    let batch = Batch { after: first - 1, upto, catalog_version: 0, registry_version: 0, items };
    assert_eq!(store.deliver_inbox(&batch).await.unwrap(), Delivered::Written);
}

async fn waiting(store: &Store, run: &str) -> Vec<(u32, String)> {
    let events = store.events_to_fold(run, 100).await.unwrap();
    events.into_iter().map(|event| (event.ordinal, event.event.id)).collect()
}

fn expected<const N: usize>(events: [(u32, &str); N]) -> Vec<(u32, String)> {
    events.map(|(ordinal, id)| (ordinal, id.to_owned())).into()
}

async fn step(store: &Store, run: &str, before: u32, fold: usize, outcome: Option<Outcome>) {
    let fold = (fold > 0).then(|| Fold { before, states: vec![json!({"n": 1}); fold], cancelled_by: None });
    store.commit_step(&StepRecord { run: run.into(), fold, outcome, ..Default::default() }).await.unwrap();
}

fn failed() -> Option<Outcome> {
    Some(Outcome::Failed(Failure::new("Boom", "it burst")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_takes_back_what_was_left_behind_and_what_came_since_each_once() {
    let store = store().await;
    let run = "instance/order/K";
    store.begin_inbox(0).await.unwrap();
    read(&store, 1, &[("none", false), ("a", true), ("b", false), ("c", false), ("d", false)]).await;
    assert_eq!(waiting(&store, run).await, expected([(0, "a"), (1, "b"), (2, "c"), (3, "d")]));
    step(&store, run, 0, 2, None).await;
    step(&store, run, 2, 0, failed()).await;
    read(&store, 6, &[("e", false)]).await;
    store.retry_run(run, RetryFrom::Done, "ops").await.unwrap();
    assert_eq!(waiting(&store, run).await, expected([(2, "c"), (3, "d"), (4, "e")]));
    step(&store, run, 2, 3, None).await;
    assert!(waiting(&store, run).await.is_empty());
    // A step that was decided on an older state is refused.
    let late = Fold { before: 2, states: vec![json!({})], cancelled_by: None };
    let late = StepRecord { run: run.into(), fold: Some(late), ..Default::default() };
    assert!(store.commit_step(&late).await.is_err());

    step(&store, run, 5, 0, failed()).await;
    store.retry_run(run, RetryFrom::Start, "ops").await.unwrap();
    assert_eq!(waiting(&store, run).await.len(), 5);
    // A large context and a place in the stream come with the run.
    let loaded = store.load_run_within(run, 10).await.unwrap().unwrap();
    assert_eq!((loaded.sequence, loaded.key.as_deref()), (Some(2), Some("K")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_fails_before_its_first_event_keeps_it_and_the_next_begins_the_next() {
    let store = store().await;
    let (first, second) = ("instance/order/K", "instance/order/K~2");
    store.begin_inbox(0).await.unwrap();
    read(&store, 1, &[("a", true), ("b", false)]).await;
    step(&store, first, 0, 0, failed()).await;
    store.retry_run(first, RetryFrom::Done, "ops").await.unwrap();
    assert_eq!(waiting(&store, first).await, expected([(0, "a"), (1, "b")]));
    read(&store, 3, &[("c", true), ("d", false)]).await;
    step(&store, first, 0, 1, Some(Outcome::Completed)).await;
    assert_eq!(waiting(&store, second).await, expected([(0, "c"), (1, "d")]));
    let key = Event::new("com.shop.order.placed", "https://shop.example", "b").key();
    let given = store.instances_of_event(key.as_str());
    assert!(given.await.unwrap()[0].reason.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_the_longest_names_goes_to_its_instance() {
    let store = store().await;
    store.begin_inbox(0).await.unwrap();
    let noise = |bytes: usize| (0..bytes).map(|n| char::from(b'a' + (n * n % 23) as u8)).collect::<String>();
    let event = Event::new("com.shop.order.placed", noise(2048), noise(1024));
    let to = ForInstance {
        activity: "order".into(),
        revision: 1,
        enabled: true,
        key: Ok(noise(1024)),
        starts: true,
        cancels: false,
    };
    let item = Item {
        sequence: 1,
        received_at: OffsetDateTime::now_utc(),
        event: event.clone(),
        instances: vec![to],
        waits: Vec::new(),
    };
    let batch = Batch { after: 0, upto: 1, catalog_version: 0, registry_version: 0, items: vec![item] };
    assert_eq!(store.deliver_inbox(&batch).await.unwrap(), Delivered::Written);
    let given = store.instances_of_event(event.key().as_str()).await.unwrap();
    assert_eq!((given[0].ordinal, given[0].reason.as_deref()), (Some(0), None));
}
