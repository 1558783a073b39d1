use std::time::Duration;

use serde_json::json;
use spine_core::planning::Outcome;
use spine_core::run::{Failure, RunStatus, TaskStatus};
use spine_store::{
    Answer, Asked, Escalated, FinishedTask, HumanFilter, HumanKey, HumanStatus, NewTask, PeopleError, RetryFrom,
    StepRecord, Store, StoreError,
};

use crate::support::{everything, open, outbox_event, store};

fn asking(run: &str) -> StepRecord {
    let request = json!({"uses": "human", "title": "Look", "description": null, "assignees": ["ops\0"], "form": null});
    let ask = NewTask {
        task: "ask".into(),
        index: 0,
        uses: "human".into(),
        status: TaskStatus::Created,
        retry: 0,
        ordinal: None,
        for_event: false,
        request,
        output: None,
    };
    let asked = Asked {
        task: "ask".into(),
        index: 0,
        assignees: vec!["ops\0".into()],
        deadline: Some(Duration::from_secs(3600)),
    };
    StepRecord { run: run.into(), created: vec![ask], asked: vec![asked], ..Default::default() }
}

fn too_late(run: &str) -> StepRecord {
    let failure = Failure::deadline("nobody came");
    StepRecord {
        run: run.into(),
        results: vec![FinishedTask { task: "ask".into(), index: 0, result: Err(failure.clone()), attempts: 0 }],
        outcome: Some(Outcome::Failed(failure)),
        outbox: vec![outbox_event(run, "ended")],
        ..Default::default()
    }
}

fn escalation(run: &str) -> StepRecord {
    let to =
        Escalated { task: "ask".into(), index: 0, assignees: vec!["lead".into()], deadline: Duration::from_secs(60) };
    StepRecord { run: run.into(), escalated: vec![to], ..Default::default() }
}

async fn asked(store: &Store, id: &str) -> HumanKey {
    let run = open(store, id).await;
    for _ in 0..2 {
        store.commit_step(&asking(&run)).await.unwrap();
    }
    HumanKey { run, task: "ask".into(), index: 0 }
}

#[tokio::test]
async fn a_deadline_that_a_person_was_faster_than_changes_nothing() {
    let store = store().await;
    let of = asked(&store, "1").await;
    assert_eq!(store.human_task(&of).await.unwrap().unwrap().assignees, ["ops\u{fffd}"]);
    store.end_human_task(&of, "ann", &Answer::Completed(json!({"ok": true}))).await.unwrap();
    let before = everything(&store).await;
    for late in [too_late(&of.run), escalation(&of.run)] {
        let error = store.commit_step(&late).await.unwrap_err();
        assert!(matches!(error, StoreError::Overtaken(_)), "{error}");
    }
    assert_eq!(everything(&store).await, before);
    assert_eq!(store.load_run(&of.run).await.unwrap().unwrap().status, RunStatus::Running);
}

#[tokio::test]
async fn of_many_answers_at_once_one_counts() {
    let store = store().await;
    let of = asked(&store, "1").await;
    let answers = (0..8).map(|n| {
        let (store, of) = (&store, &of);
        async move { store.end_human_task(of, &format!("p{n}"), &Answer::Completed(json!(n))).await }
    });
    let results = futures::future::join_all(answers).await;
    let taken: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(taken.len(), 1);
    for refused in results.iter().filter_map(|result| result.as_ref().err()) {
        let PeopleError::Closed(task) = refused else { panic!("{refused}") };
        assert_eq!(
            (task.ended_by.as_ref(), task.output.as_ref()),
            (taken[0].ended_by.as_ref(), taken[0].output.as_ref())
        );
    }
    assert_eq!(store.events_of_run(&of.run).await.unwrap().len(), 1, "one event tells of it");
    assert_eq!(store.claim_wakes(9).await.unwrap().len(), 1, "the run is woken");
}

#[tokio::test]
async fn an_escalation_happens_once_and_a_retry_asks_anew() {
    let store = store().await;
    let of = asked(&store, "1").await;
    store.claim_human_task(&of, "ann").await.unwrap();
    assert!(store.escalations_of(&of.run).await.unwrap().is_empty());
    store.commit_step(&escalation(&of.run)).await.unwrap();
    let escalated = store.human_task(&of).await.unwrap().unwrap();
    assert_eq!((escalated.assignees.clone(), escalated.claimed_by.clone()), (vec!["lead".to_owned()], None));
    let left = store.escalations_of(&of.run).await.unwrap()[0].left;
    assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(60), "{left:?}");
    let before = everything(&store).await;
    store.commit_step(&escalation(&of.run)).await.unwrap();
    assert_eq!(everything(&store).await, before);

    store.end_human_task(&of, "lead", &Answer::Failed("no".into())).await.unwrap();
    let outcome = Some(Outcome::Failed(Failure::new("FailedByPerson", "no")));
    store.commit_step(&StepRecord { run: of.run.clone(), outcome, ..StepRecord::default() }).await.unwrap();
    store.retry_run(&of.run, RetryFrom::Done, "ann").await.unwrap();
    // Nobody is asked until the retry decides it.
    assert!(store.tasks_of(&of.run).await.unwrap()[0].is_undecided() && store.human_task(&of).await.unwrap().is_none());
    store.commit_step(&asking(&of.run)).await.unwrap();
    let again = store.human_task(&of).await.unwrap().unwrap();
    assert_eq!((again.status, again.ended_by, again.escalated_at), (HumanStatus::Open, None, None));
    assert_eq!(again.assignees, ["ops\u{fffd}"]);
    assert!(store.escalations_of(&of.run).await.unwrap().is_empty());
}

#[tokio::test]
async fn tasks_are_found_by_what_they_are_and_by_the_start_of_their_id() {
    let store = store().await;
    let (first, second) = (asked(&store, "1").await, asked(&store, "2").await);
    let claimed = store.claim_human_task(&second, "ann").await.unwrap();
    let listed = async |filter: HumanFilter| -> Vec<String> {
        let found = store.list_human_tasks(&HumanFilter { limit: 10, ..filter }).await.unwrap();
        found.into_iter().map(|task| task.run).collect()
    };
    let all = HumanFilter::default;
    assert_eq!(listed(all()).await, [first.run.as_str(), second.run.as_str()]);
    assert_eq!(listed(HumanFilter { assignee: Some("ann".into()), ..all() }).await, [second.run.as_str()]);
    assert_eq!(listed(HumanFilter { statuses: vec![HumanStatus::Open], ..all() }).await, [first.run.as_str()]);
    assert_eq!(listed(HumanFilter { run: Some(first.run.clone()), ..all() }).await, [first.run.as_str()]);
    assert!(listed(HumanFilter { activity: Some("other".into()), ..all() }).await.is_empty());
    assert_eq!(store.human_tasks_by_id(&claimed.id[..6], 5).await.unwrap(), [claimed]);
    assert!(store.human_tasks_by_id("%", 5).await.unwrap().is_empty());
}
