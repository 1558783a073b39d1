//! The words of the format: names, types, durations, and what to suggest for one that is unknown.

use std::time::Duration;

use crate::activity::TypePattern;
use crate::event::check_type;
use crate::names::OWN_TYPES;
use crate::words::UNITS;
pub(super) use crate::words::{either, list, span, suggest};

/// The most bytes an event type may have, so that it fits into a NATS subject with room to spare.
const MAX_TYPE_BYTES: usize = 255;
/// Words that CEL keeps for itself, so `tasks.X` would be no expression.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

pub(super) fn activity_name(text: &str) -> Result<String, String> {
    let right = (1..=63).contains(&text.len()) && text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
    let message = || "a name has 1 to 63 characters out of a-z, 0-9 and `-`".to_owned();
    right.then(|| text.to_owned()).ok_or_else(message)
}

pub(super) fn task_id(text: &str) -> Result<String, String> {
    identifier(text, "a task id", "tasks", |c| matches!(c, 'a'..='z' | '0'..='9' | '_'), "a-z, 0-9 and `_`")
}

pub(super) fn context_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    identifier(text, "a context name", "context", allowed, "letters, digits and `_`")
}

pub(super) fn state_name(text: &str) -> Result<String, String> {
    if text == "when" {
        return Err("`when` is the condition of a change in `set`; choose another name".into());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    identifier(text, "a name in `state`", "state", allowed, "letters, digits and `_`")
}

fn identifier(text: &str, what: &str, root: &str, allowed: fn(char) -> bool, words: &str) -> Result<String, String> {
    if text.contains('-') && text.chars().all(|c| c == '-' || allowed(c)) {
        let better = text.replace('-', "_");
        return Err(format!("in an expression `{root}.{}` would be a subtraction; write `{better}`", clip(text)));
    }
    if RESERVED.contains(&text) {
        return Err(format!("`{text}` is a word of the expression language; choose another name"));
    }
    let starts_right = text.starts_with(|c: char| c.is_ascii_alphabetic() && allowed(c));
    if !starts_right || text.len() > 63 || !text.chars().all(allowed) {
        return Err(format!("{what} begins with a letter and has 1 to 63 characters out of {words}"));
    }
    Ok(text.to_owned())
}

pub(super) fn label(name: &str) -> Result<(), String> {
    let right = (1..=63).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-'));
    right.then_some(()).ok_or_else(|| "a label has 1 to 63 letters, digits and `.`, `_`, `/`, `-`".to_owned())
}

/// An event type.
pub(super) fn event_type(text: &str) -> Result<String, String> {
    if text.len() > MAX_TYPE_BYTES {
        return Err(format!("an event type has at most {MAX_TYPE_BYTES} bytes"));
    }
    let message = || {
        "an event type is made of letters, digits, `_` and `-`, in parts joined by dots, e.g. com.shop.order.placed"
            .to_owned()
    };
    check_type(text).map(|()| text.to_owned()).map_err(|_| message())
}

/// An event type that is not one of Spine's own.
pub(super) fn own_event_type(text: &str) -> Result<String, String> {
    if text.starts_with(OWN_TYPES) {
        return Err(format!("types that begin with `{OWN_TYPES}` belong to Spine; choose another prefix"));
    }
    event_type(text)
}

pub(super) fn type_pattern(text: &str) -> Result<TypePattern, String> {
    match text.strip_suffix(".*") {
        Some(prefix) => event_type(prefix).map(|prefix| TypePattern::Prefix(format!("{prefix}."))),
        None if text.contains('*') => Err("`*` may stand only at the end, after a dot: com.shop.*".into()),
        None => event_type(text).map(TypePattern::Exact),
    }
}

/// `500ms`, `10s`, `15m`, `24h`, `7d`, or several from large to small: `1h30m`. Fails with what it should be.
pub fn duration(text: &str) -> Result<Duration, String> {
    let message = || "not a duration; write a number with a unit, as in 500ms, 10s, 15m, 24h, 7d or 1h30m".to_owned();
    let (mut rest, mut millis, mut next_unit) = (text, 0u64, 0);
    while !rest.is_empty() || next_unit == 0 {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(message)?;
        let (digits, after) = rest.split_at(unit_at);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let index =
            UNITS.iter().position(|(name, _)| *name == unit).filter(|index| *index >= next_unit).ok_or_else(message)?;
        let part =
            digits.parse::<u64>().ok().and_then(|count| count.checked_mul(UNITS[index].1)).ok_or_else(message)?;
        millis = millis.checked_add(part).ok_or_else(message)?;
        (rest, next_unit) = (after, index + 1);
    }
    Ok(Duration::from_millis(millis))
}

fn clip(text: &str) -> String {
    text.chars().take(63).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_duration(text: &str, expected: Option<u64>) {
        assert_eq!(duration(text).ok().map(|d| d.as_millis()), expected.map(u128::from), "{text}");
    }

    #[test]
    fn durations() {
        check_duration("500ms", Some(500));
        check_duration("10s", Some(10_000));
        check_duration("1h30m", Some(5_400_000));
        check_duration("7d", Some(604_800_000));
        check_duration("1m500ms", Some(60_500));
        check_duration("0s", Some(0));
        for wrong in [
            "",
            "10",
            "s",
            "1.5s",
            "30m1h",
            "1s1s",
            "-1s",
            "1 s",
            "1w",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            check_duration(wrong, None);
        }
    }

    #[test]
    fn a_shown_duration_is_the_same_duration() {
        for millis in [0, 1, 999, 1000, 90_000, 86_400_000, 123_456_789] {
            let duration_ = Duration::from_millis(millis);
            assert_eq!(duration(&span(duration_)), Ok(duration_));
        }
    }

    #[test]
    fn names() {
        assert_eq!(type_pattern("a.b.*"), Ok(TypePattern::Prefix("a.b.".into())));
        assert_eq!(type_pattern("a.b"), Ok(TypePattern::Exact("a.b".into())));
        for wrong in ["*", ".*", "a*", "a.*.b", "a..b", ".a", "a.", "", "a b", "ä"] {
            assert!(type_pattern(wrong).is_err(), "{wrong}");
        }
        assert!(task_id("my-id").unwrap_err().contains("`my_id`"));
        assert!(task_id("in").is_err() && task_id("_a").is_err() && task_id("A").is_err() && task_id("a_1").is_ok());
    }
}
