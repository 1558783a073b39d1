//! The format as data: every object, its keys, what each holds, its bounds and its meaning.
//!
//! One source with three readers: the parser takes keys, words and bounds from here, `schemas` makes the
//! JSON Schema of it, and the tables of docs/activity-reference.md are written from it.

mod documents;
mod outbound;
mod tasks;
mod tests;
mod triggers;

use std::time::Duration;

pub use documents::{
    ACTIVITY, BATCH, DEBOUNCE, EVENT_TYPE, EVENT_TYPE_METADATA, EVENT_TYPE_SPEC, FLOW, INSTANCE, METADATA, RATE, SET,
    SOURCE, SOURCE_KEY, SOURCE_METADATA, SOURCE_SPEC, SPEC, TEST_METADATA,
};
pub use outbound::{HTTP, NATS, NATS_RESPONSE, RESPONSE};
pub use tasks::{CALL, EMIT, ESCALATE, HUMAN, ON_TIMEOUT, RETRY, SQL, TASK, UNDO, WAIT, WORKER};
pub use tests::{ACTIVITY_TEST, CASE, ERROR, EXPECT, GIVEN, RESULT, TEST_SPEC};
pub use triggers::{CALENDAR, CONTEXT_HTTP, CONTEXT_SOURCE, CONTEXT_SQL, MISSED, SCHEDULE, TRIGGER};

/// An object of the format.
#[derive(Debug)]
pub struct Object {
    /// What it is called in messages: "a task".
    pub name: &'static str,
    /// Its keys, in the order in which people read them.
    pub keys: &'static [Key],
    /// Exactly one of these keys must be there; if empty, there is no such rule.
    pub one_of: &'static [&'static str],
    /// Keys besides `keys` may have any name, and hold a value.
    pub free_keys: bool,
}

/// One key of an object.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What counts if it is not there, in words; empty if nothing does.
    pub default: &'static str,
    /// The key beside which alone it makes sense.
    pub beside: Option<&'static str>,
    /// What it means, in a sentence.
    pub doc: &'static str,
}

/// What a key holds.
#[derive(Debug)]
pub enum Shape {
    /// A text without expressions.
    Text,
    /// A text of a certain form.
    Form {
        /// The form as a regular expression (ECMA-262).
        pattern: &'static str,
        /// The form in words.
        words: &'static str,
    },
    /// One of a few words.
    Words(&'static [&'static str]),
    /// True or false.
    Boolean,
    /// A length of time with a unit.
    Duration {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// A whole number.
    Whole {
        /// The smallest.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// A number.
    Number {
        /// The smallest.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// A CEL expression.
    Expression,
    /// A text in which `${ … }` is CEL.
    TextTemplate,
    /// Any JSON value, in whose texts `${ … }` is CEL.
    Template,
    /// Any JSON value without expressions.
    Value,
    /// A content pattern.
    Pattern,
    /// A JSON Schema (2020-12).
    JsonSchema,
    /// A list.
    List {
        /// What its items are.
        of: &'static Shape,
        /// How many there must be.
        least: usize,
        /// How many there may be.
        most: usize,
    },
    /// An object whose keys are free.
    Map {
        /// What its values are.
        of: &'static Shape,
        /// How many there may be.
        most: usize,
    },
    /// An object of the format.
    Object(&'static Object),
    /// One of several shapes.
    Any(&'static [Shape]),
    /// The `with` of a task: which object it is follows from `uses`.
    With(&'static [(&'static str, &'static Object)]),
}

impl Object {
    const fn new(name: &'static str, keys: &'static [Key]) -> Self {
        Self { name, keys, one_of: &[], free_keys: false }
    }

    const fn one_of(self, one_of: &'static [&'static str]) -> Self {
        Self { one_of, ..self }
    }

    const fn with_free_keys(self) -> Self {
        Self { free_keys: true, ..self }
    }

    /// The key with this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The names of all keys.
    pub fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }
}

impl Key {
    const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, shape, required: false, default: "", beside: None, doc }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    const fn beside(self, beside: &'static str) -> Self {
        Self { beside: Some(beside), ..self }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
/// The shortest time that a limit may be.
const SHORTEST: Duration = Duration::from_millis(10);

const fn duration(least: Duration, most: Duration) -> Shape {
    Shape::Duration { least, most }
}

const fn list(of: &'static Shape, least: usize, most: usize) -> Shape {
    Shape::List { of, least, most }
}

const ACTIVITY_NAME_FORM: Shape =
    Shape::Form { pattern: "^[a-z0-9-]{1,63}$", words: "1 to 63 characters out of a-z, 0-9 and `-`" };
const TYPE_PATTERN: Shape = Shape::Form {
    pattern: r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?$",
    words: "an event type, or a prefix ending in `.*`",
};
const EVENT_TYPE_FORM: Shape = Shape::Form {
    pattern: r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
    words: "letters, digits, `_` and `-`, in parts joined by dots",
};
