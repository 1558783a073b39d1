//! Sorted tables: as fast as a hash map at these sizes, smaller, and the same in every process.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::postings::Postings;

/// Rules by key.
#[derive(Clone, Debug)]
pub(super) struct Table<K>(Box<[(K, Postings)]>);

impl<K: Ord> Table<K> {
    /// The rules of a group that has `bound` of them.
    pub(super) fn of(map: BTreeMap<K, Vec<u32>>, bound: usize) -> Self {
        Self(map.into_iter().map(|(key, rules)| (key, Postings::of(rules, bound))).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, key: &K) -> Option<&Postings> {
        let at = self.0.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        self.0.get(at).map(|(_, rules)| rules)
    }
}

/// Rules by text.
#[derive(Clone, Debug)]
pub(super) struct Texts(Box<[(Text, Postings)]>);

impl Texts {
    /// The rules of a group that has `bound` of them.
    pub(super) fn of(map: BTreeMap<Box<str>, Vec<u32>>, bound: usize) -> Self {
        // The order of texts is the order of their bytes.
        Self(map.into_iter().map(|(key, rules)| (Text::of(key.into()), Postings::of(rules, bound))).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Postings> {
        let (start, key) = (start(key.as_bytes()), key.as_bytes());
        let at = self.0.binary_search_by(|(known, _)| known.compare(start, key)).ok()?;
        self.0.get(at).map(|(_, rules)| rules)
    }
}

/// Bytes with their start beside them, which most comparisons need no more than.
#[derive(Clone, Debug)]
pub(super) struct Text {
    start: u64,
    pub(super) bytes: Box<[u8]>,
}

impl Text {
    pub(super) fn of(bytes: Box<[u8]>) -> Self {
        Self { start: start(&bytes), bytes }
    }

    /// Compares with `other`, whose [`start`] is known.
    pub(super) fn compare(&self, start: u64, other: &[u8]) -> Ordering {
        self.start.cmp(&start).then_with(|| self.bytes.as_ref().cmp(other))
    }
}

/// The first eight bytes as a number that compares as they do. What is shorter is filled up with zeros, so
/// equal numbers say nothing.
pub(super) fn start(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => bytes.iter().zip((0..8).rev()).map(|(byte, place)| u64::from(*byte) << (8 * place)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found() {
        let known = ["", "\0", "a", "a\0", "ab", "abcdefgh", "abcdefghi", "abcdefgi", "b", "ä"];
        let map = known.iter().zip(0..).map(|(text, at)| (Box::from(*text), vec![at])).collect();
        let texts = Texts::of(map, known.len());
        for (text, at) in known.iter().zip(0..) {
            assert!(matches!(texts.get(text), Some(Postings::One(found)) if *found == at), "{text:?}");
        }
        for text in ["\0\0", "aa", "abcdefg", "abcdefghij", "c", "B"] {
            assert!(texts.get(text).is_none(), "{text:?}");
        }
    }
}
