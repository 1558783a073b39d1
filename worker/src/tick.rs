//! A tick of a schedule: what becomes of it, and the run that it opens.
//!
//! Invariant: every tick that arrives is recorded, and so is each one before it that never did.

use serde_json::{Value, json};
use spine_core::activity::{ScheduleTrigger, Times, Trigger as Definition};
use spine_core::event::{Data, Event};
use spine_core::names;
use spine_core::run::Failure;
use spine_core::ticks::{self, Arrival, Other, Settled, Verdict, Window};
use spine_runtime::metrics::labels;
use spine_store::{
    KnownTicks, NewRun, NewTick, Opened, RunRow, SettledTick, StoreError, Tick, TickOutcome, Trigger, rfc3339,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::definitions::NotCurrent;
use crate::engine::Engine;
use crate::protocol::Next;

/// What a tick ticks for: of the revision that is current now.
struct Current {
    revision: u32,
    schedule: ScheduleTrigger,
    times: Times,
}

/// Opens the run of the tick that workflow `id` stands for, or says how it ends before it began.
pub(crate) async fn open(
    engine: &Engine,
    id: &str,
    execution: &str,
    activity: &str,
    trigger: usize,
) -> Result<Result<RunRow, Next>, StoreError> {
    let time = names::scheduled_time_of(id).and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
    let Some(at) = time else {
        let failure = Failure::new("InvalidInput", format!("{id} is no workflow id of a tick: it has no time"));
        return Ok(Err(Next::Failed { failure }));
    };
    let (current, rule) = match current(engine, activity, trigger).await? {
        Err(failure) => return Ok(Err(Next::Failed { failure })),
        Ok(Ok(current)) => {
            let rule = current.schedule.rule();
            (Ok(current), rule)
        }
        Ok(Err(reason)) => (Err(reason), String::new()),
    };
    let tick = Tick { activity: activity.to_owned(), trigger, at, execution: execution.to_owned(), rule };
    let mut written = Vec::new();
    let decide = |known: &KnownTicks| {
        let (records, run) = match &current {
            Ok(current) => settle(&tick, id, current, known),
            Err(reason) => (vec![skipped(at, reason)], None),
        };
        written.clone_from(&records);
        (records, run)
    };
    let settled = engine.store.settle_tick(&tick, decide).await?;
    count(engine, &written);
    match settled {
        SettledTick::Ends { reason } => {
            tracing::info!(run = id, reason, "tick skipped");
            Ok(Err(Next::Skipped { reason }))
        }
        SettledTick::Run(Opened::Duplicate { of }) => {
            engine.metrics.worker.runs.inc(labels::Run::Duplicate);
            Ok(Err(Next::Duplicate { of }))
        }
        SettledTick::Run(_) => {
            engine.store.load_run(id).await?.map(Ok).ok_or_else(|| StoreError::UnknownRun(id.to_owned()))
        }
    }
}

/// The schedule as it is now; a reason if there is none that may run; a failure if it can't be read.
async fn current(
    engine: &Engine,
    activity: &str,
    trigger: usize,
) -> Result<Result<Result<Current, String>, Failure>, StoreError> {
    let (revision, definition) = match engine.definitions.current(&engine.store, activity).await? {
        Ok(current) => current,
        Err(NotCurrent::Unknown) => return Ok(Ok(Err(format!("activity {activity} no longer exists")))),
        Err(NotCurrent::Disabled) => return Ok(Ok(Err(format!("activity {activity} is disabled")))),
        Err(NotCurrent::Unusable(failure)) => return Ok(Err(failure)),
    };
    let Some(Definition::Schedule(schedule)) = definition.triggers.get(trigger) else {
        return Ok(Ok(Err(format!("revision {revision} of activity {activity} has no such schedule"))));
    };
    match Times::of(schedule) {
        Ok(times) => Ok(Ok(Ok(Current { revision, schedule: schedule.clone(), times }))),
        Err(message) => Ok(Err(Failure::new("InvalidSchedule", message))),
    }
}

/// The records to write, that of the tick itself first, and the run to open.
fn settle(tick: &Tick, id: &str, current: &Current, known: &KnownTicks) -> (Vec<NewTick>, Option<NewRun>) {
    let arrival = Arrival {
        schedule: &current.schedule,
        at: tick.at.unix_timestamp(),
        now: OffsetDateTime::now_utc().unix_timestamp(),
        asked_by: known.asked_by.as_deref(),
        last: known.last.map(OffsetDateTime::unix_timestamp),
        spans: &known.spans,
    };
    let Settled { verdict, others } = ticks::settle(&arrival, &current.times);
    let (own, run) = match verdict {
        Verdict::Skip { reason } => (skipped(tick.at, &reason), None),
        Verdict::Run { ticks } => {
            let reason = known.asked_by.as_ref().map(|who| format!("asked for by {who}"));
            (record(tick.at, TickOutcome::Ran, reason, Some(id)), Some(run(tick, id, current, ticks)))
        }
    };
    let others = others.into_iter().map(|Other { ticks, skipped }| {
        let (outcome, run) = match skipped {
            Some(_) => (TickOutcome::Skipped, None),
            None => (TickOutcome::Compressed, Some(id)),
        };
        NewTick {
            until: (ticks.count > 1).then(|| at(ticks.to)),
            count: u32::try_from(ticks.count).unwrap_or(u32::MAX),
            ..record(at(ticks.from), outcome, skipped, run)
        }
    });
    (std::iter::once(own).chain(others).collect(), run)
}

fn run(tick: &Tick, id: &str, current: &Current, ticks: Option<Window>) -> NewRun {
    let time = rfc3339(tick.at);
    let mut event = Event::new(names::TICK_TYPE, names::tick_source(&tick.activity, tick.trigger), &time);
    event.time = Some(time);
    event.datacontenttype = Some("application/json".into());
    event.data = Data::Json(data(&current.schedule.input, ticks));
    NewRun {
        id: id.to_owned(),
        temporal_run_id: Some(tick.execution.clone()),
        activity: tick.activity.clone(),
        revision: current.revision,
        trigger: Trigger::Schedule,
        event,
        replay: 0,
        key: None,
        sequence: None,
    }
}

/// The schedule's input, and with `compress` the ticks that the run stands for.
fn data(input: &Value, ticks: Option<Window>) -> Value {
    let Some(Window { from, to, count }) = ticks else { return input.clone() };
    let mut data = input.as_object().cloned().unwrap_or_default();
    let ticks = json!({"from": rfc3339(at(from)), "to": rfc3339(at(to)), "count": count});
    data.insert(names::TICKS.into(), ticks);
    Value::Object(data)
}

fn skipped(at: OffsetDateTime, reason: &str) -> NewTick {
    record(at, TickOutcome::Skipped, Some(reason.to_owned()), None)
}

fn record(at: OffsetDateTime, outcome: TickOutcome, reason: Option<String>, run: Option<&str>) -> NewTick {
    NewTick { at, until: None, count: 1, outcome, reason, run: run.map(str::to_owned) }
}

fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn count(engine: &Engine, records: &[NewTick]) {
    for record in records {
        let outcome = match record.outcome {
            TickOutcome::Ran => labels::Tick::Ran,
            TickOutcome::Skipped => labels::Tick::Skipped,
            TickOutcome::Compressed => labels::Tick::Compressed,
        };
        engine.metrics.worker.ticks.add(outcome, record.count.into());
    }
}
