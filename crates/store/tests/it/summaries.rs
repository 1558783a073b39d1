//! Which of many runs a filter finds, and that it finds them by an index.

use spine_core::planning::Outcome;
use spine_core::run::{Failure, RunStatus, TaskStatus};
use spine_store::{NewTask, RunFilter, SkippedTask, StepRecord, Store};
use spine_testkit::wait;
use time::{Duration, OffsetDateTime};

use crate::support::{new_run, store};

/// Run `n` of 30: of one of two activities, about one of five orders, and every tenth has failed.
async fn fill(store: &Store) {
    for n in 0..30 {
        let mut run = new_run(&format!("e-{n}"));
        run.activity = ["fulfil", "refund"][n % 2].into();
        run.event.subject = Some(format!("order-{}", n % 5));
        run.id = spine_core::names::run_id(&run.activity, &run.event.key());
        store.open_run(&run).await.unwrap();
        let outcome = if n % 10 == 3 { Outcome::Failed(Failure::new("Broken", "it is")) } else { Outcome::Completed };
        let outcome = (n < 25).then_some(outcome);
        let step = StepRecord { run: run.id, outcome, ..tasks() };
        store.commit_step(&step).await.unwrap();
    }
}

fn tasks() -> StepRecord {
    let task = |index, status| NewTask {
        task: "a".into(),
        index,
        uses: "http".into(),
        retry: 0,
        ordinal: None,
        for_event: false,
        status,
        request: serde_json::Value::Null,
        output: None,
    };
    StepRecord {
        created: vec![task(0, TaskStatus::Created), task(1, TaskStatus::Completed)],
        skipped: vec![SkippedTask { task: "b".into(), index: 0, ordinal: None, reason: "no".into() }],
        ..StepRecord::default()
    }
}

/// The events of the runs that are found, the newest first.
async fn found(store: &Store, filter: RunFilter) -> Vec<String> {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    let rows = store.list_runs(&RunFilter { limit, ..filter }).await.unwrap();
    rows.into_iter().map(|row| row.event_id).collect()
}

#[tokio::test]
async fn filters_hold_together_and_the_newest_come_first() {
    let store = store().await;
    fill(&store).await;
    let any = RunFilter::default;
    assert_eq!(found(&store, RunFilter { limit: 3, ..any() }).await, ["e-29", "e-28", "e-27"]);
    let failed = || RunFilter { statuses: vec![RunStatus::Failed], ..any() };
    assert_eq!(found(&store, failed()).await, ["e-23", "e-13", "e-3"]);
    let either = RunFilter { statuses: vec![RunStatus::Failed, RunStatus::Running], limit: 6, ..any() };
    assert_eq!(found(&store, either).await, ["e-29", "e-28", "e-27", "e-26", "e-25", "e-23"]);
    let of_order = RunFilter { key: Some("order-3".into()), activity: Some("fulfil".into()), ..any() };
    assert_eq!(found(&store, of_order).await, ["e-28", "e-18", "e-8"]);
    let other = RunFilter { activity: Some("fulfil".into()), ..failed() };
    assert!(found(&store, other).await.is_empty());

    let rows = store.list_runs(&RunFilter { limit: 100, ..any() }).await.unwrap();
    assert_eq!((rows[0].tasks, rows[0].tasks_ended, rows[0].key.as_deref()), (2, 1, Some("order-4")));
    let (from, to) = (rows[19].started_at, rows[17].started_at);
    let between = RunFilter { since: Some(from), until: Some(to), ..any() };
    assert_eq!(found(&store, between).await, ["e-11", "e-10"], "from then on, and before");
    let soon = OffsetDateTime::now_utc() + Duration::hours(1);
    assert!(found(&store, RunFilter { since: Some(soon), ..any() }).await.is_empty());

    let key = rows[0].id.rsplit_once('/').unwrap().1;
    for event in ["e-29", key] {
        assert_eq!(found(&store, RunFilter { event: Some(event.into()), ..any() }).await, ["e-29"]);
    }
}

#[tokio::test]
async fn a_run_is_found_by_what_people_have_in_hand() {
    let store = store().await;
    fill(&store).await;
    let mut twin = new_run("e-7");
    twin.id = format!("run/fulfil/{}", twin.event.key());
    store.open_run(&twin).await.unwrap();
    let mut tick = new_run("2026-11-23T10:00:00Z");
    tick.id = "run/fulfil/at-2026-11-23T10:00:00Z".into();
    store.open_run(&tick).await.unwrap();
    let found = async |text: &str| -> Vec<String> {
        store.find_runs(text, 5).await.unwrap().into_iter().map(|row| row.id).collect()
    };
    let key = twin.event.key().to_string();
    let both = vec![twin.id.clone(), format!("run/refund/{key}")];
    for text in ["e-7", &key, &key[..6]] {
        assert_eq!(found(text).await, both, "{text}");
    }
    for text in [&twin.id, &twin.id[4..], &twin.id[..20], "fulfil/e-7"] {
        assert_eq!(found(text).await, both[..1], "{text}");
    }
    for text in [&tick.id, &tick.id[4..], "at-2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z"] {
        assert_eq!(found(text).await, [tick.id.clone()], "{text}");
    }
    for text in ["e-", &key[..5], "", "run/", "e-7' or true --"] {
        assert!(found(text).await.is_empty(), "{text}");
    }
}

/// Among a hundred thousand runs no question reads them all.
#[tokio::test]
async fn every_filter_has_an_index() {
    let store = store().await;
    let sql = "insert into run (id, temporal_run_id, activity, revision, trigger, event_source, event_id, event_key,
            event_type, event, hops, key, status, started_at)
        select 'run/a' || n % 1000 || '/' || md5(n::text), 'x', 'a' || n % 1000, 1, 'event', 's', 'e-' || n, md5(n::text),
            't', '{}', 0, 'order-' || n / 4, case when n % 500 = 0 then 'failed' else 'completed' end,
            now() - n * interval '1 second'
        from generate_series(1, 100000) n";
    sqlx::query(sql).execute(store.pool()).await.unwrap();
    sqlx::query("analyze run").execute(store.pool()).await.unwrap();
    let then = OffsetDateTime::now_utc() - Duration::hours(20);
    let filter = || RunFilter { limit: 50, ..RunFilter::default() };
    let filters = [
        filter(),
        RunFilter { activity: Some("a7".into()), ..filter() },
        RunFilter { statuses: vec![RunStatus::Failed], ..filter() },
        RunFilter { statuses: vec![RunStatus::Failed, RunStatus::Running], ..filter() },
        RunFilter { until: Some(then), ..filter() },
        RunFilter { key: Some("order-20000".into()), ..filter() },
        RunFilter { event: Some("e-70000".into()), ..filter() },
    ];
    for filter in &filters {
        let read = reads(&store, async || drop(store.list_runs(filter).await.unwrap())).await;
        assert!(read < 2000, "{filter:?} read {read} rows");
    }
    for text in ["e-70000", "a7/c4ca42", "c4ca42"] {
        let read = reads(&store, async || drop(store.find_runs(text, 5).await.unwrap())).await;
        assert!(read < 2000, "{text} read {read} rows");
    }
}

/// How many rows of `run` the server reads for a question.
async fn reads(store: &Store, question: impl AsyncFnOnce()) -> i64 {
    let count = async || {
        // Counts lie with the connection that read until it reports them.
        sqlx::query("select pg_stat_force_next_flush()").execute(store.pool()).await.unwrap();
        let sql = "select (seq_tup_read + idx_tup_fetch)::bigint from pg_stat_user_tables where relname = 'run'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(store.pool()).await.unwrap()
    };
    let before = count().await;
    question().await;
    let patience = std::time::Duration::from_secs(30);
    wait::until("the server has counted", patience, async || Some(count().await - before).filter(|read| *read > 0))
        .await
}
