//! A schedule as Temporal takes it, and what of it is different there.

use std::collections::BTreeSet;

use spine_core::activity::{Calendar, Rhythm};
use spine_core::{names, ticks};
use temporalio_common::data_converters::{PayloadConverter, RawValue};
use temporalio_common::protos::temporal::api::common::v1::{Payloads, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::ScheduleOverlapPolicy;
use temporalio_common::protos::temporal::api::schedule::v1::schedule_action::Action;
use temporalio_common::protos::temporal::api::schedule::v1::{
    IntervalSpec, Range, Schedule, ScheduleAction, SchedulePolicies, ScheduleSpec, ScheduleState,
    StructuredCalendarSpec,
};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflow::v1::NewWorkflowExecutionInfo;

use super::wanted::Wanted;

/// All but whether it is paused, and its note.
pub(super) fn without_state(wanted: &Wanted) -> Schedule {
    Schedule { spec: Some(spec(wanted)), action: Some(action(wanted)), policies: Some(policies(wanted)), state: None }
}

/// The same, and that.
pub(super) fn with_state(wanted: &Wanted, paused: bool, notes: String) -> Schedule {
    Schedule { state: Some(ScheduleState { paused, notes, ..Default::default() }), ..without_state(wanted) }
}

fn spec(wanted: &Wanted) -> ScheduleSpec {
    let mut spec = ScheduleSpec::default();
    match wanted.times.rhythm() {
        Rhythm::Every { interval, phase } => spec.interval.push(IntervalSpec {
            interval: seconds(*interval).try_into().ok(),
            phase: seconds(*phase).try_into().ok(),
        }),
        Rhythm::Calendar(calendar) => {
            spec.structured_calendar.push(structured(calendar));
            spec.timezone_name = wanted.trigger.timezone.clone();
        }
    }
    spec.jitter = Some(wanted.trigger.jitter).filter(|jitter| !jitter.is_zero()).and_then(|it| it.try_into().ok());
    spec
}

fn seconds(count: i64) -> std::time::Duration {
    std::time::Duration::from_secs(count.unsigned_abs())
}

fn structured(parts: &Calendar) -> StructuredCalendarSpec {
    let one = |number: &u32| Range { start: number.cast_signed(), end: number.cast_signed(), step: 1 };
    let list = |numbers: &[u32]| numbers.iter().map(one).collect::<Vec<_>>();
    let any = |numbers: &Option<Vec<u32>>, start, end| {
        numbers.as_deref().map_or_else(|| vec![Range { start, end, step: 1 }], list)
    };
    StructuredCalendarSpec {
        second: vec![Range { start: 0, end: 0, step: 1 }],
        minute: list(&parts.minute),
        hour: list(&parts.hour),
        day_of_month: any(&parts.day_of_month, 1, 31),
        month: any(&parts.month, 1, 12),
        day_of_week: any(&parts.day_of_week, 0, 6),
        year: parts.year.as_deref().map(list).unwrap_or_default(),
        comment: String::new(),
    }
}

fn action(wanted: &Wanted) -> ScheduleAction {
    let input = RawValue::from_value(&wanted.input(), &PayloadConverter::default());
    let start = NewWorkflowExecutionInfo {
        workflow_id: names::scheduled_run_prefix(&wanted.activity, wanted.index),
        workflow_type: Some(WorkflowType { name: names::RUN_WORKFLOW.into() }),
        task_queue: Some(TaskQueue { name: names::TASK_QUEUE.into(), ..Default::default() }),
        input: Some(Payloads { payloads: input.payloads }),
        ..Default::default()
    };
    ScheduleAction { action: Some(Action::StartWorkflow(start)) }
}

fn policies(wanted: &Wanted) -> SchedulePolicies {
    SchedulePolicies {
        overlap_policy: overlap(wanted).into(),
        catchup_window: ticks::catch_up_window(wanted.trigger.missed).try_into().ok(),
        ..Default::default()
    }
}

fn overlap(wanted: &Wanted) -> ScheduleOverlapPolicy {
    match ticks::collision(wanted.trigger.missed, wanted.trigger.overlap) {
        ticks::Collision::Drop => ScheduleOverlapPolicy::Skip,
        ticks::Collision::KeepOne => ScheduleOverlapPolicy::BufferOne,
        ticks::Collision::KeepAll => ScheduleOverlapPolicy::BufferAll,
        ticks::Collision::Start => ScheduleOverlapPolicy::AllowAll,
        ticks::Collision::Cancel => ScheduleOverlapPolicy::CancelOther,
    }
}

/// What is not in Temporal as it is wanted, whether it is paused aside.
pub(super) fn differences(wanted: &Wanted, there: &Schedule) -> Vec<&'static str> {
    let (spec, there_spec) = (spec(wanted), there.spec.clone().unwrap_or_default());
    let (policies, there_policies) = (policies(wanted), there.policies.unwrap_or_default());
    let limited = there.state.as_ref().is_some_and(|state| state.limited_actions);
    let all = [
        ("times", times(&spec) != times(&there_spec)),
        ("time zone", zone(&spec) != zone(&there_spec)),
        ("jitter", spec.jitter.unwrap_or_default() != there_spec.jitter.unwrap_or_default()),
        ("overlap", policies.overlap_policy != there_policies.overlap_policy),
        ("catch-up window", policies.catchup_window != there_policies.catchup_window),
        ("limits", limited || there_policies.pause_on_failure || there_policies.keep_original_workflow_id),
        ("action", started(&action(wanted)) != there.action.as_ref().and_then(started)),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}

fn zone(spec: &ScheduleSpec) -> &str {
    if spec.timezone_name.is_empty() { "UTC" } else { &spec.timezone_name }
}

type Part = BTreeSet<i32>;

/// The times of a spec in a form in which equal ones are equal: Temporal writes the same in its own way.
fn times(spec: &ScheduleSpec) -> (BTreeSet<[Part; 7]>, BTreeSet<(i64, i64)>, bool) {
    let calendars = spec.structured_calendar.iter().map(|calendar| {
        [
            numbers(&calendar.second),
            numbers(&calendar.minute),
            numbers(&calendar.hour),
            numbers(&calendar.day_of_month),
            numbers(&calendar.month),
            numbers(&calendar.day_of_week),
            numbers(&calendar.year),
        ]
    });
    let seconds = |interval: &IntervalSpec| {
        let (interval, phase) = (interval.interval.unwrap_or_default(), interval.phase.unwrap_or_default());
        (interval.seconds, phase.seconds)
    };
    let bounded = spec.start_time.is_some() || spec.end_time.is_some() || !spec.exclude_structured_calendar.is_empty();
    (calendars.collect(), spec.interval.iter().map(seconds).collect(), bounded)
}

fn numbers(ranges: &[Range]) -> Part {
    let range = |range: &Range| {
        let step = usize::try_from(range.step).unwrap_or(1).max(1);
        (range.start..=range.end.max(range.start)).step_by(step)
    };
    ranges.iter().flat_map(range).collect()
}

/// What an action starts: type, queue, id, and the data of its input.
fn started(action: &ScheduleAction) -> Option<(String, String, String, Vec<Vec<u8>>)> {
    let Some(Action::StartWorkflow(start)) = action.action.clone() else { return None };
    let input = start.input.unwrap_or_default().payloads.into_iter().map(|payload| payload.data).collect();
    Some((
        start.workflow_type.unwrap_or_default().name,
        start.task_queue.unwrap_or_default().name,
        start.workflow_id,
        input,
    ))
}
