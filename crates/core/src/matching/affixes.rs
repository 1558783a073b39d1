//! Which of many texts another text starts with, or ends with.

use std::collections::BTreeMap;

use super::table::{Text, start};

/// Texts in order, each with the longest other one that it starts with. All of them that a text starts
/// with stand on the way up from its place in the order, so a thousand overlapping ones cost no more than a walk.
#[derive(Clone, Debug)]
pub(super) struct Affixes<T> {
    keys: Box<[Key<T>]>,
    longest: usize,
    backward: bool,
}

#[derive(Clone, Debug)]
struct Key<T> {
    text: Text,
    parent: Option<u32>,
    value: T,
}

impl<T> Affixes<T> {
    pub(super) fn prefixes(map: BTreeMap<Box<str>, T>) -> Self {
        Self::of(map.into_iter().map(|(text, value)| (text.into_boxed_bytes(), value)).collect(), false)
    }

    pub(super) fn suffixes(map: BTreeMap<Box<str>, T>) -> Self {
        let backward = |text: Box<str>| text.bytes().rev().collect();
        Self::of(map.into_iter().map(|(text, value)| (backward(text), value)).collect(), true)
    }

    fn of(mut texts: Vec<(Box<[u8]>, T)>, backward: bool) -> Self {
        texts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let longest = texts.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
        let mut keys: Vec<Key<T>> = Vec::with_capacity(texts.len());
        let mut open: Vec<u32> = Vec::new();
        for (at, (text, value)) in (0..).zip(texts) {
            while open.pop_if(|outer| !text.starts_with(&keys[*outer as usize].text.bytes)).is_some() {}
            keys.push(Key { text: Text::of(text), parent: open.last().copied(), value });
            open.push(at);
        }
        Self { keys: keys.into(), longest, backward }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Calls `found` for each of the texts that `text` starts (or ends) with.
    pub(super) fn of_text<'s>(&'s self, text: &str, found: &mut dyn FnMut(&'s T)) {
        if self.keys.is_empty() {
            return;
        }
        let bytes = text.as_bytes();
        let length = bytes.len().min(self.longest);
        if self.backward {
            let reversed: Vec<u8> = bytes[bytes.len() - length..].iter().rev().copied().collect();
            self.walk(&reversed, found);
        } else {
            self.walk(&bytes[..length], found);
        }
    }

    fn walk<'s>(&'s self, text: &[u8], found: &mut dyn FnMut(&'s T)) {
        let start = start(text);
        let after = self.keys.partition_point(|key| key.text.compare(start, text).is_le());
        let Some(nearest) = after.checked_sub(1).and_then(|at| self.keys.get(at)) else { return };
        let common = nearest.text.bytes.iter().zip(text).take_while(|(a, b)| a == b).count();
        let mut at = Some(nearest);
        while let Some(key) = at {
            if key.text.bytes.len() <= common {
                found(&key.value);
            }
            at = key.parent.and_then(|parent| self.keys.get(parent as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_texts_that_a_text_starts_or_ends_with() {
        let texts = ["", "a", "aa", "aab", "ab", "abc", "b", "bä", "ä", "abcd"];
        let map = || texts.iter().map(|text| (Box::from(*text), *text)).collect::<BTreeMap<Box<str>, _>>();
        let (prefixes, suffixes) = (Affixes::prefixes(map()), Affixes::suffixes(map()));
        for text in ["", "a", "aa", "aaa", "aabb", "ab", "abcz", "abcd", "bää", "ä", "c", "cab", "xaab", "z"] {
            let mut found = Vec::new();
            prefixes.of_text(text, &mut |one| found.push(*one));
            found.sort_unstable_by_key(|one| texts.iter().position(|text| text == one));
            assert_eq!(found, texts.into_iter().filter(|one| text.starts_with(one)).collect::<Vec<_>>(), "{text}");
            found.clear();
            suffixes.of_text(text, &mut |one| found.push(*one));
            found.sort_unstable_by_key(|one| texts.iter().position(|text| text == one));
            assert_eq!(found, texts.into_iter().filter(|one| text.ends_with(one)).collect::<Vec<_>>(), "{text}");
        }
    }
}
