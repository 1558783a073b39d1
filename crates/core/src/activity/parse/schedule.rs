//! The `schedule` of a trigger.

use std::time::Duration;

use serde_json::Value;

use super::cron;
use super::decoder::{Cursor, Decoder, Fields, Keys};
use crate::activity::{Overlap, ScheduleSpec, ScheduleTrigger};

const SCHEDULE: Keys = Keys::new(&["cron", "every", "timezone", "jitter", "overlap"]).later(&["calendar", "missed"]);
const DAY: Duration = Duration::from_secs(86_400);

const OVERLAPS: [(&str, Overlap); 4] = [
    ("skip", Overlap::Skip),
    ("buffer_one", Overlap::BufferOne),
    ("allow", Overlap::Allow),
    ("cancel_other", Overlap::CancelOther),
];

pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>, input: Option<Cursor<'_>>) -> Option<ScheduleTrigger> {
    let input = input.map_or(Value::Null, |at| d.constant_value(&at));
    let fields = d.map(at, "a schedule", &SCHEDULE)?;
    let spec = spec(d, &fields);
    let timezone = fields.get("timezone").and_then(|at| d.parsed(&at, timezone)).unwrap_or_else(|| "UTC".into());
    let jitter = fields.get("jitter").and_then(|at| d.duration(&at, Duration::ZERO..=DAY)).unwrap_or_default();
    let overlap = fields.get("overlap").and_then(|at| d.choice(&at, &OVERLAPS)).unwrap_or_default();
    if let (Some(ScheduleSpec::Every(_)), Some(at)) = (&spec, fields.get("timezone")) {
        d.problem_at_key(&at, "belongs to `cron`; an interval is the same in every time zone");
    }
    Some(ScheduleTrigger { spec: spec?, timezone, jitter, overlap, input })
}

fn spec(d: &mut Decoder, fields: &Fields<'_>) -> Option<ScheduleSpec> {
    match (fields.get("cron"), fields.get("every")) {
        (Some(at), None) => d.parsed(&at, cron::check).map(ScheduleSpec::Cron),
        (None, Some(at)) => d.duration(&at, Duration::from_secs(1)..=365 * DAY).map(ScheduleSpec::Every),
        (Some(_), Some(_)) => {
            d.problem(&fields.at, "a schedule has `cron` or `every`, not both; write two triggers");
            None
        }
        (None, None) if fields.has("calendar") => None,
        (None, None) => {
            d.problem(&fields.at, "a schedule needs `cron` or `every`");
            None
        }
    }
}

/// The form of an IANA name; whether there is such a zone, the scheduler knows.
fn timezone(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-'))
    };
    let right = text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.split('/').all(part);
    right
        .then(|| text.to_owned())
        .ok_or_else(|| "a time zone is named as in the IANA database: Europe/Vienna, UTC".into())
}
