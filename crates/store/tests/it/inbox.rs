//! The inbox: batches, and waits that race with them.

use std::time::Duration;

use serde_json::{Value, json};
use spine_core::event::{Data, Event};
use spine_core::inbox::{Batch, ForWait, Item};
use spine_core::planning::Outcome;
use spine_core::run::{Failure, RunStatus, TaskStatus};
use spine_store::{Delivered, FinishedTask, NewRun, NewTask, NewWait, RetryFrom, StepRecord, Store, StoreError};
use spine_testkit::wait;
use time::OffsetDateTime;

use crate::support::{everything, new_run, store};

const SPEC: &str = "sha256:aa";

fn paid(order: &str) -> Event {
    let mut event = Event::new("com.pay.done", "https://pay.example", order);
    event.data = Data::Json(json!({"order": order, "note": "a\u{0}b"}));
    event
}

/// A batch of one event that meets the spec with this key.
fn batch(after: u64, upto: u64, key: &str) -> Batch {
    let waits = vec![ForWait { spec: SPEC.into(), key: Some(key.into()) }];
    let received_at = OffsetDateTime::now_utc();
    let item = Item { sequence: upto, received_at, event: paid(key), instances: Vec::new(), waits };
    Batch { after, upto, catalog_version: 0, registry_version: 0, items: vec![item] }
}

/// The step that decides a wait.
fn waiting(run: &str, key: &str) -> StepRecord {
    let task = NewTask {
        task: "paid".into(),
        index: 0,
        uses: "wait".into(),
        status: TaskStatus::Created,
        retry: 0,
        ordinal: None,
        for_event: false,
        request: json!({"uses": "wait", "event": {"spec": SPEC, "wanted": {}, "equals": key}}),
        output: None,
    };
    StepRecord { run: run.into(), created: vec![task], waits: vec![new_wait(key)], ..Default::default() }
}

fn new_wait(key: &str) -> NewWait {
    NewWait { task: "paid".into(), index: 0, spec: SPEC.into(), key: Some(key.into()) }
}

/// The step that ends the wait because its time is over.
fn too_late(run: &str) -> StepRecord {
    let result = Err(Failure::deadline("it did not come"));
    let results = vec![FinishedTask { task: "paid".into(), index: 0, result, attempts: 0 }];
    StepRecord { run: run.into(), results, ..Default::default() }
}

async fn open(store: &Store, id: &str, sequence: Option<u64>) -> String {
    let run = NewRun { sequence, ..new_run(id) };
    store.open_run(&run).await.unwrap();
    run.id
}

/// How the wait of a run stands, and the event that it gave.
async fn standing(store: &Store, run: &str) -> (TaskStatus, Value) {
    let task = store.tasks_of(run).await.unwrap().remove(0);
    (task.status, task.output.map(|event| event["id"].clone()).unwrap_or_default())
}

async fn open_waits(store: &Store) -> i64 {
    sqlx::query_scalar("select count(*) from event_wait").fetch_one(store.pool()).await.unwrap()
}

#[tokio::test]
async fn a_batch_is_written_whole_and_once_where_the_position_is() {
    let store = store().await;
    assert_eq!(store.inbox_position().await.unwrap(), None);
    assert_eq!(store.deliver_inbox(&batch(0, 1, "a")).await.unwrap(), Delivered::Overtaken, "there is no inbox");
    store.begin_inbox(7).await.unwrap();
    store.begin_inbox(9).await.unwrap();
    assert_eq!(store.inbox_position().await.unwrap(), Some(7));
    let outdated = Batch { registry_version: 1, ..batch(7, 8, "a") };
    assert_eq!(store.deliver_inbox(&outdated).await.unwrap(), Delivered::Outdated);
    assert_eq!(store.deliver_inbox(&batch(7, 8, "a")).await.unwrap(), Delivered::Written);
    let before = everything(&store).await;
    for late in [batch(7, 8, "a"), batch(7, 9, "b"), batch(9, 10, "c")] {
        assert_eq!(store.deliver_inbox(&late).await.unwrap(), Delivered::Overtaken);
    }
    assert_eq!(everything(&store).await, before);
    // The same event once more is no other event.
    assert_eq!(store.deliver_inbox(&batch(8, 9, "a")).await.unwrap(), Delivered::Written);
    assert_eq!(everything(&store).await["inbox_event"], before["inbox_event"]);
    assert_eq!(store.forget_inbox(Duration::from_secs(60)).await.unwrap(), 0);
    assert_eq!(store.forget_inbox(Duration::ZERO).await.unwrap(), 1);
}

#[tokio::test]
async fn a_wait_takes_the_first_event_after_the_one_that_started_its_run() {
    let store = store().await;
    store.begin_inbox(0).await.unwrap();
    for (after, event) in ["1", "2", "3"].into_iter().enumerate() {
        let mut next = batch(after as u64, after as u64 + 1, "a");
        next.items[0].event.id = event.into();
        store.deliver_inbox(&next).await.unwrap();
    }
    let run = open(&store, "one", Some(1)).await;
    for _ in 0..2 {
        store.commit_step(&waiting(&run, "a")).await.unwrap();
        assert_eq!(standing(&store, &run).await, (TaskStatus::Completed, json!("2")));
    }
    // A run that no message started takes what was received since it is open.
    let timed = open(&store, "timed", None).await;
    store.commit_step(&waiting(&timed, "a")).await.unwrap();
    assert_eq!(standing(&store, &timed).await.0, TaskStatus::Created);
    store.deliver_inbox(&batch(3, 4, "b")).await.unwrap();
    assert_eq!(standing(&store, &timed).await.0, TaskStatus::Created);
    let mut last = batch(4, 5, "a");
    last.items[0].event.id = "5".into();
    store.deliver_inbox(&last).await.unwrap();
    assert_eq!(standing(&store, &timed).await, (TaskStatus::Completed, json!("5")));
    assert_eq!(open_waits(&store).await, 0);
}

#[tokio::test]
async fn a_deadline_that_an_event_was_faster_than_changes_nothing_and_one_that_was_faster_counts() {
    let store = store().await;
    store.begin_inbox(0).await.unwrap();
    let (first, second) = (open(&store, "1", Some(1)).await, open(&store, "2", Some(1)).await);
    for run in [&first, &second] {
        store.commit_step(&waiting(run, "a")).await.unwrap();
    }
    for _ in 0..2 {
        store.commit_step(&too_late(&second)).await.unwrap();
    }
    store.deliver_inbox(&batch(0, 2, "a")).await.unwrap();
    let before = everything(&store).await;
    let error = store.commit_step(&too_late(&first)).await.unwrap_err();
    assert!(matches!(error, StoreError::Overtaken(_)), "{error}");
    assert_eq!(everything(&store).await, before);
    assert_eq!(standing(&store, &first).await, (TaskStatus::Completed, json!("a")));
    assert_eq!(standing(&store, &second).await.0, TaskStatus::Failed);
    assert_eq!(open_waits(&store).await, 0);

    // A retry opens the wait again, for the event that is there by now.
    let outcome = Some(Outcome::Failed(Failure::deadline("it did not come")));
    store.commit_step(&StepRecord { run: second.clone(), outcome, ..Default::default() }).await.unwrap();
    store.retry_run(&second, RetryFrom::Done, "ann").await.unwrap();
    assert_eq!(open_waits(&store).await, 0);
    store
        .commit_step(&StepRecord { run: second.clone(), waits: vec![new_wait("a")], ..Default::default() })
        .await
        .unwrap();
    assert_eq!(standing(&store, &second).await, (TaskStatus::Completed, json!("a")));
    assert_eq!(store.load_run(&second).await.unwrap().unwrap().status, RunStatus::Running);
}

/// Whichever of the two is about to commit when the other begins: the other waits, and then sees it.
#[tokio::test(flavor = "multi_thread")]
async fn no_wait_misses_the_event_that_comes_as_it_begins() {
    for held_up in ["event_wait", "inbox_event"] {
        let store = store().await;
        store.begin_inbox(0).await.unwrap();
        let run = open(&store, "1", Some(0)).await;
        let mut gate = hold_up_commits(&store, held_up).await;
        let step = || {
            let (store, step) = ((*store).clone(), waiting(&run, "a"));
            tokio::spawn(async move { store.commit_step(&step).await.unwrap() })
        };
        let reader = || {
            let store = (*store).clone();
            tokio::spawn(async move {
                assert_eq!(store.deliver_inbox(&batch(0, 1, "a")).await.unwrap(), Delivered::Written);
            })
        };
        let first = if held_up == "event_wait" { step() } else { reader() };
        until(&store, 1, &first).await;
        assert!(!first.is_finished());
        let second = if held_up == "event_wait" { reader() } else { step() };
        until(&store, 2, &second).await;
        sqlx::query("select pg_advisory_unlock_all()").execute(&mut gate).await.unwrap();
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(standing(&store, &run).await, (TaskStatus::Completed, json!("a")), "{held_up} was held up");
        assert_eq!(open_waits(&store).await, 0);
    }
}

/// Makes every transaction that writes into this table wait, once it is about to commit, for as long as the session
/// that this returns holds its lock.
async fn hold_up_commits(store: &Store, table: &str) -> sqlx::PgConnection {
    let mut gate = store.pool().acquire().await.unwrap().detach();
    sqlx::query("select pg_advisory_lock(42)").execute(&mut gate).await.unwrap();
    let hold_up = format!(
        "create function hold_up() returns trigger language plpgsql as
            'begin perform pg_advisory_xact_lock_shared(42); return null; end';
        create constraint trigger hold_up after insert on {table} deferrable initially deferred
            for each row execute function hold_up()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold_up)).execute(store.pool()).await.unwrap();
    gate
}

/// Waits until so many sessions wait for a lock, or `task` has ended.
async fn until(store: &Store, waiting: i64, task: &tokio::task::JoinHandle<()>) {
    wait::until("somebody waits for a lock", Duration::from_secs(30), async || {
        let count: i64 = sqlx::query_scalar("select count(*) from pg_locks where not granted")
            .fetch_one(store.pool())
            .await
            .unwrap();
        (count >= waiting || task.is_finished()).then_some(())
    })
    .await;
}
