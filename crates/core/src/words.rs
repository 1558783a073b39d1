//! How messages name words: lists of them, the one that was probably meant, and lengths of time.

use std::time::Duration;

use serde_json::Value;

/// The units of a duration, with their milliseconds, the longest first.
pub(crate) const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// What kind of JSON value it is.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// "did you mean `x`?" if one of `known` is near, otherwise the list of them.
pub fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", list(known)),
    }
}

/// `a`, `b` and `c`.
pub fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

/// `a`, `b` or `c`, of which one is wanted.
pub fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

/// The one of `known` that `word` was probably meant to be, if one is near: the distance is counted in letters,
/// without regard to case, `_`, `-` and spaces.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().filter_map(|name| Some((distance(word, name)?, *name))).min().map(|(_, name)| name)
}

/// How far `word` is from `name`, if it was probably meant to be that.
pub fn distance(word: &str, name: &str) -> Option<usize> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-', ' '], "");
    let allowed = if word.len() <= 3 { 1 } else { 2 };
    if word.len() > 64 {
        return None;
    }
    let distance = levenshtein(&plain(word), &plain(name));
    (distance <= allowed && distance < name.len()).then_some(distance)
}

/// A duration as it is written in a definition: `1h30m`.
pub fn span(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (unit, length) in UNITS {
        if millis >= length {
            out.push_str(&format!("{}{unit}", millis / length));
            millis %= length;
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}

/// How many insertions, deletions and replacements turn `a` into `b` (Levenshtein).
fn levenshtein(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("task_queue", &["taskQueue", "activity"]), Some("taskQueue"));
        assert_eq!(nearest("tsks", &["tasks", "on"]), Some("tasks"));
        assert_eq!(nearest("no", &["on"]), None);
        assert_eq!(nearest("banana", &["on", "tasks"]), None);
    }
}
