//! Which condition of a pattern an event does not meet, in words.

use std::fmt::{self, Write as _};

use super::operator::Operator;
use super::view::Seen;

/// The most alternatives of an `$or` that are explained.
pub(super) const MAX_EXPLAINED: usize = 5;
/// The most characters of what was seen.
const MAX_SEEN: usize = 80;
/// The most characters of what was wanted, and of all that is said of an `$or`.
const MAX_WANTED: usize = 400;

/// The first condition of a pattern that an event does not meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The path of the field, e.g. `data.total`, or of the `$or` of which no alternative holds.
    pub path: String,
    /// What stands there; for an `$or`, what fails in each of its alternatives.
    pub seen: String,
    /// What the pattern wants there.
    pub wanted: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, wanted {}", self.path, self.seen, self.wanted)
    }
}

/// A mismatch that has not been put in words: most are never read.
pub(super) struct Failure<'a> {
    /// From the field up to the top.
    path: Vec<&'a str>,
    cause: Cause<'a>,
}

enum Cause<'a> {
    Leaf(&'a [Operator], Vec<Seen<'a>>),
    Or(Vec<Failure<'a>>, usize),
}

impl<'a> Failure<'a> {
    pub(super) fn of_leaf(name: &'a str, alternatives: &'a [Operator], found: Vec<Seen<'a>>) -> Self {
        Self { path: vec![name], cause: Cause::Leaf(alternatives, found) }
    }

    /// None of `count` alternatives holds; `failures` are the first.
    pub(super) fn of_or(failures: Vec<Failure<'a>>, count: usize) -> Self {
        Self { path: vec!["$or"], cause: Cause::Or(failures, count) }
    }

    pub(super) fn below(mut self, name: &'a str) -> Self {
        self.path.push(name);
        self
    }

    pub(super) fn describe(&self) -> Mismatch {
        self.describe_below("")
    }

    fn describe_below(&self, above: &str) -> Mismatch {
        let mut path = above.to_owned();
        for name in self.path.iter().rev() {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(name);
        }
        let (seen, wanted) = match &self.cause {
            Cause::Leaf(alternatives, found) => (seen(found), wanted(alternatives)),
            Cause::Or(failures, count) => (
                none_of(failures, *count, path.trim_end_matches("$or").trim_end_matches('.')),
                format!("one of {count} alternatives to hold"),
            ),
        };
        Mismatch { path, seen, wanted }
    }
}

fn seen(found: &[Seen<'_>]) -> String {
    match found {
        [] => "missing".into(),
        [one] => clipped(MAX_SEEN, |out| write!(out, "{one}")),
        several => clipped(MAX_SEEN, |out| {
            several
                .iter()
                .enumerate()
                .try_for_each(|(at, one)| write!(out, "{}{one}", if at == 0 { "[" } else { "," }))?;
            out.write_char(']')
        }),
    }
}

fn wanted(alternatives: &[Operator]) -> String {
    clipped(MAX_WANTED, |out| {
        alternatives
            .iter()
            .enumerate()
            .try_for_each(|(at, one)| write!(out, "{}{one}", if at == 0 { "" } else { " or " }))
    })
}

fn none_of(failures: &[Failure<'_>], count: usize, above: &str) -> String {
    clipped(MAX_WANTED, |out| {
        out.write_str("without a match (")?;
        for (at, failure) in failures.iter().enumerate() {
            write!(out, "{}{}: {}", if at == 0 { "" } else { "; " }, at + 1, failure.describe_below(above))?;
        }
        match count - failures.len() {
            0 => out.write_char(')'),
            more => write!(out, "; and {more} more)"),
        }
    })
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Text(text) => write!(f, "{text:?}"),
            Seen::Json(value) => write!(f, "{value}"),
        }
    }
}

/// What `write` writes, cut after `limit` characters. It is stopped there: a large value costs no more.
fn clipped(limit: usize, write: impl Fn(&mut Clipped) -> fmt::Result) -> String {
    let mut out = Clipped { text: String::new(), left: limit };
    if write(&mut out).is_err() {
        out.text.push('…');
    }
    out.text
}

struct Clipped {
    text: String,
    left: usize,
}

impl fmt::Write for Clipped {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        match part.char_indices().nth(self.left) {
            Some((end, _)) => {
                self.text.push_str(&part[..end]);
                self.left = 0;
                Err(fmt::Error)
            }
            None => {
                self.left -= part.chars().count();
                self.text.push_str(part);
                Ok(())
            }
        }
    }
}
