//! Numbers that compare without rounding.

use std::cmp::Ordering;

use serde_json::Number;

/// Beyond this a float is far from every 64-bit integer, and is kept as a float.
const WHOLE_LIMIT: f64 = (1_u128 << 126) as f64;

/// The exact value of a JSON number: equal values are equal, however they were written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exact {
    Whole(i128),
    /// Not a whole number, or one beyond [`WHOLE_LIMIT`]; infinities stand for open ends. Never NaN.
    Float(f64),
}

impl Exact {
    /// Greater than every JSON number.
    pub(crate) const MAX: Exact = Exact::Float(f64::INFINITY);
    /// Less than every JSON number.
    pub(crate) const MIN: Exact = Exact::Float(f64::NEG_INFINITY);

    pub(crate) fn of(number: &Number) -> Self {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        match (whole, number.as_f64()) {
            (Some(whole), _) => Exact::Whole(whole),
            (None, Some(float)) => Exact::of_float(float),
            // Not reached: a number that is no integer is a float.
            (None, None) => Exact::Whole(0),
        }
    }

    fn of_float(float: f64) -> Self {
        if float.abs() < WHOLE_LIMIT && float.fract() == 0.0 {
            Exact::Whole(float as i128)
        } else {
            Exact::Float(float)
        }
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Exact::Whole(a), Exact::Whole(b)) => a.cmp(b),
            (Exact::Whole(a), Exact::Float(b)) => whole_with_float(*a, *b),
            (Exact::Float(a), Exact::Whole(b)) => whole_with_float(*b, *a).reverse(),
            (Exact::Float(a), Exact::Float(b)) => a.total_cmp(b),
        }
    }
}

fn whole_with_float(whole: i128, float: f64) -> Ordering {
    if float.abs() >= WHOLE_LIMIT {
        return 0f64.total_cmp(&float);
    }
    whole.cmp(&(float.trunc() as i128)).then_with(|| 0f64.total_cmp(&float.fract()))
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Exact {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(smaller: &str, greater: &str) {
        let exact = |text: &str| Exact::of(&serde_json::from_str::<Number>(text).unwrap());
        assert_eq!(exact(smaller).cmp(&exact(greater)), Ordering::Less, "{smaller} {greater}");
        assert_eq!(exact(greater).cmp(&exact(smaller)), Ordering::Greater, "{smaller} {greater}");
        assert_eq!(exact(smaller), exact(smaller));
    }

    #[test]
    fn numbers_compare_without_rounding() {
        check("9007199254740992", "9007199254740993");
        check("9007199254740992.0", "9007199254740993");
        check("18446744073709551614", "18446744073709551615");
        check("-9223372036854775808", "-9223372036854775807");
        check("-1e300", "-9223372036854775808");
        check("18446744073709551615", "1e300");
        check("0.1", "0.2");
        check("-0.5", "0");
        check("-1", "-0.5");
        check("1", "1.5");
        check("5e-324", "1");
    }

    #[test]
    fn one_value_written_twice_is_one_value() {
        for (a, b) in [("80", "80.0"), ("0", "-0.0"), ("1e2", "100"), ("1e18", "1000000000000000000")] {
            let exact = |text: &str| Exact::of(&serde_json::from_str::<Number>(text).unwrap());
            assert_eq!(exact(a), exact(b), "{a} {b}");
        }
    }
}
