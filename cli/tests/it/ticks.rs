//! What becomes of the ticks of schedules.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use spine_core::run::RunStatus;
use spine_store::{RunFilter, Store, TickOutcome, TickRow, rfc3339};
use spine_testkit::wait;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::{Client, NamespacedClient as _};
use temporalio_common::protos::temporal::api::schedule::v1::{SchedulePatch, TriggerImmediatelyRequest};
use temporalio_common::protos::temporal::api::workflowservice::v1::PatchScheduleRequest;
use tonic::IntoRequest as _;

use crate::endpoint::{Answer, Endpoint};
use crate::histories::{closed_history, record};
use crate::schedules::{NEW_YEAR, SECOND, apply, client, definition, run_event, store, ticks};
use crate::world::{PATIENCE, World};

/// An activity with a task that nobody performs: each run goes on for three seconds, and fails.
fn slow(name: &str, schedule: &str) -> String {
    let task = "{id: t, uses: worker, with: {taskQueue: nobody, activity: Nothing, input: null}, deadline: 3s}";
    let fast = definition(name, &[schedule]);
    let (head, _) = fast.split_once("  tasks:").unwrap();
    format!("{head}  tasks: [{task}]\n")
}

/// Waits until the records of a schedule are as `enough` wants them.
async fn until_ticks(store: &Store, activity: &str, what: &str, enough: impl Fn(&[TickRow]) -> bool) -> Vec<TickRow> {
    wait::until(what, PATIENCE, async || Some(ticks(store, activity).await).filter(|ticks| enough(ticks))).await
}

fn having(ticks: &[TickRow], outcome: TickOutcome) -> Vec<&TickRow> {
    ticks.iter().filter(|tick| tick.outcome == outcome).collect()
}

/// From the first to the last record of a schedule of every second, each second has one.
fn assert_without_gap(ticks: &[TickRow]) {
    let seconds: Vec<i64> = ticks.iter().map(|tick| tick.scheduled_for.unix_timestamp()).collect();
    assert!(seconds.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ticks:#?}");
}

/// The records of ticks from one moment to another.
fn of(ticks: &[TickRow], from: SystemTime, to: SystemTime) -> Vec<&TickRow> {
    let inside = |tick: &&TickRow| (from..to).contains(&SystemTime::from(tick.scheduled_for));
    ticks.iter().filter(inside).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_of_one_activity_tick_at_once() {
    let mut world = World::boot().await;
    world.start("worker", &[]).await;
    apply(&world, &definition("twice", &["every: 1s, overlap: allow", "every: 1s, overlap: allow"]));
    let store = store(&world).await;
    let both = wait::until("both tick at one time", PATIENCE, async || {
        let (first, second) =
            (store.ticks_of("twice", 0, 100).await.unwrap(), store.ticks_of("twice", 1, 100).await.unwrap());
        let ran = |tick: &&TickRow| tick.outcome == TickOutcome::Ran;
        let times: BTreeSet<_> = first.iter().filter(ran).map(|tick| tick.scheduled_for).collect();
        second.iter().filter(ran).map(|tick| tick.scheduled_for).find(|time| times.contains(time))
    })
    .await;
    for index in 0..2 {
        let run = format!("run/twice/at{index}-{}", rfc3339(both));
        assert_eq!(run_event(&store, &run).await["source"], format!("/spine/schedules/twice/{index}"));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_tick_is_skipped_unless_it_may_run_late() {
    let mut world = World::boot().await;
    world.start("worker", &[]).await;
    let late = "missed: {policy: catch_up, within: 1h}";
    apply(
        &world,
        &[definition("punctual", &[NEW_YEAR]), definition("patient", &[&format!("{NEW_YEAR}, {late}")])].join("---\n"),
    );
    let (temporal, store) = (client(&world).await, store(&world).await);
    let minutes_ago = |minutes: u64| SystemTime::now() - Duration::from_secs(minutes * 60);
    for (activity, ran) in [("punctual", 1), ("patient", 2)] {
        // One after another: Temporal 1.32 may start only one of two that are asked for at the same moment.
        for (asked, minutes) in [0, 10, 90].into_iter().enumerate() {
            tick(&temporal, activity, minutes_ago(minutes)).await;
            until_ticks(&store, activity, "it is recorded", |ticks| ticks.len() > asked).await;
        }
        let ticks = ticks(&store, activity).await;
        assert_eq!((having(&ticks, TickOutcome::Ran).len(), ticks.len()), (ran, 3), "{ticks:#?}");
        let reason = ticks[0].reason.as_deref().unwrap();
        assert!(reason.starts_with("missed: 1h30m"), "{reason}");
    }
    assert!((world.metric("worker", "spine_worker_ticks_total{outcome=\"skipped\"}").await - 3.0).abs() < 0.1);
    let skipped = ticks(&store, "punctual").await.remove(0);
    let workflow = format!("run/punctual/at0-{}", rfc3339(skipped.scheduled_for));
    record("tick-skipped", &closed_history(&temporal, &workflow).await);
    world.end().await;
}

/// Has Temporal start a tick of a time that is past, as it does after an outage.
async fn tick(temporal: &Client, activity: &str, at: SystemTime) {
    let trigger = TriggerImmediatelyRequest { overlap_policy: 6, scheduled_time: Some(at.into()) };
    let request = PatchScheduleRequest {
        namespace: temporal.namespace(),
        schedule_id: format!("spine/{activity}/0"),
        patch: Some(SchedulePatch { trigger_immediately: Some(trigger), ..Default::default() }),
        request_id: format!("{at:?}"),
        ..Default::default()
    };
    WorkflowService::patch_schedule(&mut temporal.clone(), request.into_request()).await.unwrap();
}

/// Applies a schedule of every second, lets it tick, and takes the workers away between two runs until Temporal
/// counts three ticks `counted` so. Returns when they were away.
async fn outage_of_the_workers(
    world: &mut World,
    store: &Store,
    policies: &str,
    counted: &str,
) -> (SystemTime, SystemTime) {
    apply(world, &definition("second", &[&format!("{SECOND}, {policies}")]));
    let running = RunFilter { statuses: vec![RunStatus::Running], limit: 1, ..RunFilter::default() };
    loop {
        let started = SystemTime::now();
        world.start("worker", &[]).await;
        until_ticks(store, "second", "it ticks", |ticks| {
            ticks.last().is_some_and(|last| SystemTime::from(last.recorded_at) > started)
        })
        .await;
        world.kill("worker");
        if store.list_runs(&running).await.unwrap().is_empty() {
            break;
        }
    }
    let down = SystemTime::now();
    let count = || world.json(&["schedules", "show", "second"])["temporal"][counted].as_i64().unwrap();
    let before = count();
    wait::until("ticks are missed", PATIENCE, async || (count() >= before + 3).then_some(())).await;
    let up = SystemTime::now();
    world.start("worker", &[]).await;
    (down, up)
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_ticks_have_one_run_that_knows_them() {
    let mut world = World::boot().await;
    let store = store(&world).await;
    let policies = "missed: {policy: compress, within: 1h}}\n      input: {team: ops";
    let (down, up) = outage_of_the_workers(&mut world, &store, policies, "droppedForOverlap").await;
    let ticks = until_ticks(&store, "second", "it ticks again", |ticks| {
        !having(ticks, TickOutcome::Compressed).is_empty()
            && ticks
                .last()
                .is_some_and(|last| last.outcome == TickOutcome::Ran && SystemTime::from(last.scheduled_for) > up)
    })
    .await;
    assert_without_gap(&ticks);
    let compressed = having(&ticks, TickOutcome::Compressed);
    let run = compressed[0].run.clone().unwrap();
    let into: Vec<_> = compressed.iter().filter(|tick| tick.run.as_deref() == Some(&run)).collect();
    let data = run_event(&store, &run).await["data"].clone();
    assert_eq!((&data["team"], &data["ticks"]["count"]), (&json!("ops"), &json!(into.len() + 1)), "{ticks:#?}");
    assert!(into.len() >= 3, "{ticks:#?}");
    // Exactly the ticks that the run says it stands for are its own, or compressed into it.
    let of_run: Vec<_> = ticks.iter().filter(|tick| tick.run.as_deref() == Some(&run)).collect();
    assert_eq!(data["ticks"]["from"], rfc3339(of_run[0].scheduled_for), "{ticks:#?}");
    assert_eq!(data["ticks"]["to"], rfc3339(of_run[of_run.len() - 1].scheduled_for), "{ticks:#?}");
    let outage = of(&ticks, down, up);
    assert!(outage.iter().all(|tick| tick.outcome != TickOutcome::Skipped), "{outage:#?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caught_up_ticks_all_run_late() {
    let mut world = World::boot().await;
    let store = store(&world).await;
    let (down, up) =
        outage_of_the_workers(&mut world, &store, "missed: {policy: catch_up, within: 1h}", "waiting").await;
    let ticks = until_ticks(&store, "second", "it has caught up", |ticks| {
        ticks.last().is_some_and(|last| SystemTime::from(last.scheduled_for) > up)
    })
    .await;
    assert_without_gap(&ticks);
    let outage = of(&ticks, down, up);
    assert!(outage.len() >= 3 && outage.iter().all(|tick| tick.outcome == TickOutcome::Ran), "{outage:#?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_temporal_never_started_are_recorded() {
    let mut world = World::boot().await;
    let store = store(&world).await;
    apply(&world, &definition("second", &[&format!("{SECOND}, missed: {{policy: catch_up, within: 1s}}")]));
    world.start("worker", &[]).await;
    until_ticks(&store, "second", "it ticks", |ticks| !ticks.is_empty()).await;
    world.stack.servers().await.temporal.as_mut().unwrap().process().kill().unwrap();
    let down = (Instant::now(), SystemTime::now());
    // The outage itself is what is tested: longer than the ten seconds that Temporal always makes up for.
    wait::until("Temporal was away for 14 s", PATIENCE, async || {
        (down.0.elapsed() >= Duration::from_secs(14)).then_some(())
    })
    .await;
    let up = SystemTime::now();
    world.stack.servers().await.temporal.as_mut().unwrap().restart().await.unwrap();
    let ticks = until_ticks(&store, "second", "it ticks again", |ticks| {
        let after = |tick: &&TickRow| SystemTime::from(tick.scheduled_for) > up && tick.outcome == TickOutcome::Ran;
        ticks.iter().rfind(after).is_some()
    })
    .await;
    assert_without_gap(&ticks);
    let outage = of(&ticks, down.1 + Duration::from_secs(1), up - Duration::from_secs(3));
    let missed = |tick: &&TickRow| tick.reason.as_deref().is_some_and(|reason| reason.starts_with("missed: "));
    assert!(outage.len() >= 9 && outage.iter().all(missed), "{outage:#?}");
    let dropped = outage.iter().filter(|tick| tick.reason.as_deref().unwrap().contains("Temporal did not start it"));
    assert!(dropped.count() >= 1, "{outage:#?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_of_a_pause_are_skipped_with_its_reason() {
    let mut world = World::boot().await;
    let store = store(&world).await;
    apply(&world, &definition("second", &[SECOND]));
    world.start("worker", &[]).await;
    until_ticks(&store, "second", "it ticks", |ticks| !ticks.is_empty()).await;
    let pauses: [(&[&str], &[&str], &str); 2] = [
        (
            &["schedules", "pause", "second", "--reason", "stocktaking"],
            &["schedules", "resume", "second"],
            ": stocktaking",
        ),
        (&["disable", "second"], &["enable", "second"], "the activity was disabled"),
    ];
    for (pause, resume, reason) in pauses {
        world.ok(pause);
        let paused = Instant::now();
        wait::until("three ticks have passed", PATIENCE, async || {
            (paused.elapsed() > Duration::from_secs(3)).then_some(())
        })
        .await;
        world.ok(resume);
        let resumed = SystemTime::now();
        let ticks = until_ticks(&store, "second", "it ticks again", |ticks| {
            ticks.last().is_some_and(|last| SystemTime::from(last.scheduled_for) > resumed)
        })
        .await;
        assert_without_gap(&ticks);
        let skipped = ticks.iter().filter(|tick| tick.reason.as_deref().is_some_and(|text| text.contains(reason)));
        assert!(skipped.count() >= 2, "{reason}: {ticks:#?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_overlap() {
    let mut world = World::boot().await;
    let store = store(&world).await;
    let overlap = |name: &str, overlap: &str| slow(name, &format!("{SECOND}, overlap: {overlap}"));
    let caught_up = |name: &str, overlap: &str| {
        slow(name, &format!("{SECOND}, overlap: {overlap}, missed: {{policy: catch_up, within: 1h}}"))
    };
    let all = [
        overlap("skips", "skip"),
        overlap("waits", "buffer_one"),
        overlap("allows", "allow"),
        caught_up("skips-late", "skip"),
        caught_up("waits-late", "buffer_one"),
    ];
    apply(&world, &all.join("---\n"));
    world.start("worker", &[]).await;
    let overlapped = |ticks: &[TickRow]| {
        let skipped = having(ticks, TickOutcome::Skipped);
        skipped.iter().filter(|tick| tick.reason.as_deref().unwrap().contains("overlap: ")).count()
    };
    for activity in ["skips", "skips-late", "waits", "waits-late"] {
        let ticks = until_ticks(&store, activity, activity, |ticks| {
            overlapped(ticks) >= 2 && having(ticks, TickOutcome::Ran).len() >= 3
        })
        .await;
        assert_without_gap(&ticks);
        let filter = RunFilter { activity: Some(activity.into()), limit: 100, ..RunFilter::default() };
        let mut runs = store.list_runs(&filter).await.unwrap();
        runs.sort_by_key(|run| run.started_at);
        assert!(
            runs.windows(2).all(|pair| pair[0].closed_at.is_some_and(|end| end <= pair[1].started_at)),
            "{runs:#?}"
        );
        let late = |tick: &&&TickRow| {
            let run = runs.iter().find(|run| Some(&run.id) == tick.run.as_ref());
            run.is_some_and(|run| run.started_at - tick.scheduled_for > Duration::from_millis(900))
        };
        let waited = having(&ticks, TickOutcome::Ran).iter().filter(late).count();
        assert_eq!(activity.starts_with("waits"), waited > 0, "{activity}: {ticks:#?} {runs:#?}");
    }
    let filter = RunFilter {
        activity: Some("allows".into()),
        statuses: vec![RunStatus::Running],
        limit: 100,
        ..RunFilter::default()
    };
    wait::until("two runs go on at once", PATIENCE, async || {
        (store.list_runs(&filter).await.unwrap().len() >= 2).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_may_cancel_the_run_before() {
    let service = Endpoint::start(|_, _| Answer::json(&json!({}))).await;
    let mut world = World::boot().await;
    let store = store(&world).await;
    apply(&world, CANCELS);
    world.start("worker", &[("SPINE_VALUES__service", &service.url)]).await;
    let ticks = until_ticks(&store, "cancels", "two ticks run", |ticks| ticks.len() >= 2).await;
    assert!(ticks.iter().all(|tick| tick.outcome == TickOutcome::Ran), "{ticks:#?}");
    let run = async |tick: usize| store.load_run(ticks[tick].run.as_deref().unwrap()).await.unwrap().unwrap();
    wait::until("the run before has ended", PATIENCE, async || {
        (run(0).await.status != RunStatus::Running).then_some(())
    })
    .await;
    let cancelled = run(0).await;
    assert_eq!(cancelled.status, RunStatus::Cancelled, "{cancelled:#?}");
    let tasks: Vec<_> = store.tasks_of(&cancelled.id).await.unwrap();
    let ended: Vec<_> = tasks.iter().map(|task| (task.task.as_str(), task.status.as_str())).collect();
    assert_eq!(ended, [("book", "completed"), ("stay", "cancelled"), ("book.undo", "completed")]);
    // What the run before did is taken back before the next one begins.
    wait::until("the next run does its work", PATIENCE, async || (service.asked("/book").len() >= 3).then_some(()))
        .await;
    let what: Vec<_> = service.taken().into_iter().map(|(what, _)| what).take(3).collect();
    assert_eq!(what, ["POST /book", "DELETE /book", "POST /book"]);
    assert!(run(1).await.started_at >= cancelled.closed_at.unwrap());
    world.end().await;
}

const CANCELS: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: cancels}
spec:
  on: [{schedule: {every: 3s, overlap: cancel_other}}]
  tasks:
    - id: book
      uses: http
      with: {method: POST, url: "${ config.service }/book"}
      undo: {uses: http, with: {method: DELETE, url: "${ config.service }/book"}}
    - {id: stay, needs: [book], uses: wait, with: {for: 1h}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn jitter_moves_the_run_and_not_its_name() {
    let mut world = World::boot().await;
    let store = store(&world).await;
    apply(&world, &definition("jittery", &["every: 2s, jitter: 1900ms"]));
    world.start("worker", &[]).await;
    let ticks = until_ticks(&store, "jittery", "it ticks", |ticks| ticks.len() >= 4).await;
    assert!(ticks.iter().all(|tick| tick.outcome == TickOutcome::Ran), "{ticks:#?}");
    let mut moved = 0;
    for tick in &ticks {
        assert_eq!(tick.scheduled_for.unix_timestamp() % 2, 0, "{tick:#?}");
        let run = store.load_run(tick.run.as_deref().unwrap()).await.unwrap().unwrap();
        assert_eq!(run.event.time, Some(rfc3339(tick.scheduled_for)));
        moved += i32::from(run.started_at - tick.scheduled_for > Duration::from_millis(500));
    }
    assert!(moved > 0, "{ticks:#?}");
    world.end().await;
}
