use serde_json::json;
use spine_core::planning::Outcome;
use spine_core::run::{Failure, RunStatus, TaskStatus};
use spine_store::{
    AuditEntry, Finished, FinishedTask, NewTask, Opened, PublishState, SkippedTask, StepRecord, Store, StoreError,
};

use crate::support::{event, everything, new_run, open, outbox_event, store};

fn new_task(task: &str, index: u32, status: TaskStatus) -> NewTask {
    let output = (status == TaskStatus::Completed).then(|| json!({"id": "e"}));
    let request = json!({"url": "http://a"});
    NewTask {
        task: task.into(),
        index,
        uses: "http".into(),
        status,
        retry: 0,
        ordinal: None,
        for_event: false,
        request,
        output,
    }
}

fn first_step(run: &str) -> StepRecord {
    StepRecord {
        run: run.into(),
        created: vec![
            new_task("charge", 0, TaskStatus::Created),
            new_task("charge", 1, TaskStatus::Created),
            new_task("tell", 0, TaskStatus::Completed),
        ],
        skipped: vec![SkippedTask { task: "refund".into(), index: 0, ordinal: None, reason: "when: false".into() }],
        audit: vec![AuditEntry { fact: "decided".into(), discriminator: "1".into(), detail: json!({"tasks": 3}) }],
        outbox: vec![outbox_event("k", "a"), outbox_event("k", "b"), outbox_event("k", "c")],
        ..Default::default()
    }
}

fn last_step(run: &str) -> StepRecord {
    let failure = Failure::new("HttpStatus", "500");
    StepRecord {
        run: run.into(),
        results: vec![
            FinishedTask { task: "charge".into(), index: 0, result: Ok(json!("late")), attempts: 9 },
            FinishedTask { task: "charge".into(), index: 1, result: Err(failure.clone()), attempts: 3 },
        ],
        outcome: Some(Outcome::Failed(failure)),
        audit: vec![AuditEntry { fact: "ended".into(), discriminator: String::new(), detail: json!({}) }],
        outbox: vec![outbox_event("k", "ended")],
        ..Default::default()
    }
}

async fn commit_twice(store: &Store, step: &StepRecord) {
    store.commit_step(step).await.unwrap();
    let before = everything(store).await;
    store.commit_step(step).await.unwrap();
    assert_eq!(everything(store).await, before);
}

#[tokio::test]
async fn a_step_committed_twice_changes_nothing() {
    let store = store().await;
    let run = open(&store, "1").await;
    commit_twice(&store, &first_step(&run)).await;

    store.begin_attempt(&run, "charge", 0, 1).await.unwrap().unwrap();
    let begun = store.begin_attempt(&run, "charge", 0, 2).await.unwrap().unwrap();
    assert_eq!((begun.attempts, begun.status), (2, TaskStatus::Created));
    store.fail_attempt(&run, "charge", 0, 2, &Failure::new("Timeout", "5 s")).await.unwrap();
    store.fail_attempt(&run, "charge", 0, 1, &Failure::new("Stale", "late")).await.unwrap();
    let done = [outbox_event("k", "done")];
    assert_eq!(store.finish_task(&run, "charge", 0, &json!(null), &done).await.unwrap(), Finished::Now);
    assert_eq!(store.finish_task(&run, "charge", 0, &json!(7), &done).await.unwrap(), Finished::Already);
    let missing = store.finish_task(&run, "other", 0, &json!(7), &done).await.unwrap_err();
    assert!(matches!(missing, StoreError::UnknownTask { .. }));
    assert!(store.begin_attempt(&run, "other", 0, 1).await.unwrap().is_none());
    let ended = store.begin_attempt(&run, "charge", 0, 3).await.unwrap().unwrap();
    assert_eq!((ended.attempts, ended.status), (2, TaskStatus::Completed), "what has ended is not tried again");

    commit_twice(&store, &last_step(&run)).await;
    // A repeated first step after the end finds everything as it was decided.
    let before = everything(&store).await;
    store.commit_step(&first_step(&run)).await.unwrap();
    assert_eq!(everything(&store).await, before);
    check_rows(&store, &run).await;
}

async fn check_rows(store: &Store, run: &str) {
    let tasks = store.tasks_of(run).await.unwrap();
    let seen: Vec<_> = tasks.iter().map(|t| (t.task.as_str(), t.index, t.status, t.attempts)).collect();
    let expected = [
        ("charge", 0, TaskStatus::Completed, 2),
        ("charge", 1, TaskStatus::Failed, 3),
        ("refund", 0, TaskStatus::Skipped, 0),
        ("tell", 0, TaskStatus::Completed, 0),
    ];
    assert_eq!(seen, expected);
    assert_eq!(tasks[0].output, Some(json!(null)));
    assert_eq!(tasks[0].last_error, Some(Failure::new("Timeout", "5 s")));
    assert_eq!(tasks[2].reason.as_deref(), Some("when: false"));

    let row = store.load_run(run).await.unwrap().unwrap();
    assert_eq!((row.status, row.error), (RunStatus::Failed, Some(Failure::new("HttpStatus", "500"))));
    assert_eq!(row.event, event("1"), "a NUL escape and 1.0 come back as they were");
    let events = store.events_of_run(run).await.unwrap();
    let ids: Vec<_> = events.iter().map(|e| e.event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "c", "done", "ended"]);
    assert!(events.iter().all(|e| e.state == PublishState::Pending));
    let facts: Vec<_> = store.audit_of(run).await.unwrap().into_iter().map(|a| a.fact).collect();
    assert_eq!(facts, ["decided", "ended"]);

    let attempts = store.attempts_of(run).await.unwrap();
    let seen: Vec<_> = attempts.iter().map(|a| (a.index, a.attempt, a.ended_at.is_some(), a.error.clone())).collect();
    let failed = |kind: &str, message: &str| Some(Failure::new(kind, message));
    assert_eq!(seen, [(0, 1, true, failed("Stale", "late")), (0, 2, true, failed("Timeout", "5 s"))]);
}

#[tokio::test]
async fn a_run_is_opened_by_one_execution() {
    let store = store().await;
    let first = new_run("1");
    open(&store, "1").await;
    let again = store.open_run(&first).await.unwrap();
    assert!(matches!(again, Opened::Resumed(row) if row.id == first.id && row.event == first.event));

    let mut later = first.clone();
    later.temporal_run_id = Some("execution-2".into());
    assert_eq!(store.open_run(&later).await.unwrap(), Opened::Duplicate { of: first.id.clone() });
    // The same event under another workflow id.
    later.id = "run/fulfil/other".into();
    assert_eq!(store.open_run(&later).await.unwrap(), Opened::Duplicate { of: first.id.clone() });
    later.replay = 1;
    assert_eq!(store.open_run(&later).await.unwrap(), Opened::New);
    assert!(store.load_run("run/none").await.unwrap().is_none());
}

#[tokio::test]
async fn the_first_context_counts_and_a_missing_run_is_named() {
    let store = store().await;
    let run = open(&store, "1").await;
    let first = store.set_context(&run, &json!({"a": 1}), "h1").await.unwrap();
    let second = store.set_context(&run, &json!({"a": 2}), "h2").await.unwrap();
    assert_eq!((&first.context, first.hash.as_str()), (&json!({"a": 1}), "h1"));
    assert_eq!(first, second);
    let error = store.set_context("none", &json!(1), "h").await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownRun(_)) && !error.is_transient());
    let error = store.commit_step(&StepRecord { run: "none".into(), ..Default::default() }).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownRun(_)));
}

#[tokio::test]
async fn the_audit_refuses_changes() {
    let store = store().await;
    let run = open(&store, "1").await;
    store.commit_step(&first_step(&run)).await.unwrap();
    for sql in ["update audit set fact = 'x'", "delete from audit"] {
        let error = sqlx::query(sql).execute(store.pool()).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}
