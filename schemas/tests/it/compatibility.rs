//! What is said to be compatible is so: held against the validator, over random schemas and values.

use serde_json::{Map, Value, json};
use spine_core::compatibility::{Compatibility, check};

/// Numbers that are the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % count as u64).unwrap()
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn schema(&mut self, depth: usize) -> Value {
        if self.below(6) == 0 {
            return json!(self.below(4) > 0);
        }
        let mut schema = Map::new();
        for _ in 0..=self.below(3) {
            let (key, value) = self.keyword(depth);
            schema.insert(key.into(), value);
        }
        Value::Object(schema)
    }

    fn keyword(&mut self, depth: usize) -> (&'static str, Value) {
        let types = ["null", "boolean", "object", "array", "string", "number", "integer"];
        let small = json!(self.one(&[0.0, 0.5, 1.0, 2.0]));
        let count = json!(self.below(3));
        match self.below(if depth == 0 { 11 } else { 15 }) {
            0 => ("type", json!(self.one(&types))),
            1 => ("type", json!([types[self.below(3)], types[3 + self.below(4)]])),
            2 => ("enum", json!([self.value(1), self.value(1), "a"])),
            3 => ("const", self.value(1)),
            4 => (self.one(&["minimum", "exclusiveMinimum"]), small),
            5 => (self.one(&["maximum", "exclusiveMaximum"]), small),
            6 => (self.one(&["minLength", "minItems", "minProperties"]), count),
            7 => (self.one(&["maxLength", "maxItems", "maxProperties"]), count),
            8 => ("required", json!([self.one(&["a", "b"])])),
            9 => ("uniqueItems", json!(self.below(2) == 0)),
            10 => ("pattern", json!(self.one(&["a", "b"]))),
            11 => ("items", self.schema(depth - 1)),
            12 => ("additionalProperties", self.schema(depth - 1)),
            13 => ("properties", json!({"a": self.schema(depth - 1), "b": self.schema(depth - 1)})),
            _ => (self.one(&["anyOf", "allOf", "oneOf"]), json!([self.schema(depth - 1), self.schema(depth - 1)])),
        }
    }

    /// As `schema`, with one keyword put in, changed or taken out, at any depth.
    fn changed(&mut self, schema: &Value, depth: usize) -> Value {
        let Value::Object(map) = schema else { return self.schema(depth) };
        let mut map = map.clone();
        let inner: Vec<String> =
            map.iter().filter(|(_, value)| value.is_object()).map(|(key, _)| key.clone()).collect();
        match self.below(3) {
            0 if !inner.is_empty() && depth > 0 => {
                let key = self.one(&inner);
                let value = self.changed(&map[&key], depth - 1);
                map.insert(key, value);
            }
            1 if !map.is_empty() => {
                let keys: Vec<String> = map.keys().cloned().collect();
                map.remove(&self.one(&keys));
            }
            _ => {
                let (key, value) = self.keyword(depth);
                map.insert(key.into(), value);
            }
        }
        Value::Object(map)
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(3)),
            3 => json!(self.one(&[0.5, 1.5, 2.0, -1.0])),
            4 => json!(self.one(&["", "a", "b", "ab"])),
            5 => json!(self.one(&[-1, 7])),
            6 => (0..self.below(3)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let names = ["a", "b", "c"];
                (0..self.below(4)).map(|_| (self.one(&names).to_owned(), self.value(depth - 1))).collect()
            }
        }
    }
}

#[test]
fn what_is_said_to_be_compatible_is_so() {
    let mut random = Random(0x5eed_1234_5678_9abc);
    let mut compatible = 0;
    for _ in 0..8_000 {
        let old = random.schema(2);
        let new = random.changed(&old, 2);
        if old == new || !check(Compatibility::of("backward"), &old, &new).is_empty() {
            continue;
        }
        let (Ok(reads), Ok(writes)) = (spine_schemas::compile(&new), spine_schemas::compile(&old)) else { continue };
        compatible += 1;
        for _ in 0..60 {
            let value = random.value(3);
            assert!(!writes.is_valid(&value) || reads.is_valid(&value), "{old} -> {new}: {value}");
        }
    }
    assert!(compatible > 500, "only {compatible}");
}
