//! What the rules of a group ask at one path of an event.

use serde_json::Value;

use super::bits::Bits;
use super::places::Found;
use super::postings::Postings;
use super::values::Values;
use crate::pattern::{Scalar, Seen, scalars};

/// One path, and which rules each value there lets through.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// The keys from the top.
    pub(super) steps: Box<[Box<str>]>,
    /// Its place among the group's.
    pub(super) place: u32,
    /// The rules that ask nothing here.
    pub(super) free: Bits,
    pub(super) present: Postings,
    pub(super) missing: Postings,
    pub(super) values: Values,
    pub(super) but: Option<Box<But>>,
}

/// Rules that a value lets through unless they list it.
#[derive(Clone, Debug)]
pub(super) struct But {
    pub(super) texts: Bits,
    pub(super) numbers: Bits,
    pub(super) listed: Values,
}

/// Sets to work with, as large as the group.
pub(super) struct Scratch {
    pub(super) held: Bits,
    listed: Bits,
}

impl Scratch {
    pub(super) fn new(bound: usize) -> Self {
        Self { held: Bits::none(bound), listed: Bits::none(bound) }
    }
}

impl Path {
    /// Puts the rules that let through what was found at this path into `scratch.held`.
    pub(super) fn read(&self, found: Found<'_>, scratch: &mut Scratch) {
        scratch.held.copy_from(&self.free);
        let present = match found {
            Found::At(seen, depth) => self.below(seen, &self.steps[depth..], scratch),
            Found::Missing | Found::Unknown => false,
        };
        if present { &self.present } else { &self.missing }.add_to(&mut scratch.held);
    }

    /// Whether there is something at the path. Of a list, every element is read.
    fn below(&self, seen: Seen<'_>, steps: &[Box<str>], scratch: &mut Scratch) -> bool {
        let Some((name, rest)) = steps.split_first() else {
            scalars(seen, &mut |scalar| self.value(scalar, scratch));
            return true;
        };
        match seen {
            Seen::Json(Value::Object(map)) => {
                map.get(name.as_ref()).is_some_and(|value| self.below(Seen::Json(value), rest, scratch))
            }
            Seen::Json(Value::Array(items)) => {
                items.iter().filter(|item| self.below(Seen::Json(item), steps, scratch)).count() > 0
            }
            _ => false,
        }
    }

    fn value(&self, value: Scalar<'_>, scratch: &mut Scratch) {
        self.values.add_to(value, &mut scratch.held);
        let Some(but) = &self.but else { return };
        let unless_listed = match value {
            Scalar::Text(_) => &but.texts,
            Scalar::Number(_) => &but.numbers,
            Scalar::Bool(_) | Scalar::Null => return,
        };
        scratch.listed.clear();
        but.listed.add_to(value, &mut scratch.listed);
        scratch.held.union_without(unless_listed, &scratch.listed);
    }
}
