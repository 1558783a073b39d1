//! Ranges of numbers.

use std::fmt;

use serde_json::Number;

use super::number::Exact;

/// A place between numbers: just before `at`, or just after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    at: Exact,
    after: bool,
}

impl Edge {
    pub(crate) fn before(at: Exact) -> Self {
        Self { at, after: false }
    }

    pub(crate) fn after(at: Exact) -> Self {
        Self { at, after: true }
    }
}

/// The numbers between two edges; at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) lower: Edge,
    pub(crate) upper: Edge,
    written: String,
}

impl Range {
    /// The range in which all comparisons hold. Fails if that is empty, or can't be meant.
    pub(crate) fn of(comparisons: &[(&str, &Number)]) -> Result<Self, String> {
        let mut range = Range {
            lower: Edge::before(Exact::MIN),
            upper: Edge::after(Exact::MAX),
            written: comparisons
                .iter()
                .map(|(name, bound)| format!("{name} {bound}"))
                .collect::<Vec<_>>()
                .join(" and "),
        };
        let (mut lowers, mut uppers) = (0, 0);
        for (name, bound) in comparisons {
            let at = Exact::of(bound);
            match *name {
                ">" => (range.lower, lowers) = (Edge::after(at), lowers + 1),
                ">=" => (range.lower, lowers) = (Edge::before(at), lowers + 1),
                "<" => (range.upper, uppers) = (Edge::before(at), uppers + 1),
                "<=" => (range.upper, uppers) = (Edge::after(at), uppers + 1),
                "=" if comparisons.len() == 1 => (range.lower, range.upper) = (Edge::before(at), Edge::after(at)),
                "=" => return Err("`numeric` takes `=` alone: [\"=\", 5]".into()),
                other => return Err(format!("`numeric` knows <, <=, =, >= and >, not {other:?}")),
            }
        }
        if lowers > 1 || uppers > 1 {
            return Err("`numeric` takes one lower and one upper bound, e.g. [\">=\", 10, \"<\", 20]".into());
        }
        if range.lower >= range.upper {
            return Err(format!("no number is {range}, so nothing can match; write e.g. [\">=\", 10, \"<\", 20]"));
        }
        Ok(range)
    }

    pub(crate) fn contains(&self, number: Exact) -> bool {
        self.lower <= Edge::before(number) && Edge::after(number) <= self.upper
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
