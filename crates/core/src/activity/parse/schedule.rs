//! The `schedule` of a trigger.

use serde_json::Value;

use super::decoder::{Cursor, Decoder, Fields};
use super::{calendar, cron, grammar};
use crate::activity::format::{MISSED, SCHEDULE};
use crate::activity::{Missed, MissedPolicy, Overlap, ScheduleSpec, ScheduleTrigger};

pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>, input: Option<Cursor<'_>>) -> Option<ScheduleTrigger> {
    let input = input.map_or(Value::Null, |at| d.constant_value(&at));
    let fields = d.map(at, &SCHEDULE)?;
    let spec = spec(d, &fields);
    let timezone = fields.get("timezone").and_then(|at| d.parsed(&at, timezone)).unwrap_or_else(|| "UTC".into());
    let jitter = d.duration(&fields, "jitter").unwrap_or_default();
    let missed = fields.get("missed").and_then(|at| missed(d, &at));
    if let Some(at) = fields.get("timezone").filter(|_| fields.has("every")) {
        d.problem_at_key(&at, "belongs to `cron` and `calendar`; an interval is the same in every time zone");
    }
    let overlap = d.word(&fields, "overlap").map(overlap).unwrap_or_default();
    Some(ScheduleTrigger { spec: spec?, timezone, jitter, missed, overlap, input })
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
    let every = d.duration(fields, "every").map(ScheduleSpec::Every);
    let calendar = fields.get("calendar").and_then(|at| calendar::decode(d, &at)).map(ScheduleSpec::Calendar);
    cron.or(every).or(calendar)
}

fn missed(d: &mut Decoder, at: &Cursor<'_>) -> Option<Missed> {
    d.not_executed(at, "`missed`");
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
    Some(Missed { policy, within: within.unwrap_or_default() })
}

/// The form of an IANA name; whether there is such a zone, the scheduler knows.
fn timezone(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-'))
    };
    let right = text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.split('/').all(part);
    right.then(|| text.to_owned()).ok_or_else(|| {
        format!("a time zone is named as in the IANA database: {}", grammar::list(&["Europe/Vienna", "UTC"]))
    })
}
