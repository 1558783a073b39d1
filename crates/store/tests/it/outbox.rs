use std::time::Duration;

use spine_store::{Duty, PublishState, StepRecord, Store, Woken};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{everything, open, outbox_event, store};

async fn write(store: &Store, run: &str, events: &[(&str, &str)]) {
    let outbox = events.iter().map(|(key, id)| outbox_event(key, id)).collect();
    store.commit_step(&StepRecord { run: run.into(), outbox, ..Default::default() }).await.unwrap();
}

async fn waiting(store: &Store) -> Vec<(i64, String)> {
    let rows = store.claim_batch(100).await.unwrap();
    rows.into_iter().map(|row| (row.id, row.event["id"].as_str().unwrap().to_owned())).collect()
}

fn ids(rows: &[(i64, String)]) -> Vec<&str> {
    rows.iter().map(|(_, id)| id.as_str()).collect()
}

#[tokio::test]
async fn a_parked_row_holds_back_its_key_and_no_other() {
    let store = store().await;
    let run = open(&store, "1").await;
    let events = [("k1", "a"), ("k2", "b"), ("k1", "c"), ("k2", "d"), ("k1", "e")];
    write(&store, &run, &events).await;
    let rows = waiting(&store).await;
    assert_eq!(ids(&rows), ["a", "b", "c", "d", "e"]);

    store.mark_published(&[(rows[0].0, 11), (rows[1].0, 12)]).await.unwrap();
    assert!(store.park(rows[2].0, "too\0large").await.unwrap());
    assert!(!store.park(rows[2].0, "again").await.unwrap());
    assert!(!store.park(rows[0].0, "published").await.unwrap());
    assert_eq!(ids(&waiting(&store).await), ["d"]);

    // A repeated step brings a parked event back as little as a published one.
    let before = everything(&store).await;
    write(&store, &run, &events).await;
    assert_eq!(everything(&store).await, before);

    let stats = store.outbox_stats().await.unwrap();
    assert_eq!((stats.pending, stats.parked), (2, 1));
    assert!(stats.oldest_seconds > 0.0);
    let states: Vec<_> = store.events_of_run(&run).await.unwrap().into_iter().map(|e| e.state).collect();
    assert!(matches!(&states[0], PublishState::Published { stream_sequence: 11, .. }));
    assert!(matches!(&states[2], PublishState::Parked { error, .. } if error == "too\u{fffd}large"));
    assert_eq!(states[3], PublishState::Pending);
}

#[tokio::test]
async fn a_parked_row_is_retried_in_its_place_or_dropped_and_both_are_noted() {
    let store = store().await;
    let run = open(&store, "1").await;
    let events = [("k1", "a"), ("k1", "b"), ("k2", "c"), ("k2", "d")];
    write(&store, &run, &events).await;
    let rows = waiting(&store).await;
    for (id, _) in [&rows[0], &rows[2]] {
        store.park(*id, "refused").await.unwrap();
    }
    let parked = store.parked_rows(false).await.unwrap();
    let seen: Vec<_> = parked.iter().map(|row| (row.id, row.error.as_str(), row.holds_back)).collect();
    assert_eq!(seen, [(rows[0].0, "refused", 1), (rows[2].0, "refused", 1)]);
    assert!(waiting(&store).await.is_empty());

    // Its place is before what came after it, with another event in it.
    let mut mended = outbox_event("k1", "a").event;
    mended.subject = Some("mended".into());
    assert!(store.retry_parked(rows[0].0, "ada", Some("schema mended"), Some(&mended)).await.unwrap());
    assert!(!store.retry_parked(rows[0].0, "ada", None, None).await.unwrap());
    assert_eq!(ids(&waiting(&store).await), ["a", "b"]);
    assert_eq!(store.claim_batch(1).await.unwrap()[0].event["subject"], "mended");

    assert!(store.drop_parked(rows[2].0, "ben", "nobody wants it").await.unwrap());
    assert!(!store.drop_parked(rows[2].0, "ben", "again").await.unwrap());
    assert!(!store.retry_parked(rows[2].0, "ada", None, None).await.unwrap(), "what is dropped stays so");
    assert_eq!(ids(&waiting(&store).await), ["a", "b", "d"]);
    assert!(store.parked_rows(false).await.unwrap().is_empty());
    assert_eq!(store.parked_rows(true).await.unwrap()[0].dropped_because.as_deref(), Some("nobody wants it"));
    assert_eq!(store.outbox_stats().await.unwrap().parked, 0);
    let states: Vec<_> = store.events_of_run(&run).await.unwrap().into_iter().map(|e| e.state).collect();
    assert!(matches!(&states[2], PublishState::Dropped { by, .. } if by == "ben"));

    // A repeated step brings neither back, and the notes can't be changed.
    let before = everything(&store).await;
    assert_eq!(before["outbox_mark"].as_array().unwrap().len(), 2);
    write(&store, &run, &events).await;
    assert_eq!(everything(&store).await, before);
    assert!(sqlx::query("delete from outbox_mark").execute(store.pool()).await.is_err());
}

#[tokio::test]
async fn only_what_is_published_and_old_is_deleted() {
    let store = store().await;
    let run = open(&store, "1").await;
    write(&store, &run, &[("k", "a"), ("k", "b")]).await;
    let rows = waiting(&store).await;
    store.mark_published(&[(rows[0].0, 1)]).await.unwrap();
    assert_eq!(store.delete_published_before(Duration::from_secs(60)).await.unwrap(), 0);
    assert_eq!(store.delete_published_before(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(ids(&waiting(&store).await), ["b"]);
}

#[tokio::test]
async fn a_commit_rings_for_the_relay() {
    let store = store().await;
    let run = open(&store, "1").await;
    let mut listener = store.outbox_listener().await.unwrap();
    assert_eq!(listener.wait(Duration::from_millis(1)).await, Woken::Poll);
    write(&store, &run, &[("k", "a")]).await;
    assert_eq!(listener.wait(Duration::from_secs(5)).await, Woken::Rung);

    // Cut off, it says so at once, and comes back by itself.
    kill(&store, "query like 'LISTEN%'").await;
    assert_eq!(timeout(Duration::from_secs(5), listener.wait(Duration::from_secs(60))).await.unwrap(), Woken::Poll);
    listener.wait(Duration::from_millis(200)).await;
    let mut woken = Woken::Poll;
    for i in 0..20 {
        write(&store, &run, &[("k", &format!("again-{i}"))]).await;
        woken = listener.wait(Duration::from_secs(1)).await;
        if woken == Woken::Rung {
            break;
        }
    }
    assert_eq!(woken, Woken::Rung);
}

#[tokio::test]
async fn one_relay_holds_the_lock_and_learns_that_it_lost_it() {
    let store = store().await;
    let mut lock = store.try_duty(Duty::Relay).await.unwrap().unwrap();
    assert!(store.try_duty(Duty::Relay).await.unwrap().is_none());
    assert!(timeout(Duration::from_millis(1500), lock.lost()).await.is_err(), "it is still held");

    kill(&store, "pid in (select pid from pg_locks where locktype = 'advisory')").await;
    timeout(Duration::from_secs(5), lock.lost()).await.unwrap();
    let second = store.try_duty(Duty::Relay).await.unwrap().unwrap();
    second.release().await.unwrap();
    drop(store.try_duty(Duty::Relay).await.unwrap().unwrap());
    let free_again = async { while store.try_duty(Duty::Relay).await.unwrap().is_none() {} };
    timeout(Duration::from_secs(5), free_again).await.unwrap();
}

#[tokio::test]
async fn ids_of_one_run_are_in_commit_order() {
    let store = store().await;
    let run = open(&store, "1").await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (store, run) = (store.clone(), run.clone());
        writers.spawn(async move {
            for i in 0..20 {
                write(&store, &run, &[("k", &format!("{writer}-{i}-x")), ("k", &format!("{writer}-{i}-y"))]).await;
            }
        });
    }
    let mut seen: Vec<i64> = Vec::new();
    while seen.len() < 320 {
        let now = waiting_ids(&store).await;
        assert!(now.starts_with(&seen), "a smaller id came after a greater one: {seen:?} {now:?}");
        seen = now;
    }
    writers.join_all().await;
}

async fn waiting_ids(store: &Store) -> Vec<i64> {
    store.claim_batch(1000).await.unwrap().into_iter().map(|row| row.id).collect()
}

async fn kill(store: &Store, which: &'static str) {
    let sql = format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and {which}"
    );
    let killed: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(store.pool()).await.unwrap();
    assert_eq!(killed, 1);
}
