//! Sets of rules of one group.

/// A set of numbers below a fixed bound.
#[derive(Clone, Debug)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    /// No number; room for those below `bound`.
    pub(super) fn none(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)].into())
    }

    /// All numbers below `bound`.
    pub(super) fn all(bound: usize) -> Self {
        let mut bits = Self(vec![u64::MAX; bound.div_ceil(64)].into());
        if let (Some(last), rest @ 1..) = (bits.0.last_mut(), bound % 64) {
            *last = (1 << rest) - 1;
        }
        bits
    }

    /// These numbers.
    pub(super) fn of(numbers: &[u32], bound: usize) -> Self {
        let mut bits = Self::none(bound);
        numbers.iter().for_each(|number| bits.insert(*number));
        bits
    }

    pub(super) fn insert(&mut self, number: u32) {
        self.0[number as usize / 64] |= 1 << (number % 64);
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn copy_from(&mut self, other: &Bits) {
        self.0.copy_from_slice(&other.0);
    }

    pub(super) fn union(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// Adds what is in `other` and not in `without`.
    pub(super) fn union_without(&mut self, other: &Bits, without: &Bits) {
        self.0.iter_mut().zip(&other.0).zip(&without.0).for_each(|((a, b), c)| *a |= b & !c);
    }

    /// Keeps what is in `other`. False if nothing is left.
    pub(super) fn intersect(&mut self, other: &Bits) -> bool {
        let mut left = 0;
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a &= b;
            left |= *a;
        }
        left != 0
    }

    /// Removes what is in `other`.
    pub(super) fn subtract(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !b);
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The numbers, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().zip(0_u32..).flat_map(|(word, at)| {
            let rest = |word: &u64| Some(word & (word - 1)).filter(|rest| *rest != 0);
            let words = std::iter::successors(Some(*word).filter(|word| *word != 0), rest);
            words.map(move |word| at * 64 + word.trailing_zeros())
        })
    }
}

/// Counts to two for each number at once.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) once: Bits,
    pub(super) twice: Bits,
}

impl Tally {
    pub(super) fn new(bound: usize) -> Self {
        Self { once: Bits::none(bound), twice: Bits::none(bound) }
    }

    /// Counts each number of `domain` that is not in `held`.
    pub(super) fn count_missing(&mut self, domain: &Bits, held: &Bits) {
        let words = self.once.0.iter_mut().zip(&mut self.twice.0).zip(domain.0.iter().zip(&held.0));
        for ((once, twice), (domain, held)) in words {
            let missing = domain & !held;
            *twice |= *once & missing;
            *once |= missing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_numbers() {
        for bound in [0, 1, 63, 64, 65, 200] {
            let all = Bits::all(bound);
            assert_eq!(all.iter().collect::<Vec<_>>(), (0..bound as u32).collect::<Vec<_>>());
            assert_eq!((all.count(), Bits::none(bound).count()), (bound, 0));
        }
        let (a, b) = (Bits::of(&[1, 64, 130], 200), Bits::of(&[64, 199], 200));
        let check = |change: &dyn Fn(&mut Bits), expected: &[u32]| {
            let mut bits = a.clone();
            change(&mut bits);
            assert_eq!(bits.iter().collect::<Vec<_>>(), expected);
        };
        check(&|bits| bits.union(&b), &[1, 64, 130, 199]);
        check(&|bits| bits.subtract(&b), &[1, 130]);
        check(&|bits| assert!(bits.intersect(&b)), &[64]);
        check(&|bits| assert!(!bits.intersect(&Bits::none(200))), &[]);
        check(&|bits| bits.union_without(&b, &a), &[1, 64, 130, 199]);
    }

    #[test]
    fn a_tally_counts_to_two() {
        let mut tally = Tally::new(4);
        let domain = Bits::of(&[0, 1, 2], 4);
        for held in [&[0, 1, 2][..], &[0, 1], &[0], &[0]] {
            tally.count_missing(&domain, &Bits::of(held, 4));
        }
        assert_eq!(tally.once.iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(tally.twice.iter().collect::<Vec<_>>(), [1, 2]);
        tally = Tally::new(4);
        tally.count_missing(&domain, &Bits::of(&[0, 3], 4));
        assert_eq!((tally.once.count(), tally.twice.count()), (2, 0));
    }
}
