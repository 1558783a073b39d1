use spine_core::names;
use spine_core::ticks::Reason;
use spine_store::{KnownTicks, NewRun, NewTick, Opened, SettledTick, Store, Tick, TickOutcome, Trigger, rfc3339};
use time::{Duration, OffsetDateTime};

use crate::support::{everything, new_run, store};

fn at(minutes: i64) -> OffsetDateTime {
    time::macros::datetime!(2026-11-25 09:00 UTC) + Duration::minutes(minutes)
}

fn tick(minutes: i64) -> Tick {
    let execution = format!("execution-{minutes}");
    Tick { activity: "nightly".into(), trigger: 1, at: at(minutes), execution, rule: "every minute".into() }
}

fn record(minutes: i64, outcome: TickOutcome, run: Option<&str>) -> NewTick {
    let reason = (outcome == TickOutcome::Skipped).then(|| format!("because of {minutes}"));
    NewTick { at: at(minutes), until: None, count: 1, outcome, reason, run: run.map(str::to_owned) }
}

fn id(minutes: i64) -> String {
    names::scheduled_run_id("nightly", 1, &rfc3339(at(minutes)))
}

fn run(tick: &Tick) -> NewRun {
    let mut new = new_run("");
    new.id = id((tick.at - at(0)).whole_minutes());
    new.activity = tick.activity.clone();
    new.temporal_run_id = Some(tick.execution.clone());
    new.trigger = Trigger::Schedule;
    new.event.source = names::tick_source("nightly", 1);
    new.event.id = rfc3339(tick.at);
    new
}

/// Settles a tick that runs, and of these others says that they are skipped.
async fn runs(store: &Store, tick: &Tick, skipped: &[i64]) -> SettledTick {
    let new = run(tick);
    let others = skipped.iter().map(|minutes| record(*minutes, TickOutcome::Skipped, None));
    let own = NewTick { at: tick.at, ..record(0, TickOutcome::Ran, Some(&new.id)) };
    let records = std::iter::once(own).chain(others).collect();
    store.settle_tick(tick, |_| (records, Some(new))).await.unwrap()
}

async fn recorded(store: &Store) -> Vec<(i64, TickOutcome, Option<String>)> {
    let ticks = store.ticks_of("nightly", 1, 100).await.unwrap();
    ticks.into_iter().rev().map(|tick| ((tick.scheduled_for - at(0)).whole_minutes(), tick.outcome, tick.run)).collect()
}

#[tokio::test]
async fn a_tick_settled_twice_is_settled_once() {
    let store = store().await;
    assert_eq!(runs(&store, &tick(2), &[0, 1]).await, SettledTick::Run(Opened::New));
    let before = (everything(&store).await, recorded(&store).await);
    // A repeated attempt finds the run before it comes here; another workflow of the same tick is a duplicate.
    let again = Tick { execution: "another".into(), ..tick(2) };
    assert_eq!(runs(&store, &again, &[0, 1]).await, SettledTick::Run(Opened::Duplicate { of: id(2) }));
    assert_eq!((everything(&store).await, recorded(&store).await), before);

    // One that is skipped says so again, whatever would be decided now.
    let skip = |_: &KnownTicks| (vec![record(5, TickOutcome::Skipped, None)], None);
    let skipped = SettledTick::Ends { reason: "because of 5".into() };
    assert_eq!(store.settle_tick(&tick(5), skip).await.unwrap(), skipped);
    assert_eq!(runs(&store, &tick(5), &[]).await, skipped);
    assert_eq!(runs(&store, &Tick { execution: "another".into(), ..tick(5) }, &[]).await, skipped);
    // Unless somebody asks for it.
    store.ask_for_ticks("nightly", 1, at(4), at(5), "ada").await.unwrap();
    let asked = Tick { execution: "asked".into(), ..tick(5) };
    let new = run(&asked);
    let own = record(5, TickOutcome::Ran, Some(&new.id));
    let settled = store.settle_tick(&asked, |known| {
        assert_eq!(known.asked_by.as_deref(), Some("ada"));
        (vec![own], Some(new))
    });
    assert_eq!(settled.await.unwrap(), SettledTick::Run(Opened::New));
    assert_eq!(store.ticks_without_run("nightly", 1, &[at(2), at(3), at(5)]).await.unwrap(), [at(3)]);
}

#[tokio::test]
async fn a_tick_that_was_missed_too_early_is_right_once_it_arrives() {
    let store = store().await;
    runs(&store, &tick(2), &[0, 1]).await;
    assert_eq!(runs(&store, &tick(1), &[]).await, SettledTick::Run(Opened::New));
    // Nor does a later tick change what has arrived.
    runs(&store, &tick(3), &[0, 1, 2]).await;
    let ran = |minutes| (minutes, TickOutcome::Ran, Some(id(minutes)));
    assert_eq!(recorded(&store).await, [(0, TickOutcome::Skipped, None), ran(1), ran(2), ran(3)]);
}

#[tokio::test]
async fn of_two_late_ticks_that_race_one_runs_for_both() {
    let store = store().await;
    let settle = async |minutes: i64, other: i64| {
        let tick = tick(minutes);
        let new = run(&tick);
        let records = vec![
            record(minutes, TickOutcome::Ran, Some(&new.id)),
            record(other, TickOutcome::Compressed, Some(&new.id)),
        ];
        store.settle_tick(&tick, |_| (records, Some(new))).await.unwrap()
    };
    let (first, second) = tokio::join!(settle(1, 2), settle(2, 1));
    let (won, lost) = if matches!(first, SettledTick::Run(_)) { (1, second) } else { (2, first) };
    assert_eq!(lost, SettledTick::Ends { reason: format!("compressed into {}", id(won)) });
    let records = recorded(&store).await;
    assert!(records.iter().all(|(_, _, run)| *run == Some(id(won))), "{records:?}");
}

#[tokio::test]
async fn what_is_known_when_a_tick_arrives() {
    let store = store().await;
    runs(&store, &tick(1), &[]).await;
    assert!(store.pause_schedule("nightly", 1, "ada", Some("stocktaking")).await.unwrap());
    assert!(!store.pause_schedule("nightly", 1, "bob", None).await.unwrap());
    assert_eq!(store.paused_schedules().await.unwrap().len(), 1);
    assert!(store.resume_schedule("nightly", 1, "ada").await.unwrap());
    assert!(!store.resume_schedule("nightly", 1, "ada").await.unwrap());
    let mut known = KnownTicks::default();
    let look = |found: &KnownTicks| {
        known = found.clone();
        (vec![record(9, TickOutcome::Skipped, None)], None)
    };
    store.settle_tick(&tick(9), look).await.unwrap();
    assert_eq!((known.last, known.asked_by), (Some(at(1)), None));
    let mut reasons: Vec<&Reason> = known.spans.iter().map(|span| &span.what).collect();
    reasons.sort_by_key(|reason| format!("{reason:?}"));
    let paused = Reason::Paused { why: "by ada: stocktaking".into() };
    assert_eq!(reasons, [&paused, &Reason::Run { id: id(1), tick: at(1).unix_timestamp() }]);

    // Times of another rule are not compared, and neither are ticks that were asked for.
    let mut last = None;
    let changed = Tick { rule: "every hour".into(), ..tick(10) };
    let look = |found: &KnownTicks| {
        last = found.last;
        (vec![record(10, TickOutcome::Skipped, None)], None)
    };
    store.settle_tick(&changed, look).await.unwrap();
    assert_eq!(last, None);
}
