//! What one alternative of a leaf asks of a value.

use std::fmt;

use serde_json::{Number, Value};

use super::fold::fold;
use super::net::{Address, Net};
use super::number::Exact;
use super::range::Range;
use super::wildcard::Wildcard;

/// One alternative of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operator {
    /// This value.
    Literal(Literal),
    /// A text that passes.
    Text(TextTest),
    /// A number in this range.
    Numeric(Range),
    /// A text that is an address in this network.
    Cidr(Net),
    /// Whether there is anything at all.
    Exists(bool),
    /// A text or number that is none of these.
    AnythingBut(Vec<Literal>),
    /// A text that passes none of these.
    AnythingButText(Vec<TextTest>),
}

/// A value that a pattern names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    /// Its value, and how it was written.
    Number(Exact, Number),
    Bool(bool),
    Null,
}

/// What a text is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TextTest {
    Prefix(String),
    Suffix(String),
    Equals(Folded),
    PrefixFolded(Folded),
    SuffixFolded(Folded),
    Wildcard(Wildcard),
}

/// A text that is compared without regard to case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Folded {
    written: String,
    pub(crate) folded: String,
}

/// A value of an event that is no list and no object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Number(Exact),
    Bool(bool),
    Null,
}

impl Operator {
    /// Whether it holds by something being there or not.
    pub(super) fn holds_for_presence(&self, present: bool) -> bool {
        matches!(self, Operator::Exists(wanted) if *wanted == present)
    }

    /// Whether one value is what is asked for.
    pub(super) fn matches(&self, value: &Scalar<'_>) -> bool {
        match (self, value) {
            (Operator::Literal(literal), value) => literal.is(value),
            (Operator::Text(test), Scalar::Text(text)) => test.passes(text),
            (Operator::Numeric(range), Scalar::Number(number)) => range.contains(*number),
            (Operator::Cidr(net), Scalar::Text(text)) => Address::parse(text).is_some_and(|one| net.contains(one)),
            (Operator::AnythingBut(list), Scalar::Text(_) | Scalar::Number(_)) => !list.iter().any(|one| one.is(value)),
            (Operator::AnythingButText(list), Scalar::Text(text)) => !list.iter().any(|test| test.passes(text)),
            _ => false,
        }
    }

    /// How many values it names.
    pub(super) fn weight(&self) -> usize {
        match self {
            Operator::AnythingBut(list) => list.len(),
            Operator::AnythingButText(list) => list.len(),
            _ => 1,
        }
    }
}

impl Literal {
    /// The literal that this JSON is; a list or an object is none.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Literal::Null,
            Value::Bool(value) => Literal::Bool(*value),
            Value::Number(number) => Literal::Number(Exact::of(number), number.clone()),
            Value::String(text) => Literal::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    fn is(&self, value: &Scalar<'_>) -> bool {
        match (self, value) {
            (Literal::Text(a), Scalar::Text(b)) => a == b,
            (Literal::Number(a, _), Scalar::Number(b)) => a == b,
            (Literal::Bool(a), Scalar::Bool(b)) => a == b,
            (Literal::Null, Scalar::Null) => true,
            _ => false,
        }
    }
}

impl TextTest {
    fn passes(&self, text: &str) -> bool {
        match self {
            TextTest::Prefix(prefix) => text.starts_with(prefix.as_str()),
            TextTest::Suffix(suffix) => text.ends_with(suffix.as_str()),
            TextTest::Equals(wanted) => fold(text) == wanted.folded,
            TextTest::PrefixFolded(prefix) => fold(text).starts_with(&prefix.folded),
            TextTest::SuffixFolded(suffix) => fold(text).ends_with(&suffix.folded),
            TextTest::Wildcard(wildcard) => wildcard.matches(text),
        }
    }
}

impl Folded {
    pub(super) fn of(written: &str) -> Self {
        Self { written: written.to_owned(), folded: fold(written).into_owned() }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operator::Literal(literal) => literal.fmt(f),
            Operator::Text(test) => test.fmt(f),
            Operator::Numeric(range) => write!(f, "numeric {range}"),
            Operator::Cidr(net) => write!(f, "an address in {net}"),
            Operator::Exists(true) => f.write_str("to exist"),
            Operator::Exists(false) => f.write_str("to be missing"),
            Operator::AnythingBut(list) => listed(f, list),
            Operator::AnythingButText(list) => listed(f, list),
        }
    }
}

fn listed(f: &mut fmt::Formatter<'_>, list: &[impl fmt::Display]) -> fmt::Result {
    f.write_str("anything but ")?;
    for (at, item) in list.iter().enumerate() {
        write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
    }
    Ok(())
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => write!(f, "{text:?}"),
            Literal::Number(_, written) => written.fmt(f),
            Literal::Bool(value) => value.fmt(f),
            Literal::Null => f.write_str("null"),
        }
    }
}

impl fmt::Display for TextTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextTest::Prefix(text) => write!(f, "prefix {text:?}"),
            TextTest::Suffix(text) => write!(f, "suffix {text:?}"),
            TextTest::Equals(text) => write!(f, "{:?} in any case", text.written),
            TextTest::PrefixFolded(text) => write!(f, "prefix {:?} in any case", text.written),
            TextTest::SuffixFolded(text) => write!(f, "suffix {:?} in any case", text.written),
            TextTest::Wildcard(wildcard) => write!(f, "like \"{wildcard}\""),
        }
    }
}
