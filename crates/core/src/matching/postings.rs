//! The rules that one value lets through.

use super::bits::Bits;

/// Rules of one group, kept in whichever way is added to a set the fastest.
#[derive(Clone, Debug, Default)]
pub(super) enum Postings {
    #[default]
    None,
    One(u32),
    Few(Box<[u32]>),
    Many(Bits),
}

impl Postings {
    /// `rules`, of a group that has `bound` of them.
    pub(super) fn of(mut rules: Vec<u32>, bound: usize) -> Self {
        rules.sort_unstable();
        rules.dedup();
        match rules.as_slice() {
            [] => Postings::None,
            [one] => Postings::One(*one),
            // A number takes about as long to add as a word of a set.
            few if few.len() < bound / 64 => Postings::Few(rules.into()),
            few if few.len() <= 2 => Postings::Few(rules.into()),
            many => Postings::Many(Bits::of(many, bound)),
        }
    }

    pub(super) fn add_to(&self, bits: &mut Bits) {
        match self {
            Postings::None => {}
            Postings::One(rule) => bits.insert(*rule),
            Postings::Few(rules) => rules.iter().for_each(|rule| bits.insert(*rule)),
            Postings::Many(rules) => bits.union(rules),
        }
    }
}
