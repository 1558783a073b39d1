//! What one alternative of a leaf asks of a value.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

/// One alternative of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// This string, number, boolean or null.
    Literal(Value),
    /// A string that starts so.
    Prefix(String),
    /// A string that ends so.
    Suffix(String),
    /// A string that is the same but for case.
    EqualsIgnoreCase(String),
    /// A string or number that is none of these.
    AnythingBut(Vec<Value>),
    /// A number for which all comparisons hold.
    Numeric(Vec<(Comparison, Number)>),
    /// Whether there is a value at all.
    Exists(bool),
}

/// A comparison of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Comparison {
    /// The comparison that this text names.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            "=" => Self::Equal,
            ">=" => Self::GreaterOrEqual,
            ">" => Self::Greater,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Equal => ordering.is_eq(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Greater => ordering.is_gt(),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
        }
    }
}

impl Operator {
    /// Whether any of `values`, the elements found at the leaf's path, is what is asked for.
    pub fn matches(&self, present: bool, values: &[&Value]) -> bool {
        match self {
            Operator::Exists(wanted) => present == *wanted,
            operator => values.iter().any(|value| operator.matches_one(value)),
        }
    }

    fn matches_one(&self, value: &Value) -> bool {
        match (self, value) {
            (Operator::Literal(literal), value) => same(literal, value),
            (Operator::Prefix(prefix), Value::String(text)) => text.starts_with(prefix.as_str()),
            (Operator::Suffix(suffix), Value::String(text)) => text.ends_with(suffix.as_str()),
            (Operator::EqualsIgnoreCase(wanted), Value::String(text)) => wanted.to_lowercase() == text.to_lowercase(),
            (Operator::AnythingBut(list), Value::String(_) | Value::Number(_)) => {
                !list.iter().any(|item| same(item, value))
            }
            (Operator::Numeric(comparisons), Value::Number(number)) => comparisons
                .iter()
                .all(|(comparison, bound)| compare(number, bound).is_some_and(|order| comparison.holds(order))),
            _ => false,
        }
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(Ordering::Equal),
        (a, b) => a == b,
    }
}

/// Compares exactly: integers as integers, and an integer with a fraction without rounding it first.
fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => compare_with_float(a, b.as_f64()?),
        (None, Some(b)) => compare_with_float(b, a.as_f64()?).map(Ordering::reverse),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn compare_with_float(integer: i128, float: f64) -> Option<Ordering> {
    // Integers stay within 64 bits, so a float beyond that decides by its sign, and any other has a
    // whole part that i128 holds exactly.
    if float.abs() >= 2f64.powi(65) {
        return 0f64.partial_cmp(&float);
    }
    let whole = float.trunc() as i128;
    Some(integer.cmp(&whole).then_with(|| 0f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operator::Literal(value) => write!(f, "{value}"),
            Operator::Prefix(text) => write!(f, "prefix {text:?}"),
            Operator::Suffix(text) => write!(f, "suffix {text:?}"),
            Operator::EqualsIgnoreCase(text) => write!(f, "{text:?} in any case"),
            Operator::AnythingBut(list) => {
                write!(f, "anything but {}", list.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
            }
            Operator::Numeric(comparisons) => {
                let all = comparisons.iter().map(|(comparison, bound)| format!("{} {bound}", comparison.text()));
                write!(f, "numeric {}", all.collect::<Vec<_>>().join(" and "))
            }
            Operator::Exists(true) => f.write_str("to exist"),
            Operator::Exists(false) => f.write_str("to be missing"),
        }
    }
}
