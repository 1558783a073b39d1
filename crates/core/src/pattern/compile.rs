//! Reads and checks a pattern; all problems are reported at once.

use serde_json::{Map, Value};

use super::operand::operator;
use super::operator::{Literal, Operator};
use super::{Field, MAX_ALTERNATIVES, MAX_COMBINATIONS, MAX_DEPTH, MAX_EXPANDED, MAX_PARTS, MAX_TEXT_BYTES, Pattern};
use crate::words;

type Errors = Vec<(String, String)>;

pub(super) fn compile(value: &Value) -> Result<Pattern, Errors> {
    let mut compiler = Compiler { errors: Errors::new(), parts: 0 };
    let pattern = compiler.pattern(value, "", 1);
    if compiler.errors.is_empty()
        && let Some(message) = too_large(&pattern)
    {
        compiler.errors.push((String::new(), message));
    }
    if compiler.errors.is_empty() { Ok(pattern) } else { Err(compiler.errors) }
}

fn too_large(pattern: &Pattern) -> Option<String> {
    let expansion = pattern.expansion();
    if expansion.rules > MAX_COMBINATIONS {
        return Some(format!(
            "the alternatives of `$or` make {} combinations; at most {MAX_COMBINATIONS} are allowed, so write several triggers, or say it with `when`",
            expansion.rules
        ));
    }
    (expansion.values > MAX_EXPANDED).then(|| {
        format!(
            "the combinations of `$or` repeat {} values in all; at most {MAX_EXPANDED} are allowed, so put the long lists into fewer of them",
            expansion.values
        )
    })
}

/// Whether this is an operator where a list of alternatives should stand. Fields of an event may be called as
/// operators are, so a list is taken for a field's, where it can be one.
fn is_bare_operator(map: &Map<String, Value>) -> bool {
    let mut entries = map.iter();
    let (Some((name, value)), None) = (entries.next(), entries.next()) else { return false };
    match (name.as_str(), value) {
        ("anything-but" | "equals-ignore-case", _) => true,
        ("numeric", Value::Array(items)) => {
            items.first().and_then(Value::as_str).is_some_and(|text| ["<", "<=", "=", ">=", ">"].contains(&text))
        }
        ("prefix" | "suffix" | "wildcard" | "cidr" | "exists" | "numeric", value) => {
            !value.is_array() && !value.is_object()
        }
        _ => false,
    }
}

struct Compiler {
    errors: Errors,
    parts: usize,
}

impl Compiler {
    fn pattern(&mut self, value: &Value, pointer: &str, depth: usize) -> Pattern {
        let mut pattern = Pattern::default();
        let Some(map) = self.object(value, pointer, depth) else { return pattern };
        for (name, value) in map {
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            if !self.counts(&pointer, 1) {
                break;
            }
            if name == "$or" {
                pattern.or = self.or(value, &pointer, depth);
            } else if name.len() > MAX_TEXT_BYTES {
                self.error(&pointer, format!("the key has {} bytes; at most {MAX_TEXT_BYTES} are allowed", name.len()));
            } else if let Some(field) = self.field(value, &pointer, depth) {
                pattern.fields.insert(name.clone(), field);
            }
        }
        pattern
    }

    fn object<'v>(&mut self, value: &'v Value, pointer: &str, depth: usize) -> Option<&'v Map<String, Value>> {
        let message = match value {
            Value::Object(map) if map.is_empty() => {
                "the pattern has no field; name at least one, e.g. {total: [{numeric: [\">\", 100]}]}".into()
            }
            Value::Object(_) if depth > MAX_DEPTH => {
                format!("nested too deep: at most {MAX_DEPTH} objects in one another")
            }
            Value::Object(map) => return Some(map),
            _ => format!("a pattern is an object of fields, not {}", words::kind(value)),
        };
        self.error(pointer, message);
        None
    }

    fn or(&mut self, value: &Value, pointer: &str, depth: usize) -> Vec<Pattern> {
        match value {
            Value::Array(items) if items.len() >= 2 => {
                let items = items.iter().enumerate();
                items.map(|(at, item)| self.pattern(item, &format!("{pointer}/{at}"), depth + 1)).collect()
            }
            Value::Array(items) => {
                let seen = if items.is_empty() { "none" } else { "one" };
                self.error(pointer, format!("`$or` takes a list of at least two patterns, and there is {seen}"));
                Vec::new()
            }
            other => {
                self.error(pointer, format!("`$or` takes a list of at least two patterns, not {}", words::kind(other)));
                Vec::new()
            }
        }
    }

    fn field(&mut self, value: &Value, pointer: &str, depth: usize) -> Option<Field> {
        let message = match value {
            Value::Object(map) if is_bare_operator(map) => format!("an operator stands in a list: write [{value}]"),
            Value::Object(_) => return Some(Field::Fields(self.pattern(value, pointer, depth + 1))),
            Value::Array(items) if items.is_empty() => {
                "the list of alternatives is empty, so nothing can match; name at least one value".into()
            }
            Value::Array(items) if items.len() > MAX_ALTERNATIVES => {
                format!("the list has {} alternatives; at most {MAX_ALTERNATIVES} are allowed", items.len())
            }
            Value::Array(items) => return self.leaf(items, pointer),
            scalar => format!("a field holds a list of alternatives: write [{scalar}]"),
        };
        self.error(pointer, message);
        None
    }

    fn leaf(&mut self, items: &[Value], pointer: &str) -> Option<Field> {
        let mut alternatives = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let pointer = format!("{pointer}/{at}");
            match alternative(item) {
                Ok(operator) if self.counts(&pointer, operator.weight()) => alternatives.push(operator),
                Ok(_) => return None,
                Err(message) => self.error(&pointer, message),
            }
        }
        Some(Field::Leaf(alternatives))
    }

    /// Counts further parts. False, with an error the first time, if there are too many.
    fn counts(&mut self, pointer: &str, parts: usize) -> bool {
        let before = self.parts;
        self.parts = before.saturating_add(parts);
        if before <= MAX_PARTS && self.parts > MAX_PARTS {
            let message = format!("the pattern has too many parts: at most {MAX_PARTS} fields and values are allowed");
            self.error(pointer, message);
        }
        self.parts <= MAX_PARTS
    }

    fn error(&mut self, pointer: &str, message: String) {
        self.errors.push((pointer.to_owned(), message));
    }
}

fn alternative(value: &Value) -> Result<Operator, String> {
    match value {
        Value::Object(map) => operator(map),
        Value::String(text) if text.len() > MAX_TEXT_BYTES => {
            Err(format!("the text has {} bytes; at most {MAX_TEXT_BYTES} are allowed", text.len()))
        }
        other => Literal::of(other)
            .map(Operator::Literal)
            .ok_or_else(|| "an alternative is a value or an operator, not a list".into()),
    }
}
