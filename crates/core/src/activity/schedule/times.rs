//! When a schedule ticks, in whole Unix seconds.
//!
//! Invariant: these are the times that Temporal ticks at, before jitter. A local time that does not come, because
//! clocks go forward, is no tick. One that comes twice, because they go back, ticks the second time; west of
//! Greenwich Temporal ticks the first time as well.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::{Calendar, ScheduleSpec, ScheduleTrigger};
use crate::activity::parse::cron;

/// The first second of the year 2000 and the last of 2100: what a calendar's `year` can name.
const FIRST: i64 = 946_684_800;
const LAST: i64 = 4_133_980_799;

/// The times of one schedule.
#[derive(Clone, Debug)]
pub struct Times {
    rhythm: Rhythm,
    zone: TimeZone,
}

/// What a schedule's times follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// Every `interval` seconds since the Unix epoch, `phase` later.
    Every {
        /// At least one.
        interval: i64,
        /// Less than `interval`.
        phase: i64,
    },
    /// Local times by their parts.
    Calendar(Calendar),
}

impl Times {
    /// The times of this schedule. Fails if its time zone or cron expression is none.
    pub fn of(trigger: &ScheduleTrigger) -> Result<Self, String> {
        let zone = zone(&trigger.timezone)?;
        let rhythm = match &trigger.spec {
            ScheduleSpec::Every(every) => {
                Rhythm::Every { interval: i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1), phase: 0 }
            }
            ScheduleSpec::Cron(text) => steady(cron::calendar(text)?, &zone),
            ScheduleSpec::Calendar(calendar) => steady(calendar.clone(), &zone),
        };
        Ok(Self { rhythm, zone })
    }

    /// What they follow from. A calendar that comes to the same as an interval is one: Temporal loses ticks of
    /// calendars when clocks go back, and none of intervals.
    pub fn rhythm(&self) -> &Rhythm {
        &self.rhythm
    }

    /// All ticks after `after`, up to and including `upto`, in order.
    pub fn between(&self, after: i64, upto: i64) -> Box<dyn Iterator<Item = i64> + '_> {
        match &self.rhythm {
            Rhythm::Every { interval, phase } => {
                let first = (after - phase).div_euclid(*interval).saturating_add(1).saturating_mul(*interval) + phase;
                let next = move |at: &i64| at.checked_add(*interval);
                Box::new(std::iter::successors(Some(first), next).take_while(move |at| *at <= upto))
            }
            Rhythm::Calendar(calendar) => {
                let (after, upto) = (after.max(FIRST), upto.min(LAST));
                // A day more at both ends: a local date may begin before the day of `after` ends elsewhere.
                let (Some(first), Some(last)) = (self.date(after - 86_400), self.date(upto + 86_400)) else {
                    return Box::new(std::iter::empty());
                };
                let days = std::iter::successors(Some(first), |day| day.tomorrow().ok());
                let days = days.take_while(move |day| *day <= last).filter(|day| calendar.has(*day));
                let ticks = days.flat_map(|day| self.ticks_of(calendar, day));
                Box::new(ticks.filter(move |at| *at > after && *at <= upto))
            }
        }
    }

    /// The first tick after `after`, if there is one before the year 2101.
    pub fn next_after(&self, after: i64) -> Option<i64> {
        self.between(after, LAST).next()
    }

    /// The last tick at or before `upto`, if there is one since the year 2000.
    pub fn last_before(&self, upto: i64) -> Option<i64> {
        [86_400, 32 * 86_400, 400 * 86_400]
            .iter()
            .find_map(|back| self.between(upto - back, upto).last())
            .or_else(|| self.between(FIRST - 1, upto).last())
    }

    /// Whether it ticks at all.
    pub fn ever(&self) -> bool {
        self.next_after(FIRST - 1).is_some()
    }

    fn date(&self, at: i64) -> Option<Date> {
        Some(self.zone.to_datetime(Timestamp::from_second(at).ok()?).date())
    }

    fn ticks_of(&self, calendar: &Calendar, day: Date) -> Vec<i64> {
        let parts = calendar.hour.iter().flat_map(|hour| calendar.minute.iter().map(move |minute| (*hour, *minute)));
        let mut ticks: Vec<i64> = parts.filter_map(|(hour, minute)| self.tick(day, hour, minute)).collect();
        ticks.sort_unstable();
        ticks.dedup();
        ticks
    }

    fn tick(&self, day: Date, hour: u32, minute: u32) -> Option<i64> {
        let local = day.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
        let offset = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { .. } => return None,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        Some(offset.to_timestamp(local).ok()?.as_second())
    }
}

impl Calendar {
    fn has(&self, day: Date) -> bool {
        let fits = |part: &Option<Vec<u32>>, value: i64| {
            part.as_ref().is_none_or(|part| part.iter().any(|number| i64::from(*number) == value))
        };
        fits(&self.year, day.year().into())
            && fits(&self.month, day.month().into())
            && fits(&self.day_of_month, day.day().into())
            && fits(&self.day_of_week, day.weekday().to_sunday_zero_offset().into())
    }
}

/// The zone with exactly this name: Temporal does not know others, not even in another case.
fn zone(name: &str) -> Result<TimeZone, String> {
    let unknown = || format!("the IANA database has no time zone {name:?}");
    let zone = TimeZone::get(name).map_err(|_| unknown())?;
    if zone.iana_name() == Some(name) { Ok(zone) } else { Err(unknown()) }
}

/// An interval, if that is what the calendar comes to: minutes in even steps through every hour of every day, in
/// a zone whose offsets are whole numbers of such steps.
fn steady(calendar: Calendar, zone: &TimeZone) -> Rhythm {
    match step(&calendar).filter(|step| keeps_step(zone, *step)) {
        Some(step) => Rhythm::Every { interval: step, phase: i64::from(calendar.minute[0]) * 60 },
        None => Rhythm::Calendar(calendar),
    }
}

fn step(calendar: &Calendar) -> Option<i64> {
    let any = [&calendar.day_of_month, &calendar.month, &calendar.day_of_week, &calendar.year];
    let count = u32::try_from(calendar.minute.len()).ok().filter(|count| *count > 0 && 60 % count == 0)?;
    let minutes = 60 / count;
    let even = calendar.minute.iter().zip((calendar.minute[0]..).step_by(minutes as usize)).all(|(a, b)| *a == b);
    let steady = even && calendar.hour.len() == 24 && any.iter().all(|part| part.is_none());
    (steady && calendar.minute[0] < minutes).then_some(i64::from(minutes) * 60)
}

fn keeps_step(zone: &TimeZone, step: i64) -> bool {
    let Ok(first) = Timestamp::from_second(FIRST) else { return false };
    let later = zone.following(first).take_while(|change| change.timestamp().as_second() <= LAST);
    let mut offsets = std::iter::once(zone.to_offset(first)).chain(later.map(|change| change.offset()));
    offsets.all(|offset| i64::from(offset.seconds()) % step == 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::activity::{Missed, Overlap};

    fn times(spec: ScheduleSpec, timezone: &str) -> Times {
        let trigger = ScheduleTrigger {
            spec,
            timezone: timezone.into(),
            jitter: Duration::ZERO,
            missed: Missed::default(),
            overlap: Overlap::default(),
            input: Value::Null,
        };
        Times::of(&trigger).unwrap()
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    fn check(cron: &str, zone: &str, after: &str, upto: &str, expected: &[&str]) {
        let times = times(ScheduleSpec::Cron(cron.into()), zone);
        let found: Vec<String> = times
            .between(at(after), at(upto))
            .map(|second| Timestamp::from_second(second).unwrap().to_string())
            .collect();
        assert_eq!(found, expected, "{cron} {zone}");
    }

    #[test]
    fn ticks() {
        check(
            "0 9 * * *",
            "UTC",
            "2026-01-01T09:00:00Z",
            "2026-01-03T09:00:00Z",
            &["2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z"],
        );
        check(
            "0 0 29 2 *",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2033-01-01T00:00:00Z",
            &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
        );
        check(
            "30 8,20 * * 7",
            "UTC",
            "2026-11-23T00:00:00Z",
            "2026-11-30T00:00:00Z",
            &["2026-11-29T08:30:00Z", "2026-11-29T20:30:00Z"],
        );
        check(
            "*/20 * * * *",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00Z",
            &["2026-01-01T00:20:00Z", "2026-01-01T00:40:00Z", "2026-01-01T01:00:00Z"],
        );
    }

    #[test]
    fn clocks_that_go_forward_and_back() {
        check(
            "30 2 * * *",
            "Europe/Vienna",
            "2027-03-26T12:00:00Z",
            "2027-03-30T00:00:00Z",
            &["2027-03-27T01:30:00Z", "2027-03-29T00:30:00Z"],
        );
        check(
            "30 2 * * *",
            "Europe/Vienna",
            "2027-10-29T12:00:00Z",
            "2027-11-01T12:00:00Z",
            &["2027-10-30T00:30:00Z", "2027-10-31T01:30:00Z", "2027-11-01T01:30:00Z"],
        );
        // Half past every hour, whatever the clocks do: no tick is lost, none comes twice.
        check(
            "30 * * * *",
            "Europe/Vienna",
            "2027-10-30T23:00:00Z",
            "2027-10-31T03:00:00Z",
            &["2027-10-30T23:30:00Z", "2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z", "2027-10-31T02:30:00Z"],
        );
        check(
            "0 9 * * *",
            "Pacific/Auckland",
            "2026-01-01T00:00:00Z",
            "2026-01-02T00:00:00Z",
            &["2026-01-01T20:00:00Z"],
        );
    }

    #[test]
    fn what_is_an_interval_in_truth() {
        let rhythm = |cron: &str, zone| times(ScheduleSpec::Cron(cron.into()), zone).rhythm().clone();
        assert_eq!(rhythm("*/15 * * * *", "Europe/Vienna"), Rhythm::Every { interval: 900, phase: 0 });
        assert_eq!(rhythm("7 * * * *", "Europe/Vienna"), Rhythm::Every { interval: 3600, phase: 420 });
        for (cron, zone) in [
            ("7 * * * *", "Asia/Kolkata"),
            ("*/25 * * * *", "UTC"),
            ("5,10 * * * *", "UTC"),
            ("*/15 0-22 * * *", "UTC"),
            ("0 * 1 * *", "UTC"),
        ] {
            assert!(matches!(rhythm(cron, zone), Rhythm::Calendar(_)), "{cron} {zone}");
        }
    }

    #[test]
    fn intervals_count_from_the_epoch() {
        let times = times(ScheduleSpec::Every(Duration::from_secs(90)), "UTC");
        assert_eq!(times.between(89, 270).collect::<Vec<_>>(), [90, 180, 270]);
        assert_eq!(times.between(90, 179).count(), 0);
        assert_eq!((times.next_after(90), times.last_before(179)), (Some(180), Some(90)));
    }

    #[test]
    fn what_never_comes() {
        let calendar = |month, day, year, hour| {
            let some = |number| Some(vec![number]);
            let calendar = Calendar {
                minute: vec![30],
                hour: vec![hour],
                day_of_month: some(day),
                month: some(month),
                day_of_week: None,
                year: some(year),
            };
            times(ScheduleSpec::Calendar(calendar), "Europe/Vienna").ever()
        };
        assert!(calendar(2, 29, 2028, 2));
        assert!(!calendar(2, 29, 2027, 2));
        // Vienna has no half past two that night.
        assert!(!calendar(3, 28, 2027, 2));
        assert!(calendar(3, 28, 2027, 3));
    }

    #[test]
    fn zones_by_their_exact_name() {
        assert!(zone("Europe/Vienna").is_ok() && zone("UTC").is_ok());
        for wrong in ["europe/vienna", "Europe/Wien", "Mars"] {
            assert!(zone(wrong).unwrap_err().contains(wrong));
        }
    }
}
