//! What the rules of a group ask of the value at one path.

use std::collections::BTreeMap;

use super::affixes::Affixes;
use super::bits::Bits;
use super::postings::Postings;
use super::ranges::Ranges;
use super::table::{Table, Texts};
use super::wildcards::Wildcards;
use crate::pattern::{Address, Exact, Literal, Net, Range, Scalar, TextTest, Wildcard, fold};

/// Tests of a value, looked up by the value.
#[derive(Clone, Debug)]
pub(super) struct Values {
    texts: Texts,
    numbers: Table<Exact>,
    ranges: Ranges,
    /// What most paths have none of.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug)]
struct More {
    truths: [Postings; 2],
    null: Postings,
    plain: Shapes,
    folded_texts: Texts,
    folded: Shapes,
    wildcards: Wildcards,
    lengths: Box<[u32]>,
    nets: Table<(u32, Address)>,
}

/// How a text starts and ends.
#[derive(Clone, Debug)]
struct Shapes {
    prefixes: Affixes<Postings>,
    suffixes: Affixes<Postings>,
}

impl Values {
    /// Adds the rules of which some test passes this value.
    pub(super) fn add_to(&self, value: Scalar<'_>, bits: &mut Bits) {
        match value {
            Scalar::Text(text) => {
                add(self.texts.get(text), bits);
                self.more.iter().for_each(|more| more.add_text(text, bits));
            }
            Scalar::Number(number) => {
                add(self.numbers.get(&number), bits);
                self.ranges.add_to(number, bits);
            }
            Scalar::Bool(truth) => add(self.more.as_ref().map(|more| &more.truths[usize::from(truth)]), bits),
            Scalar::Null => add(self.more.as_ref().map(|more| &more.null), bits),
        }
    }
}

impl More {
    fn add_text(&self, text: &str, bits: &mut Bits) {
        self.plain.add_to(text, bits);
        if !self.wildcards.is_empty() {
            self.wildcards.add_to(text, bits);
        }
        if !(self.folded_texts.is_empty() && self.folded.is_empty()) {
            let text = fold(text);
            add(self.folded_texts.get(&text), bits);
            self.folded.add_to(&text, bits);
        }
        if let (false, Some(address)) = (self.nets.is_empty(), Address::parse(text)) {
            self.lengths.iter().for_each(|length| add(self.nets.get(&(*length, address.network(*length))), bits));
        }
    }
}

impl Shapes {
    fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.suffixes.is_empty()
    }

    fn add_to(&self, text: &str, bits: &mut Bits) {
        self.prefixes.of_text(text, &mut |rules| rules.add_to(bits));
        self.suffixes.of_text(text, &mut |rules| rules.add_to(bits));
    }
}

fn add(rules: Option<&Postings>, bits: &mut Bits) {
    if let Some(rules) = rules {
        rules.add_to(bits);
    }
}

type Rules<K> = BTreeMap<K, Vec<u32>>;

/// Collects tests.
#[derive(Default)]
pub(super) struct ValuesBuilder {
    texts: Rules<Box<str>>,
    numbers: Rules<Exact>,
    ranges: Vec<(Range, u32)>,
    has_more: bool,
    truths: [Vec<u32>; 2],
    null: Vec<u32>,
    plain: [Rules<Box<str>>; 2],
    folded_texts: Rules<Box<str>>,
    folded: [Rules<Box<str>>; 2],
    wildcards: Rules<Wildcard>,
    nets: Rules<(u32, Address)>,
}

impl ValuesBuilder {
    pub(super) fn literal(&mut self, literal: &Literal, rule: u32) {
        match literal {
            Literal::Text(text) => push(&mut self.texts, text, rule),
            Literal::Number(number, _) => self.numbers.entry(*number).or_default().push(rule),
            Literal::Bool(truth) => self.more().truths[usize::from(*truth)].push(rule),
            Literal::Null => self.more().null.push(rule),
        }
    }

    pub(super) fn text(&mut self, test: &TextTest, rule: u32) {
        match test {
            TextTest::Prefix(text) => push(&mut self.more().plain[0], text, rule),
            TextTest::Suffix(text) => push(&mut self.more().plain[1], text, rule),
            TextTest::Equals(text) => push(&mut self.more().folded_texts, &text.folded, rule),
            TextTest::PrefixFolded(text) => push(&mut self.more().folded[0], &text.folded, rule),
            TextTest::SuffixFolded(text) => push(&mut self.more().folded[1], &text.folded, rule),
            TextTest::Wildcard(wildcard) => self.wildcard(wildcard, rule),
        }
    }

    /// Most wildcards are a literal, a prefix or a suffix in other words.
    fn wildcard(&mut self, wildcard: &Wildcard, rule: u32) {
        match wildcard.parts() {
            [text] => push(&mut self.texts, text, rule),
            [head, tail] if tail.is_empty() => push(&mut self.more().plain[0], head, rule),
            [head, tail] if head.is_empty() => push(&mut self.more().plain[1], tail, rule),
            _ => self.more().wildcards.entry(wildcard.clone()).or_default().push(rule),
        }
    }

    pub(super) fn range(&mut self, range: &Range, rule: u32) {
        self.ranges.push((range.clone(), rule));
    }

    pub(super) fn net(&mut self, net: &Net, rule: u32) {
        self.more().nets.entry((net.length, net.first)).or_default().push(rule);
    }

    fn more(&mut self) -> &mut Self {
        self.has_more = true;
        self
    }

    /// The tests of a group that has `bound` rules.
    pub(super) fn build(self, bound: usize) -> Values {
        let mut more = None;
        if self.has_more {
            let mut lengths: Vec<u32> = self.nets.keys().map(|(length, _)| *length).collect();
            lengths.dedup();
            more = Some(Box::new(More {
                truths: self.truths.map(|rules| Postings::of(rules, bound)),
                null: Postings::of(self.null, bound),
                plain: shapes(self.plain, bound),
                folded_texts: Texts::of(self.folded_texts, bound),
                folded: shapes(self.folded, bound),
                wildcards: Wildcards::of(self.wildcards, bound),
                lengths: lengths.into(),
                nets: Table::of(self.nets, bound),
            }));
        }
        Values {
            texts: Texts::of(self.texts, bound),
            numbers: Table::of(self.numbers, bound),
            ranges: Ranges::of(self.ranges),
            more,
        }
    }
}

fn push(map: &mut Rules<Box<str>>, key: &str, rule: u32) {
    match map.get_mut(key) {
        Some(rules) => rules.push(rule),
        None => drop(map.insert(key.into(), vec![rule])),
    }
}

fn shapes([prefixes, suffixes]: [Rules<Box<str>>; 2], bound: usize) -> Shapes {
    let frozen = |map: Rules<Box<str>>| map.into_iter().map(|(key, rules)| (key, Postings::of(rules, bound))).collect();
    Shapes { prefixes: Affixes::prefixes(frozen(prefixes)), suffixes: Affixes::suffixes(frozen(suffixes)) }
}
