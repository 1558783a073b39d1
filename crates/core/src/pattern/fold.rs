//! Texts without regard to case.

use std::borrow::Cow;

/// The text in which upper and lower case are the same. It maps each character by itself, so that a
/// prefix of the folded text is the folded prefix.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() {
        return Cow::Owned(text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect());
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_the_same_in_any_case() {
        for (a, b) in [("Straße", "STRASSE"), ("ΟΔΟΣ", "οδος"), ("ÄÖ", "äö"), ("K", "k"), ("abc", "ABC"), ("é", "É")]
        {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("a"), fold("ä"));
    }
}
