//! Schedules: what stands in Temporal, when they tick, and what operators do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use spine_core::activity::{self, Document, Times, Trigger};
use spine_core::run::RunStatus;
use spine_store::{RunFilter, Store, TickRow};
use spine_testkit::{temporal, wait};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::schedules::ScheduleSpec;
use temporalio_client::{Client, NamespacedClient as _};
use temporalio_common::protos::temporal::api::workflowservice::v1::ListScheduleMatchingTimesRequest;
use tonic::IntoRequest as _;

use crate::world::{PATIENCE, World};

pub(crate) const NEW_YEAR: &str = "cron: 0 4 1 1 *";
pub(crate) const SECOND: &str = "every: 1s";

/// An activity `name` with these schedules and one task that emits.
pub(crate) fn definition(name: &str, schedules: &[&str]) -> String {
    let on: String = schedules.iter().map(|schedule| format!("    - schedule: {{{schedule}}}\n")).collect();
    format!(
        "apiVersion: spine/v1\nkind: Activity\nmetadata: {{name: {name}}}\nspec:\n  on:\n{on}  \
         tasks: [{{id: t, uses: emit, with: {{type: com.test.ticked, data: \"${{ event.data }}\"}}}}]\n"
    )
}

pub(crate) fn apply(world: &World, text: &str) -> Value {
    let file = world.folder.path().join("schedules.yaml");
    std::fs::write(&file, text).unwrap();
    world.json(&["apply", "--file", file.to_str().unwrap()])
}

fn failure(world: &World, args: &[&str]) -> (Option<i32>, String) {
    let output = world.spine(args).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

pub(crate) async fn store(world: &World) -> Store {
    Store::connect(world.stack.database_url()).await.unwrap()
}

pub(crate) async fn client(world: &World) -> Client {
    temporal::client(world.stack.temporal_address()).await.unwrap()
}

/// All records of a schedule, the oldest first.
pub(crate) async fn ticks(store: &Store, activity: &str) -> Vec<TickRow> {
    let mut ticks = store.ticks_of(activity, 0, 10_000).await.unwrap();
    ticks.reverse();
    ticks
}

pub(crate) async fn run_event(store: &Store, run: &str) -> Value {
    store.load_run(run).await.unwrap().unwrap().event.to_json()
}

fn changes(done: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = done["schedules"].as_array().unwrap();
    all.iter().map(|one| (text(&one["schedule"]), text(&one["change"]))).collect()
}

fn listed(world: &World, schedule: &str) -> Value {
    let all = world.json(&["schedules", "list"]);
    let found = all.as_array().unwrap().iter().find(|one| one["schedule"] == schedule);
    found.unwrap_or_else(|| panic!("{schedule} is not in {all:#}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_follow_the_registry_and_drift_is_mended() {
    let world = World::boot().await;
    let temporal = client(&world).await;
    let handle = temporal.get_schedule_handle("spine/yearly/0");
    let one = |change: &str| BTreeMap::from([("spine/yearly/0".to_owned(), change.to_owned())]);
    assert_eq!(changes(&apply(&world, &definition("yearly", &[NEW_YEAR]))), one("created"));
    assert_eq!(changes(&apply(&world, &definition("yearly", &[NEW_YEAR]))), BTreeMap::new());
    assert_eq!(changes(&apply(&world, &definition("yearly", &["cron: 0 5 1 1 *, overlap: allow"]))), one("updated"));
    assert_eq!(changes(&apply(&world, &definition("yearly", &[NEW_YEAR, SECOND])))["spine/yearly/1"], "created");
    assert_eq!(changes(&apply(&world, &definition("yearly", &[NEW_YEAR])))["spine/yearly/1"], "deleted");
    assert_eq!(changes(&world.json(&["disable", "yearly"])), one("updated"));
    assert!(handle.describe(Default::default()).await.unwrap().paused());
    assert_eq!(listed(&world, "yearly/0")["enabled"], false);
    world.ok(&["enable", "yearly"]);
    assert!(!handle.describe(Default::default()).await.unwrap().paused());
    assert_eq!(changes(&world.json(&["provision"])), BTreeMap::new());

    // Edited in Temporal, with the note as it was.
    let every_hour = ScheduleSpec::builder().intervals(vec![Duration::from_secs(3600).into()]).build();
    let edit = move |schedule: &mut temporalio_client::schedules::ScheduleUpdate| {
        schedule.set_spec(every_hour).set_catchup_window(Duration::from_secs(99));
    };
    handle.update(edit, Default::default()).await.unwrap();
    assert_eq!(listed(&world, "yearly/0")["drift"], json!(["times", "catch-up window"]));
    let shown = world.ok(&["schedules", "show", "yearly"]);
    assert!(shown.contains("`spine provision` mends it"), "{shown}");
    let mended = world.json(&["provision"]);
    assert_eq!(
        mended["schedules"],
        json!([{"schedule": "spine/yearly/0", "change": "mended", "drift": ["times", "catch-up window"]}])
    );
    assert_eq!(listed(&world, "yearly/0")["drift"], json!([]));

    // Deleted in Temporal; one of the name of ours that nobody wants.
    handle.delete(Default::default()).await.unwrap();
    assert_eq!(listed(&world, "yearly/0")["drift"], json!(["missing"]));
    assert_eq!(changes(&world.json(&["provision"])), one("created"));
    assert_eq!(changes(&world.json(&["delete", "activity", "yearly", "--yes"])), one("deleted"));
    assert_eq!(world.json(&["schedules", "list"]), json!([]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stays_until_an_operator_ends_it() {
    let world = World::boot().await;
    let temporal = client(&world).await;
    let handle = temporal.get_schedule_handle("spine/yearly/0");
    let is_paused = async || handle.describe(Default::default()).await.unwrap().paused();
    apply(&world, &definition("yearly", &[NEW_YEAR]));
    let paused = world.json(&["schedules", "pause", "yearly", "--reason", "maintenance"]);
    assert_eq!(paused, json!({"schedule": "yearly/0", "change": "paused"}));
    assert_eq!(world.json(&["schedules", "pause", "yearly/0"])["change"], "paused already");
    assert!(is_paused().await);
    // Neither a change of the schedule nor being disabled and enabled ends it.
    apply(&world, &definition("yearly", &["cron: 0 6 1 1 *"]));
    world.ok(&["disable", "yearly"]);
    world.ok(&["enable", "yearly"]);
    world.ok(&["provision"]);
    assert!(is_paused().await);
    let state = listed(&world, "yearly/0");
    assert_eq!(
        (&state["paused"]["reason"], &state["next"], &state["drift"]),
        (&json!("maintenance"), &json!(null), &json!([]))
    );
    assert!(world.ok(&["schedules", "list"]).contains("maintenance"));

    // Disabled wins over resumed.
    world.ok(&["disable", "yearly"]);
    let resumed = world.json(&["schedules", "resume", "yearly"]);
    assert_eq!(
        resumed,
        json!({"schedule": "yearly/0", "change": "resumed", "note": "it does not tick: its activity is disabled"})
    );
    assert!(is_paused().await);
    world.ok(&["enable", "yearly"]);
    assert!(!is_paused().await);
    assert_eq!(world.json(&["schedules", "resume", "yearly"])["change"], "not paused");

    // One made in Temporal counts as one, and one that was ended there is mended.
    handle.pause(Some("by hand"), Default::default()).await.unwrap();
    assert_eq!(listed(&world, "yearly/0")["drift"], json!(["pause"]));
    assert_eq!(changes(&world.json(&["provision"]))["spine/yearly/0"], "left paused");
    apply(&world, &definition("yearly", &["cron: 0 7 1 1 *"]));
    assert!(is_paused().await);
    assert_eq!(listed(&world, "yearly/0")["paused"]["reason"], "by hand");
    handle.unpause(Some("by hand"), Default::default()).await.unwrap();
    assert_eq!(world.json(&["provision"])["schedules"][0]["drift"], json!(["pause"]));
    assert!(is_paused().await);
    world.ok(&["schedules", "resume", "yearly"]);
    assert!(!is_paused().await);
    // One that nobody has noticed yet is ended as well.
    handle.pause(Some("by hand"), Default::default()).await.unwrap();
    assert_eq!(world.json(&["schedules", "resume", "yearly"])["change"], "resumed");
    assert!(!is_paused().await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_runs_once() {
    let mut world = World::boot().await;
    world.start("worker", &[]).await;
    apply(&world, &definition("hourly", &["cron: 0 * * * *"]));
    let store = store(&world).await;
    let asked = world.json(&[
        "schedules",
        "backfill",
        "hourly",
        "--from",
        "2026-01-01T06:00:00Z",
        "--to",
        "2026-01-01T08:30:00Z",
    ]);
    let runs = ["06", "07", "08"].map(|hour| format!("run/hourly/at0-2026-01-01T{hour}:00:00Z"));
    assert_eq!(asked, json!({"schedule": "hourly/0", "ticks": 3, "new": 3, "runs": runs}));
    let completed = async |count: usize| {
        let filter = RunFilter { statuses: vec![RunStatus::Completed], limit: 100, ..RunFilter::default() };
        wait::until("runs complete", PATIENCE, async || {
            (store.list_runs(&filter).await.unwrap().len() >= count).then_some(())
        })
        .await;
    };
    completed(3).await;
    assert_eq!(run_event(&store, &runs[1]).await["time"], "2026-01-01T07:00:00Z");
    // The same again and one more: only that is new.
    let again = world.json(&[
        "schedules",
        "backfill",
        "hourly",
        "--from",
        "2026-01-01T06:00:00Z",
        "--to",
        "2026-01-01T09:00:00Z",
    ]);
    assert_eq!((&again["ticks"], &again["new"]), (&json!(4), &json!(1)));
    completed(4).await;
    let none = world.json(&[
        "schedules",
        "backfill",
        "hourly/0",
        "--from",
        "2026-01-01T06:00:00Z",
        "--to",
        "2026-01-01T09:00:00Z",
    ]);
    assert_eq!(none["new"], 0);

    // Paused schedules do what is asked for, too.
    world.ok(&["schedules", "pause", "hourly"]);
    let triggered = world.json(&["schedules", "trigger", "hourly"]);
    completed(5).await;
    let run = triggered["runs"][0].as_str().unwrap();
    assert_eq!(store.load_run(run).await.unwrap().unwrap().status, RunStatus::Completed);
    let records = ticks(&store, "hourly").await;
    let by: BTreeSet<bool> =
        records.iter().map(|tick| tick.reason.as_deref().unwrap().starts_with("asked for by ")).collect();
    assert_eq!((records.len(), by), (5, BTreeSet::from([true])));
    assert!((world.metric("worker", "spine_worker_ticks_total{outcome=\"ran\"}").await - 5.0).abs() < 0.1);
    let shown = world.ok(&["schedules", "show", "hourly"]);
    assert!(shown.contains("run/hourly/at0-2026-01-01T09:00:00Z") && shown.contains("cron 0 * * * * UTC"), "{shown}");
    assert!(world.ok(&["schedules", "list", "-o", "yaml"]).contains("outcome: ran"));

    let long_ago = ["--from", "2000-01-01T00:00:00Z"];
    for (args, code, message) in [
        (["backfill", "hourly", long_ago[0], long_ago[1]].as_slice(), 2, "more than 1000 ticks"),
        (&["backfill", "hourly", "--from", "yesterday"], 2, "is no time as in"),
        (&["backfill", "hourly", long_ago[0], "2100-01-01T00:00:00Z"], 2, "not in the future"),
        (&["show", "nothing"], 1, "there is no schedule \"nothing\""),
    ] {
        let (found, text) = failure(&world, &[&["schedules"], args].concat());
        assert!(found == Some(code) && text.contains(message), "{args:?}: {found:?} {text}");
    }
    world.ok(&["disable", "hourly"]);
    let (code, text) = failure(&world, &["schedules", "trigger", "hourly"]);
    assert!(code == Some(1) && text.contains("`spine enable hourly` first"), "{text}");
    apply(&world, &definition("several", &[NEW_YEAR, SECOND]));
    let (code, text) = failure(&world, &["schedules", "show", "several"]);
    assert!(code == Some(2) && text.contains("several/0, several/1"), "{text}");
    world.end().await;
}

/// The clocks of Vienna go forward on 28 March 2027 at 1:00 UTC, and back on 31 October at 1:00 UTC.
#[tokio::test(flavor = "multi_thread")]
async fn temporal_ticks_when_we_say_through_changes_of_the_clocks() {
    let world = World::boot().await;
    let rules = [
        "cron: 30 2 * * *, timezone: Europe/Vienna",
        "cron: 30 * * * *, timezone: Europe/Vienna",
        "cron: 0 9 * * MON-FRI, timezone: Europe/Vienna",
        "calendar: {hour: \"0,12\", minute: 5}, timezone: America/New_York",
        "cron: 15 */6 * * *, timezone: Asia/Kolkata",
        "calendar: {dayOfMonth: 31}, timezone: Pacific/Auckland",
    ];
    let text = definition("zones", &rules);
    apply(&world, &text);
    let Document::Activity(zones) = activity::parse("zones", &text).unwrap().remove(0) else { panic!("no activity") };
    let temporal = client(&world).await;
    let mut found = BTreeMap::new();
    for (index, trigger) in zones.value.triggers.iter().enumerate() {
        let Trigger::Schedule(schedule) = trigger else { panic!("no schedule") };
        let times = Times::of(schedule).unwrap();
        for (from, to) in
            [("2027-03-25T00:00:00Z", "2027-04-02T00:00:00Z"), ("2027-10-27T00:00:00Z", "2027-11-03T00:00:00Z")]
        {
            let (from, to) = (instant(from), instant(to));
            let ours: Vec<i64> = times.between(from, to).collect();
            assert_eq!(matching(&temporal, &format!("spine/zones/{index}"), from, to).await, ours, "{}", rules[index]);
            found.insert((index, from), ours);
        }
    }
    let vienna = |from: &str| &found[&(0, instant(from))];
    let expected = |days: &[&str]| days.iter().map(|day| instant(&format!("2027-{day}:00Z"))).collect::<Vec<_>>();
    let spring =
        ["03-25T01:30", "03-26T01:30", "03-27T01:30", "03-29T00:30", "03-30T00:30", "03-31T00:30", "04-01T00:30"];
    assert_eq!(*vienna("2027-03-25T00:00:00Z"), expected(&spring));
    let autumn =
        ["10-27T00:30", "10-28T00:30", "10-29T00:30", "10-30T00:30", "10-31T01:30", "11-01T01:30", "11-02T01:30"];
    assert_eq!(*vienna("2027-10-27T00:00:00Z"), expected(&autumn));
    world.end().await;
}

fn instant(text: &str) -> i64 {
    let format = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(text, format).unwrap().unix_timestamp()
}

async fn matching(temporal: &Client, id: &str, from: i64, to: i64) -> Vec<i64> {
    let at = |second: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(second.unsigned_abs());
    let request = ListScheduleMatchingTimesRequest {
        namespace: temporal.namespace(),
        schedule_id: id.to_owned(),
        start_time: Some(at(from).into()),
        end_time: Some(at(to).into()),
    };
    let answer = WorkflowService::list_schedule_matching_times(&mut temporal.clone(), request.into_request()).await;
    answer.unwrap().into_inner().start_time.into_iter().map(|time| time.seconds).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_never_ticks_is_refused() {
    let world = World::boot().await;
    let file = world.folder.path().join("never.yaml");
    for (schedule, command, message) in [
        ("cron: 0 0 30 2 *", "check", "spec.on[0].schedule.cron: it never comes"),
        ("calendar: {dayOfMonth: 29, month: 2, year: 2027}", "check", "spec.on[0].schedule: it never comes"),
        ("cron: 0 0 * * *, timezone: Mars/Olympus", "check", "has no time zone \"Mars/Olympus\""),
        (
            "calendar: {hour: 9, year: 2025}",
            "apply",
            "never: spec.on[0].schedule: it never comes again; the last time was 2025-12-31T09:00:00Z",
        ),
    ] {
        std::fs::write(&file, definition("never", &[schedule])).unwrap();
        let path = file.to_str().unwrap();
        let args = if command == "apply" { vec!["apply", "--file", path] } else { vec!["check", path] };
        let (code, text) = failure(&world, &args);
        assert!(code == Some(2) && text.contains(message), "{schedule}: {code:?} {text}");
    }
    assert_eq!(world.json(&["get"]), json!([]));
    world.end().await;
}
