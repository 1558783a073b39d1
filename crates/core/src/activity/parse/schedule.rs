//! The `schedule` of a trigger.

use serde_json::Value;

use super::decoder::{Cursor, Decoder, Fields};
use super::{calendar, cron, grammar};
use crate::activity::format::{MISSED, SCHEDULE};
use crate::activity::{Missed, MissedPolicy, Overlap, ScheduleSpec, ScheduleTrigger, Times};
use crate::names::TICKS;

pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>, input: Option<Cursor<'_>>) -> Option<ScheduleTrigger> {
    let value = input.as_ref().map_or(Value::Null, |at| d.constant_value(at));
    let fields = d.map(at, &SCHEDULE)?;
    let spec = spec(d, &fields);
    let timezone = fields.get("timezone").and_then(|at| d.parsed(&at, timezone)).unwrap_or_else(|| "UTC".into());
    let jitter = d.duration(&fields, "jitter").unwrap_or_default();
    let missed = fields.get("missed").and_then(|at| missed(d, &at)).unwrap_or_default();
    if let Some(at) = &input
        && missed.policy == MissedPolicy::Compress
        && !value.is_null()
    {
        stands_beside_ticks(d, at, &value);
    }
    if let Some(at) = fields.get("timezone").filter(|_| fields.has("every")) {
        d.problem_at_key(&at, "belongs to `cron` and `calendar`; an interval is the same in every time zone");
    }
    let overlap = d.word(&fields, "overlap").map(overlap).unwrap_or_default();
    let trigger = ScheduleTrigger { spec: spec?, timezone, jitter, missed, overlap, input: value };
    comes(d, at, &fields, &trigger);
    Some(trigger)
}

/// A schedule that never ticks is a mistake, as is a time zone that is none.
fn comes(d: &mut Decoder, at: &Cursor<'_>, fields: &Fields<'_>, trigger: &ScheduleTrigger) {
    match (Times::of(trigger), fields.get("timezone")) {
        (Ok(times), _) if !times.ever() => {
            d.problem(at, "it never comes: no day of the years 2000 to 2100 has such a time")
        }
        (Err(message), Some(zone)) => d.problem(&zone, message),
        _ => {}
    }
}

/// `compress` adds a key to the input.
fn stands_beside_ticks(d: &mut Decoder, at: &Cursor<'_>, input: &Value) {
    match input.as_object() {
        None => d.problem(at, "must be an object with `compress`, which adds `ticks` to it"),
        Some(keys) if keys.contains_key(TICKS) => d.problem(at, "can't hold `ticks`, which `compress` adds to it"),
        Some(_) => {}
    }
}

fn overlap(word: &str) -> Overlap {
    match word {
        "buffer_one" => Overlap::BufferOne,
        "allow" => Overlap::Allow,
        "cancel_other" => Overlap::CancelOther,
        _ => Overlap::Skip,
    }
}

fn spec(d: &mut Decoder, fields: &Fields<'_>) -> Option<ScheduleSpec> {
    let cron = fields.get("cron").and_then(|at| d.parsed(&at, cron::check)).map(ScheduleSpec::Cron);
    let every = d.duration(fields, "every");
    if let (Some(at), true) = (fields.get("every"), every.is_some_and(|every| every.subsec_nanos() > 0)) {
        d.problem(&at, "must be whole seconds: nothing ticks in between");
    }
    let every = every.map(ScheduleSpec::Every);
    let calendar = fields.get("calendar").and_then(|at| calendar::decode(d, &at)).map(ScheduleSpec::Calendar);
    cron.or(every).or(calendar)
}

fn missed(d: &mut Decoder, at: &Cursor<'_>) -> Option<Missed> {
    let fields = d.map(at, &MISSED)?;
    let within = d.duration(&fields, "within");
    let policy = match d.word(&fields, "policy")? {
        "catch_up" => MissedPolicy::CatchUp,
        "compress" => MissedPolicy::Compress,
        _ => MissedPolicy::Skip,
    };
    match (policy, fields.get("within")) {
        (MissedPolicy::Skip, Some(at)) => {
            d.problem_at_key(&at, "belongs to `catch_up` and `compress`; with `skip` no missed tick runs at all");
        }
        (MissedPolicy::CatchUp | MissedPolicy::Compress, None) => {
            d.problem(at, "`within` is missing: say how late a tick may run, as in `within: 6h`");
        }
        _ => {}
    }
    Some(Missed { policy, within: within.unwrap_or(Missed::PUNCTUAL) })
}

/// The form of an IANA name; whether there is such a zone is looked up later.
fn timezone(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-'))
    };
    let right = text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.split('/').all(part);
    right.then(|| text.to_owned()).ok_or_else(|| {
        format!("a time zone is named as in the IANA database: {}", grammar::list(&["Europe/Vienna", "UTC"]))
    })
}
