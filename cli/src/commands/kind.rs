//! The words for what the registry holds.

use spine_store::Kind;

use crate::failure::invalid;

/// The kind that a word names; fails with exit code 2 if it names none.
pub(crate) fn named(word: &str) -> anyhow::Result<Kind> {
    find(word).ok_or_else(|| invalid(format!("{word:?} is no kind; use activity, event-type or source")))
}

/// The kind that a word names.
pub(crate) fn find(word: &str) -> Option<Kind> {
    match word {
        "activities" | "activity" => Some(Kind::Activity),
        "event-types" | "event-type" | "eventtypes" => Some(Kind::EventType),
        "sources" | "source" => Some(Kind::Source),
        _ => None,
    }
}
