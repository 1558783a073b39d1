//! Random triggers and events over an alphabet so small that they often meet.

use serde_json::{Map, Value, json};
use spine_core::event::{Data, Event};

const TYPES: [&str; 4] = ["t", "t.u", "t.u.v", "t.w"];
const LISTENED: [&str; 7] = ["t", "t.u", "t.u.v", "t.w", "t.*", "t.u.*", "x"];
const SOURCES: [&str; 4] = ["/a", "/a/b", "/b", "/ab"];
const SOURCE_PATTERNS: [&str; 6] = ["/a", "/a*", "*b", "/*/*", "**", "/b"];
const KEYS: [&str; 5] = ["a", "b", "c", "a.b", "ä"];
const TEXTS: [&str; 18] = [
    "",
    "a",
    "b",
    "ab",
    "ba",
    "aba",
    "AB",
    "aB",
    "ä",
    "Ä",
    "ß",
    "SS",
    "a*b",
    "a\\b",
    "10.1.2.3",
    "10.200.0.1",
    "2001:db8::1",
    "::ffff:10.1.2.3",
];
const PARTS: [&str; 9] = ["a", "b", "ab", "A", "ä", "ss", "a*b", "10.", "\\"];
const WILDCARDS: [&str; 14] =
    ["*", "a*", "*a", "a*a", "*a*", "a*b*a", "*a*b*", "*b*a*", r"a\*b", r"a\\*", "ab", "1*.*.*.*", "*ä*", r"*\**"];
const NETS: [&str; 8] =
    ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "::/0", "::ffff:0:0/96", "10.128.0.0/9"];
const NUMBERS: [&str; 16] = [
    "0",
    "-0.0",
    "1",
    "1.0",
    "2",
    "-1",
    "0.5",
    "1.5",
    "80",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "18446744073709551615",
    "-9223372036854775808",
    "1e300",
    "1e2",
];

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// One to three triggers of an activity.
    pub(crate) fn triggers(&mut self) -> Value {
        let count = if self.one_in(4) { 3 } else { 1 };
        (0..count).map(|_| self.trigger()).collect()
    }

    fn trigger(&mut self) -> Value {
        let mut trigger = json!({"event": self.pick(&LISTENED)});
        if self.one_in(5) {
            trigger["source"] = self.pick(&SOURCE_PATTERNS).into();
        }
        if !self.one_in(8) {
            trigger["match"] = self.pattern();
        }
        trigger
    }

    fn pattern(&mut self) -> Value {
        let mut pattern = json!({"data": self.fields(2)});
        if self.one_in(6) {
            pattern["source"] = json!([{"prefix": "/a"}, "/b"]);
        }
        if self.one_in(6) {
            pattern["subject"] = self.leaf();
        }
        if self.one_in(10) {
            pattern["$or"] = self.or(1);
        }
        pattern
    }

    fn fields(&mut self, depth: usize) -> Value {
        let mut fields = Map::new();
        for _ in 0..1 + self.below(2) {
            let value = if depth > 0 && self.one_in(3) { self.fields(depth - 1) } else { self.leaf() };
            fields.insert(self.pick(&KEYS).into(), value);
        }
        if depth > 0 && self.one_in(4) {
            fields.insert("$or".into(), self.or(depth - 1));
        }
        Value::Object(fields)
    }

    fn or(&mut self, depth: usize) -> Value {
        (0..2 + self.below(2)).map(|_| self.fields(depth)).collect()
    }

    fn leaf(&mut self) -> Value {
        (0..1 + self.below(3)).map(|_| self.alternative()).collect()
    }

    fn alternative(&mut self) -> Value {
        match self.below(13) {
            0..3 => self.scalar(),
            3 => json!({"prefix": self.affix()}),
            4 => json!({"suffix": self.affix()}),
            5 => json!({"equals-ignore-case": self.pick(&TEXTS[1..])}),
            6 => json!({"wildcard": self.pick(&WILDCARDS)}),
            7 | 8 => json!({"anything-but": self.excluded()}),
            9 | 10 => json!({"numeric": self.range()}),
            11 => json!({"exists": self.one_in(2)}),
            _ => json!({"cidr": self.pick(&NETS)}),
        }
    }

    fn affix(&mut self) -> Value {
        let part = self.pick(&PARTS);
        if self.one_in(3) { json!({"equals-ignore-case": part}) } else { part.into() }
    }

    fn excluded(&mut self) -> Value {
        match self.below(7) {
            0 => self.pick(&TEXTS).into(),
            1 => self.number(),
            2 => json!([self.pick(&TEXTS), self.number(), self.pick(&TEXTS)]),
            3 => json!({"prefix": [self.affix(), self.pick(&PARTS)]}),
            4 => json!({"suffix": self.affix()}),
            5 => json!({"equals-ignore-case": [self.pick(&TEXTS[1..]), self.pick(&TEXTS[1..])]}),
            _ => json!({"wildcard": self.pick(&WILDCARDS)}),
        }
    }

    /// A range that is not empty, with its bounds in either order.
    fn range(&mut self) -> Value {
        let one = json!([self.pick(&["<", "<=", "=", ">=", ">"]), self.number()]);
        if self.one_in(2) {
            return one;
        }
        let (lower, upper) = (self.pick(&[">", ">="]), self.pick(&["<", "<="]));
        let between = [
            json!([lower, -1, upper, 1]),
            json!([upper, 1.5, lower, 0.5]),
            json!([lower, 9_007_199_254_740_992_u64, upper, 9_007_199_254_740_994_u64]),
            json!([lower, 1, upper, 80]),
            json!([">=", 1, "<=", 1.0]),
        ];
        between[self.below(between.len())].clone()
    }

    fn number(&mut self) -> Value {
        serde_json::from_str(self.pick(&NUMBERS)).unwrap()
    }

    fn scalar(&mut self) -> Value {
        match self.below(9) {
            0..4 => self.pick(&TEXTS).into(),
            4..7 => self.number(),
            7 => json!(self.one_in(2)),
            _ => Value::Null,
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(8) {
            0 | 1 if depth > 0 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            2 | 3 if depth > 0 => {
                (0..self.below(4)).map(|_| (self.pick(&KEYS).to_owned(), self.value(depth - 1))).collect()
            }
            _ => self.scalar(),
        }
    }

    pub(crate) fn event(&mut self) -> Event {
        let mut event = Event::new(self.pick(&TYPES), self.pick(&SOURCES), "1");
        if self.one_in(2) {
            event.subject = Some(self.pick(&TEXTS[1..]).into());
        }
        event.data = match self.below(12) {
            0 => Data::None,
            1 => Data::Text(self.pick(&TEXTS).into()),
            2 => Data::Binary(vec![1, 2]),
            3 => Data::Json(self.value(3)),
            _ => Data::Json(KEYS.iter().filter_map(|key| self.field(key)).collect()),
        };
        event
    }

    fn field(&mut self, key: &str) -> Option<(String, Value)> {
        (!self.one_in(3)).then(|| (key.to_owned(), self.value(3)))
    }
}
