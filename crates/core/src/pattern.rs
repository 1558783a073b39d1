//! Content patterns with the operators of AWS Event Ruler, over an event as JSON.
//!
//! A leaf is a list of alternatives (OR), fields are AND, `$or` holds at least two patterns of which
//! one must hold, beside its sibling fields. What is fixed:
//!
//! - A path that is missing matches nothing but `exists: false`. Present is whatever stands there:
//!   `exists: true` also holds for null, an object, and an empty list or object.
//! - A value of another type does not match, and is no error. `anything-but` of values takes texts and
//!   numbers, `anything-but` of an operator takes texts.
//! - Numbers compare exactly: `80` is `80.0`, and 2⁵³+1 is not 2⁵³.
//! - Of a list any element may match, in lists of lists as well; fields below one list are not
//!   correlated. `anything-but` follows the same rule: one element that is none of those is enough.
//! - Letters are the same in any case if their Unicode case mappings are: `ß` is `SS`.
//!
//! Invariant: a pattern that compiled is within the bounds below, so that checking and indexing it
//! take bounded time and memory, whoever wrote it.

mod compile;
mod conjunction;
mod fold;
mod mismatch;
mod net;
mod number;
mod operand;
mod operator;
mod range;
#[cfg(test)]
mod tests;
mod view;
mod wildcard;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use conjunction::Condition;
pub(crate) use fold::fold;
use mismatch::Failure;
pub use mismatch::Mismatch;
pub(crate) use net::{Address, Net};
pub(crate) use number::Exact;
pub(crate) use operator::{Literal, Operator, Scalar, TextTest};
pub(crate) use range::{Edge, Range};
pub(crate) use view::{EventView, Place, Root, Seen, scalars};
pub(crate) use wildcard::Wildcard;

/// How deep objects may stand in one another, `$or` counted.
pub const MAX_DEPTH: usize = 32;
/// The most alternatives of one leaf, and the most values in one list of `anything-but`.
pub const MAX_ALTERNATIVES: usize = 1000;
/// The most fields, alternatives and listed values of one pattern.
pub const MAX_PARTS: usize = 5000;
/// The most combinations of `$or` alternatives, as in Event Ruler: each becomes a rule of the index.
pub const MAX_COMBINATIONS: u64 = 1000;
/// The most alternatives of all combinations together: what a pattern may take of the index.
pub const MAX_EXPANDED: u64 = 10_000;
/// The most bytes of a key or of an operator's text; as many as a context attribute may have.
pub const MAX_TEXT_BYTES: usize = crate::event::MAX_ATTRIBUTE_BYTES;
/// The most `*` in a wildcard.
pub const MAX_STARS: usize = 4;

/// A checked content pattern.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pattern {
    fields: BTreeMap<String, Field>,
    /// One of these must hold; none if there is no `$or`.
    or: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Leaf(Vec<Operator>),
    Fields(Pattern),
}

impl Pattern {
    /// Checks a pattern. Fails with the JSON pointer of each part that is wrong.
    pub fn compile(value: &Value) -> Result<Self, Vec<(String, String)>> {
        compile::compile(value)
    }

    /// Whether `event` (in the JSON event format) meets the pattern; if not, which condition fails.
    pub fn check(&self, event: &Value) -> Result<(), Mismatch> {
        self.check_root(event)
    }

    /// As [`Pattern::check`], of anything that has an event's fields.
    pub(crate) fn check_root(&self, event: &dyn Root) -> Result<(), Mismatch> {
        self.meets(&Place::Root(event)).map_err(|failure| failure.describe())
    }

    /// Whether `event` meets the pattern.
    pub(crate) fn holds(&self, event: &dyn Root) -> bool {
        self.meets(&Place::Root(event)).is_ok()
    }

    fn meets<'a>(&'a self, place: &Place<'a>) -> Result<(), Failure<'a>> {
        for (name, field) in &self.fields {
            let found = place.field(name);
            match field {
                Field::Fields(pattern) => {
                    pattern.meets(&Place::Values(found)).map_err(|failure| failure.below(name))?;
                }
                Field::Leaf(alternatives) if leaf_holds(alternatives, &found) => {}
                Field::Leaf(alternatives) => return Err(Failure::of_leaf(name, alternatives, found)),
            }
        }
        self.meets_or(place)
    }

    fn meets_or<'a>(&'a self, place: &Place<'a>) -> Result<(), Failure<'a>> {
        let mut failures = Vec::new();
        for alternative in &self.or {
            match alternative.meets(place) {
                Ok(()) => return Ok(()),
                Err(failure) if failures.len() < mismatch::MAX_EXPLAINED => failures.push(failure),
                Err(_) => {}
            }
        }
        if self.or.is_empty() { Ok(()) } else { Err(Failure::of_or(failures, self.or.len())) }
    }
}

fn leaf_holds(alternatives: &[Operator], found: &[Seen<'_>]) -> bool {
    let mut holds = alternatives.iter().any(|operator| operator.holds_for_presence(!found.is_empty()));
    for seen in found {
        scalars(*seen, &mut |scalar| holds = holds || alternatives.iter().any(|operator| operator.matches(&scalar)));
    }
    holds
}
