//! A pattern as rules without `$or`: what the index holds.

use std::borrow::Cow;

use super::operator::Operator;
use super::{Field, Pattern};

/// One leaf and where it stands.
#[derive(Clone)]
pub(crate) struct Condition<'p> {
    /// The keys from the top to the leaf.
    pub(crate) path: Vec<&'p str>,
    /// Any of these must hold.
    pub(crate) alternatives: Cow<'p, [Operator]>,
}

type Conjunction<'p> = Vec<Condition<'p>>;

impl Pattern {
    /// All combinations of `$or` alternatives, each as the conditions that must all hold. The pattern
    /// holds if one of them does. At most [`super::MAX_COMBINATIONS`].
    pub(crate) fn conjunctions(&self) -> Vec<Conjunction<'_>> {
        self.below(&mut Vec::new())
    }

    fn below<'p>(&'p self, path: &mut Vec<&'p str>) -> Vec<Conjunction<'p>> {
        let mut all = vec![Vec::new()];
        for (name, field) in &self.fields {
            path.push(name);
            match field {
                Field::Leaf(alternatives) => {
                    let condition = Condition { path: path.clone(), alternatives: Cow::Borrowed(alternatives) };
                    all.iter_mut().for_each(|one| one.push(condition.clone()));
                }
                Field::Fields(pattern) => all = product(all, pattern.below(path)),
            }
            path.pop();
        }
        if self.or.is_empty() {
            return all;
        }
        let any = self.or.iter().flat_map(|alternative| alternative.below(path)).collect();
        product(all, any)
    }

    /// How many combinations there are, and how many values all of them name together.
    pub(super) fn expansion(&self) -> Expansion {
        let fields = self.fields.values().map(|field| match field {
            Field::Leaf(alternatives) => {
                Expansion { rules: 1, values: alternatives.iter().map(|one| one.weight() as u64).sum() }
            }
            Field::Fields(pattern) => pattern.expansion(),
        });
        let all = fields.fold(Expansion { rules: 1, values: 0 }, Expansion::and);
        if self.or.is_empty() {
            return all;
        }
        let any = self.or.iter().map(Pattern::expansion).fold(Expansion { rules: 0, values: 0 }, Expansion::or);
        all.and(any)
    }
}

fn product<'p>(left: Vec<Conjunction<'p>>, right: Vec<Conjunction<'p>>) -> Vec<Conjunction<'p>> {
    if let [only] = right.as_slice() {
        return left.into_iter().map(|one| one.into_iter().chain(only.iter().cloned()).collect()).collect();
    }
    left.iter().flat_map(|a| right.iter().map(move |b| a.iter().chain(b).cloned().collect())).collect()
}

/// What a pattern takes of the index.
pub(super) struct Expansion {
    pub(super) rules: u64,
    pub(super) values: u64,
}

impl Expansion {
    fn and(self, other: Self) -> Self {
        Self {
            rules: self.rules.saturating_mul(other.rules),
            values: self.values.saturating_mul(other.rules).saturating_add(other.values.saturating_mul(self.rules)),
        }
    }

    fn or(self, other: Self) -> Self {
        Self { rules: self.rules.saturating_add(other.rules), values: self.values.saturating_add(other.values) }
    }
}
