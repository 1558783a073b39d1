use serde_json::Value;

use super::*;
use crate::activity::ScheduleSpec;

/// A schedule of every ten seconds.
fn schedule(policy: MissedPolicy, within: u64, overlap: Overlap) -> ScheduleTrigger {
    ScheduleTrigger {
        spec: ScheduleSpec::Every(Duration::from_secs(10)),
        timezone: "UTC".into(),
        jitter: Duration::ZERO,
        missed: Missed { policy, within: Duration::from_secs(within) },
        overlap,
        input: Value::Null,
    }
}

fn settled(schedule: &ScheduleTrigger, last: Option<i64>, at: i64, now: i64, spans: &[Span]) -> Settled {
    let times = Times::of(schedule).unwrap();
    settle(&Arrival { schedule, at, now, asked_by: None, last, spans }, &times)
}

/// The verdict, then each other as `from-to: reason`, in short.
fn summary(settled: &Settled) -> Vec<String> {
    let verdict = match &settled.verdict {
        Verdict::Run { ticks: None } => "run".to_owned(),
        Verdict::Run { ticks: Some(Window { from, to, count }) } => format!("run {from}-{to} x{count}"),
        Verdict::Skip { reason } => format!("skip {reason}"),
    };
    let other = |other: &Other| {
        let Window { from, to, count } = other.ticks;
        format!(
            "{from}-{to} x{count}: {}",
            other.skipped.as_deref().map_or("compressed", |text| &text[..14.min(text.len())])
        )
    };
    std::iter::once(verdict).chain(settled.others.iter().map(other)).collect()
}

fn run(from: i64, to: Option<i64>, tick: i64) -> Span {
    Span { from, to, what: Reason::Run { id: format!("run/{tick}"), tick } }
}

#[test]
fn in_time() {
    let skip = schedule(MissedPolicy::Skip, 60, Overlap::Skip);
    assert_eq!(summary(&settled(&skip, None, 100, 101, &[])), ["run"]);
    assert_eq!(summary(&settled(&skip, Some(90), 100, 160, &[])), ["run"]);
    assert_eq!(summary(&settled(&skip, Some(90), 100, 161, &[])), ["skip missed: 1m1s late, and 1m is allowed"]);
    let jittered = ScheduleTrigger { jitter: Duration::from_secs(5), ..skip };
    assert_eq!(summary(&settled(&jittered, Some(90), 100, 165, &[])), ["run"]);
}

#[test]
fn ticks_that_never_arrived() {
    let skip = schedule(MissedPolicy::Skip, 60, Overlap::Skip);
    let spans = [
        run(60, Some(81), 60),
        Span { from: 85, to: Some(91), what: Reason::Paused { why: "by me".into() } },
        Span { from: 100, to: Some(101), what: Reason::Disabled },
    ];
    assert_eq!(
        summary(&settled(&skip, Some(60), 120, 120, &spans)),
        [
            "run",
            "70-70 x1: overlap: run/6",
            "80-80 x1: overlap: run/6",
            "90-90 x1: the schedule w",
            "100-100 x1: the activity w",
            "110-110 x1: missed: Tempor",
        ]
    );
}

#[test]
fn a_long_gap_has_few_records() {
    let skip = schedule(MissedPolicy::Skip, 60, Overlap::Skip);
    let far = settled(&skip, Some(0), 20_000, 20_000, &[]);
    assert_eq!(far.others.len(), MAX_RECORDS + 1);
    assert_eq!(far.others[0].ticks, Window { from: 10, to: 18_990, count: 1899 });
    assert_eq!(far.others[100].ticks, Window { from: 19_990, to: 19_990, count: 1 });
}

#[test]
fn compressed() {
    let compress = schedule(MissedPolicy::Compress, 100, Overlap::Skip);
    assert_eq!(summary(&settled(&compress, Some(90), 100, 101, &[])), ["run 100-100 x1"]);
    // Late: what is due by now comes with it.
    assert_eq!(
        summary(&settled(&compress, Some(90), 100, 125, &[])),
        ["run 100-120 x3", "110-110 x1: compressed", "120-120 x1: compressed",]
    );
    // In time, after a gap: what Temporal dropped comes with it, unless it is too old or was not to run.
    let paused = [Span { from: 980, to: Some(981), what: Reason::Paused { why: String::new() } }];
    assert_eq!(
        summary(&settled(&compress, Some(880), 1000, 1001, &paused)),
        [
            "run 910-1000 x9",
            "890-890 x1: missed: Tempor",
            "900-900 x1: missed: Tempor",
            "980-980 x1: the schedule w",
            "910-910 x1: compressed",
            "920-920 x1: compressed",
            "930-930 x1: compressed",
            "940-940 x1: compressed",
            "950-950 x1: compressed",
            "960-960 x1: compressed",
            "970-970 x1: compressed",
            "990-990 x1: compressed",
        ]
    );
    // No hole where runs overlapped.
    assert_eq!(
        summary(&settled(&compress, Some(90), 120, 121, &[run(90, Some(119), 90)])),
        ["run 100-120 x3", "100-100 x1: compressed", "110-110 x1: compressed",]
    );
    assert_eq!(summary(&settled(&compress, None, 100, 201, &[])), ["skip missed: 1m41s late, and 1m40s is allowed"]);
}

#[test]
fn caught_up_unless_it_really_overlapped() {
    let skip = schedule(MissedPolicy::CatchUp, 3600, Overlap::Skip);
    // The workers were away at 70: its run began later, so it is no overlap for 80.
    assert_eq!(summary(&settled(&skip, Some(70), 80, 500, &[run(400, Some(480), 70)])), ["run"]);
    assert_eq!(
        summary(&settled(&skip, Some(70), 80, 500, &[run(70, Some(480), 70)])),
        ["skip overlap: run/70 was going on"]
    );
    let one = schedule(MissedPolicy::CatchUp, 3600, Overlap::BufferOne);
    let long = run(70, Some(95), 70);
    assert_eq!(summary(&settled(&one, Some(70), 80, 96, std::slice::from_ref(&long))), ["run"]);
    assert_eq!(
        summary(&settled(&one, Some(80), 90, 97, &[long, run(96, Some(97), 80)])),
        ["skip overlap: run/70 was going on, and run/80 was waiting"]
    );
}

#[test]
fn what_was_asked_for_runs() {
    let skip = schedule(MissedPolicy::Skip, 60, Overlap::Skip);
    let times = Times::of(&skip).unwrap();
    let arrival = Arrival { schedule: &skip, at: 10, now: 9999, asked_by: Some("me"), last: Some(0), spans: &[] };
    assert_eq!(settle(&arrival, &times), Settled { verdict: Verdict::Run { ticks: None }, others: Vec::new() });
}

#[test]
fn what_temporal_is_told() {
    let missed = |policy, within| Missed { policy, within: Duration::from_secs(within) };
    assert_eq!(catch_up_window(Missed::default()), Duration::from_secs(60));
    assert_eq!(catch_up_window(missed(MissedPolicy::CatchUp, 1)), Duration::from_secs(10));
    assert_eq!(collision(Missed::default(), Overlap::Skip), Collision::Drop);
    assert_eq!(collision(missed(MissedPolicy::CatchUp, 60), Overlap::Skip), Collision::KeepAll);
    assert_eq!(collision(missed(MissedPolicy::CatchUp, 60), Overlap::CancelOther), Collision::Cancel);
}
