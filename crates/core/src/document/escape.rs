//! The one thing that JSON writes and YAML can't read.

use std::borrow::Cow;

/// JSON writes a character beyond U+FFFF as two escapes, which YAML has not: `\ud83d\ude00` becomes
/// `\U0001F600`. What follows in that line is then reported two columns to the left.
pub(super) fn without_surrogates(text: &str) -> Cow<'_, str> {
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if !text.contains("\\ud") && !text.contains("\\uD") || !is_json() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (escape, after) = match surrogates(&rest[at..]) {
            Some(code) => (format!("\\U{code:08X}"), 12),
            None => (rest[at..].chars().take(2).collect(), rest[at..].chars().take(2).map(char::len_utf8).sum()),
        };
        out.push_str(&escape);
        rest = &rest[at + after..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The code point of the two escapes that `text` starts with.
fn surrogates(text: &str) -> Option<u32> {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?;
        u32::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    match (unit(0)?, unit(6)?) {
        (high @ 0xD800..=0xDBFF, low @ 0xDC00..=0xDFFF) => Some(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)),
        _ => None,
    }
}
