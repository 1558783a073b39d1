//! Which of many wildcards a text is like.

use std::collections::BTreeMap;

use super::affixes::Affixes;
use super::bits::Bits;
use super::postings::Postings;
use crate::pattern::Wildcard;

type List = Vec<(Wildcard, Postings)>;

/// Wildcards by what they start with; those that start with a star by what they end with.
#[derive(Clone, Debug)]
pub(super) struct Wildcards {
    by_head: Affixes<List>,
    by_tail: Affixes<List>,
}

impl Wildcards {
    pub(super) fn of(wildcards: BTreeMap<Wildcard, Vec<u32>>, bound: usize) -> Self {
        let (mut heads, mut tails) = (BTreeMap::<Box<str>, List>::new(), BTreeMap::<Box<str>, List>::new());
        for (wildcard, rules) in wildcards {
            let list = match wildcard.head() {
                "" => tails.entry(wildcard.tail().into()).or_default(),
                head => heads.entry(head.into()).or_default(),
            };
            list.push((wildcard, Postings::of(rules, bound)));
        }
        Self { by_head: Affixes::prefixes(heads), by_tail: Affixes::suffixes(tails) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_head.is_empty() && self.by_tail.is_empty()
    }

    /// Adds the rules whose wildcard `text` is like.
    pub(super) fn add_to(&self, text: &str, bits: &mut Bits) {
        let mut add = |list: &List| {
            list.iter().filter(|(wildcard, _)| wildcard.matches(text)).for_each(|(_, rules)| rules.add_to(bits));
        };
        self.by_head.of_text(text, &mut add);
        self.by_tail.of_text(text, &mut add);
    }
}
