//! What is wrong with an event, said so that its producer can mend it.

use std::borrow::Cow;
use std::fmt;

/// The most characters of a producer's value that a message repeats.
const MAX_SEEN: usize = 80;
/// The most problems that one error lists.
const MAX_PROBLEMS: usize = 10;

pub(super) const JSON_FORMAT: &str = "be JSON without repeated keys, at most 127 levels deep (JSON format, section 2)";

/// Why something is no CloudEvent 1.0.2: every problem found, up to ten.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a CloudEvent: {}", list(.problems))]
pub struct EventError {
    problems: Vec<Problem>,
    known: Known,
}

/// One thing that is wrong: with what, what was seen of it, and what CloudEvents 1.0.2 wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    attribute: String,
    seen: String,
    rule: Cow<'static, str>,
}

/// What identifies the event, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) source: Option<String>,
    pub(super) id: Option<String>,
    pub(super) event_type: Option<String>,
}

impl EventError {
    /// One problem with `attribute`: what was `seen`, and the `rule` as in "it must …".
    pub fn new(attribute: &str, seen: impl fmt::Display, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { problems: vec![Problem::new(attribute, seen, rule)], known: Known::default() }
    }

    /// Several problems. `problems` must not be empty; ten are kept.
    pub(super) fn of(mut problems: Vec<Problem>, known: Known) -> Self {
        problems.truncate(MAX_PROBLEMS);
        Self { problems, known }
    }

    /// What is wrong: the names of attributes, or `name`, `data`, `event`, or a header's name.
    pub fn at_fault(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|problem| problem.attribute.as_str())
    }

    /// The event's source, if it could be read; it need not meet the rules.
    pub fn event_source(&self) -> Option<&str> {
        self.known.source.as_deref()
    }

    /// The event's id, if it could be read; it need not meet the rules.
    pub fn event_id(&self) -> Option<&str> {
        self.known.id.as_deref()
    }

    /// The event's type, if it could be read; it need not meet the rules.
    pub fn event_type(&self) -> Option<&str> {
        self.known.event_type.as_deref()
    }
}

impl Problem {
    pub(super) fn new(attribute: &str, seen: impl fmt::Display, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { attribute: shorten(attribute), seen: shorten(&seen.to_string()), rule: rule.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must {}, saw {}", self.attribute, self.rule, self.seen)
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn shorten(text: &str) -> String {
    let safe = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut short: String = safe.take(MAX_SEEN).collect();
    if text.chars().nth(MAX_SEEN).is_some() {
        short.push('…');
    }
    short
}
