//! Whether a changed payload schema may take the place of the one before it.
//!
//! Invariant: nothing is said to be compatible that is not. What the rules here can't judge is refused by its
//! name; a person then decides, by setting the mode to `none` first.

mod covers;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// The most problems that are told of one change.
const MAX_PROBLEMS: usize = 10;

/// What a change of an event type's schema must leave as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compatibility {
    /// What the schema before allowed, the new one allows.
    pub backward: bool,
    /// What the new schema allows, the one before allowed.
    pub forward: bool,
}

impl Compatibility {
    /// The mode that this word of the format stands for.
    pub fn of(word: &str) -> Self {
        Self { backward: matches!(word, "backward" | "full"), forward: matches!(word, "forward" | "full") }
    }

    /// What both ask for.
    pub fn and(self, other: Self) -> Self {
        Self { backward: self.backward || other.backward, forward: self.forward || other.forward }
    }
}

/// The `spec` keys of an event type's documents that count here.
fn parts(document: &Value) -> (Compatibility, &Value) {
    let spec = &document["spec"];
    (Compatibility::of(spec["compatibility"].as_str().unwrap_or("none")), &spec["schema"])
}

/// What is wrong with replacing one document of an event type by another: by the mode that stood there and by the new
/// one, so that a mode is given up in a change of its own. Each problem names its place in the new document.
pub fn check_change(before: &Value, after: &Value) -> Vec<String> {
    let ((mode_before, old), (mode_after, new)) = (parts(before), parts(after));
    check(mode_before.and(mode_after), old, new)
}

/// What breaks `mode` if the schema `old` becomes `new`.
pub fn check(mode: Compatibility, old: &Value, new: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    if mode.backward {
        let found = covers::problems(("the new schema", new), ("the old one", old));
        problems.extend(found.into_iter().map(|problem| format!("not backward compatible: {problem}")));
    }
    if mode.forward {
        let found = covers::problems(("the old schema", old), ("the new one", new));
        problems.extend(found.into_iter().map(|problem| format!("not forward compatible: {problem}")));
    }
    problems.truncate(MAX_PROBLEMS);
    problems
}
