//! Cron expressions: five fields, as in crontab(5).

use crate::activity::Calendar;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const DAYS_OF_MONTH: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// One field: which numbers it may hold.
pub(super) struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Words that stand for numbers, the first one for `least`.
    words: &'static [&'static str],
}

pub(super) const MINUTE: Field = Field { name: "minute", least: 0, most: 59, words: &[] };
pub(super) const HOUR: Field = Field { name: "hour", least: 0, most: 23, words: &[] };
pub(super) const DAY_OF_MONTH: Field = Field { name: "day of month", least: 1, most: 31, words: &[] };
pub(super) const MONTH: Field = Field { name: "month", least: 1, most: 12, words: &MONTHS };
pub(super) const DAY_OF_WEEK: Field = Field { name: "day of week", least: 0, most: 7, words: &DAYS };
pub(super) const YEAR: Field = Field { name: "year", least: 2000, most: 2100, words: &[] };

const FIELDS: [Field; 5] = [MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK];

/// Checks an expression. Fails with what is wrong in which field.
pub(super) fn check(text: &str) -> Result<String, String> {
    if text.starts_with('@') {
        return Err(
            "`@` words are not supported; write five fields: minute, hour, day of month, month, day of week".into()
        );
    }
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        let message = "a cron expression has five fields: minute, hour, day of month, month, day of week";
        return Err(format!("{message}; this has {}", parts.len()));
    }
    let mut values = Vec::new();
    for (field, part) in FIELDS.iter().zip(&parts) {
        values.push(field.values(part).map_err(|message| format!("{}: {message}", field.name))?);
    }
    if !parts[2].starts_with('*') && !parts[4].starts_with('*') {
        let message = "day of month and day of week can't both be given, since programs disagree on whether one or both must hold";
        return Err(format!("{message}; write two schedule triggers"));
    }
    if !ever_comes(&values[2], &values[3]) {
        return Err("it never comes: none of these months has such a day".into());
    }
    Ok(parts.join(" "))
}

/// The times that an expression stands for, if it is a right one.
pub(in crate::activity) fn calendar(text: &str) -> Result<Calendar, String> {
    let text = check(text)?;
    let parts: Vec<&str> = text.split(' ').collect();
    let values = |at: usize| FIELDS[at].values(parts[at]);
    let any = |at: usize| if parts[at] == "*" { Ok(None) } else { values(at).map(Some) };
    let (minute, hour, day_of_month, month) = (values(0)?, values(1)?, any(2)?, any(3)?);
    let day_of_week = any(4)?.map(|days| days.into_iter().map(|day| day % 7).collect());
    Ok(Calendar { minute, hour, day_of_month, month, day_of_week, year: None })
}

/// Whether one of these months has one of these days.
fn ever_comes(days: &[u32], months: &[u32]) -> bool {
    months.iter().any(|month| days.iter().any(|day| *day <= DAYS_OF_MONTH[*month as usize - 1]))
}

impl Field {
    /// All numbers that a field's text stands for.
    pub(super) fn values(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut values = Vec::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (part, None),
            };
            let (from, to) = self.range(range, step)?;
            let step = step.map_or(Ok(1), |step| self.step(step))?;
            values.extend((from..=to).step_by(step));
        }
        Ok(values)
    }

    fn range(&self, text: &str, step: Option<&str>) -> Result<(u32, u32), String> {
        if text == "*" {
            return Ok((self.least, self.most));
        }
        let Some((from, to)) = text.split_once('-') else {
            let value = self.value(text)?;
            return match step {
                None => Ok((value, value)),
                Some(step) => Err(format!("a step needs a range: {text}-{}/{step}", self.most)),
            };
        };
        match (self.value(from)?, self.value(to)?) {
            (from, to) if from <= to => Ok((from, to)),
            _ => Err(format!("the range `{text}` runs backwards")),
        }
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let number = text.parse().ok().filter(|_| text.chars().all(|c| c.is_ascii_digit()));
        let word =
            self.words.iter().position(|word| word.eq_ignore_ascii_case(text)).and_then(|at| u32::try_from(at).ok());
        let value = number.or(word.map(|at| at + self.least));
        let message = || format!("`{text}` is not a value from {} to {}", self.least, self.most);
        value.filter(|value| (self.least..=self.most).contains(value)).ok_or_else(message)
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        let step = text.parse().ok().filter(|step| (1..=self.most as usize).contains(step));
        step.ok_or_else(|| format!("`{text}` is not a step from 1 to {}", self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(text: &str, part: &str) {
        let error = check(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }

    #[test]
    fn what_is_right() {
        for text in
            ["* * * * *", "*/15 * * * *", "0 9-17/2 * * MON-FRI", "5,10,20-30 0 1 jan,JUL *", "0 0 29 2 *", "0 0 * * 7"]
        {
            assert_eq!(check(text).as_deref(), Ok(text));
        }
        assert_eq!(check(" 0  0 * * * ").as_deref(), Ok("0 0 * * *"));
    }

    #[test]
    fn what_is_wrong() {
        check_error("@daily", "five fields");
        check_error("* * * *", "this has 4");
        check_error("60 * * * *", "minute: `60` is not a value from 0 to 59");
        check_error("* 5-2 * * *", "runs backwards");
        check_error("*/0 * * * *", "step from 1");
        check_error("5/15 * * * *", "5-59/15");
        check_error("* * * foo *", "month: `foo`");
        check_error("* * ? * *", "`?`");
        check_error(", * * * *", "minute: ``");
        check_error("0 0 30 feb *", "never");
        check_error("0 0 1 * mon", "two schedule triggers");
    }
}
