//! The `calendar` of a schedule: times by their parts.

use super::cron;
use super::decoder::{Cursor, Decoder, Fields};
use crate::activity::Calendar;
use crate::activity::format::CALENDAR;
use crate::document::NodeValue;

pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>) -> Option<Calendar> {
    let fields = d.map(at, &CALENDAR)?;
    if at.node.entries().is_empty() {
        d.problem(at, "a calendar needs at least one part, as in {hour: 9}");
    }
    let mut field = |name, field: &cron::Field| part(d, &fields, name, field);
    Some(Calendar {
        minute: field("minute", &cron::MINUTE).unwrap_or_else(|| vec![0]),
        hour: field("hour", &cron::HOUR).unwrap_or_else(|| vec![0]),
        day_of_month: field("dayOfMonth", &cron::DAY_OF_MONTH),
        month: field("month", &cron::MONTH),
        day_of_week: field("dayOfWeek", &cron::DAY_OF_WEEK).map(|days| days.into_iter().map(|day| day % 7).collect()),
        year: field("year", &cron::YEAR),
    })
}

/// A part's numbers; `None` if it is not there, or wrong.
fn part(d: &mut Decoder, fields: &Fields<'_>, name: &str, field: &cron::Field) -> Option<Vec<u32>> {
    let at = fields.get(name)?;
    let text = match &at.node.value {
        NodeValue::Number(number) => number.to_string(),
        NodeValue::String(text) => text.clone(),
        _ => return d.wrong_type(&at, "must be a number, or a text as in cron"),
    };
    field.values(&text).map_err(|message| d.problem(&at, message)).ok()
}
