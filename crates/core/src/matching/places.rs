//! Where the paths of a group are in one event. Paths share their beginnings, so an object that several
//! lead through is looked into once.

use serde_json::{Map, Value};

use crate::pattern::{EventView, Root, Seen};

/// Up to so many comparisons of keys, asking an object's keys one after the other is faster than
/// looking each up.
const SCAN: usize = 256;

/// The keys on all paths of a group, as a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Vec<Place>);

#[derive(Clone, Debug)]
struct Place {
    key: Box<str>,
    /// None at the top of the event.
    parent: Option<u32>,
    children: Vec<u32>,
    /// How many keys lead here.
    depth: usize,
}

/// What is known of a place in one event.
#[derive(Clone, Copy)]
pub(super) enum Found<'e> {
    Unknown,
    Missing,
    /// What stands there, or the list on the way there; and how many keys lead to it.
    At(Seen<'e>, usize),
}

impl Places {
    /// The place of this path, which is added if it is new.
    pub(super) fn add(&mut self, path: &[&str]) -> u32 {
        let mut parent = None;
        let mut at = 0;
        for (key, depth) in path.iter().zip(1..) {
            let known = match parent {
                Some(parent) => {
                    self.children(parent).iter().copied().find(|child| *self.0[*child as usize].key == **key)
                }
                None => (0..).zip(&self.0).find(|(_, one)| one.parent.is_none() && *one.key == **key).map(|(at, _)| at),
            };
            at = known.unwrap_or_else(|| self.push(parent, key, depth));
            parent = Some(at);
        }
        at
    }

    fn push(&mut self, parent: Option<u32>, key: &str, depth: usize) -> u32 {
        let at = self.0.len() as u32;
        self.0.push(Place { key: key.into(), parent, children: Vec::new(), depth });
        if let Some(parent) = parent {
            self.0[parent as usize].children.push(at);
        }
        at
    }

    fn children(&self, at: u32) -> &[u32] {
        &self.0[at as usize].children
    }

    /// All places of an event, none of which is known yet.
    pub(super) fn unknown<'e>(&self) -> Vec<Found<'e>> {
        vec![Found::Unknown; self.0.len()]
    }

    /// Finds a place in an event. `known` keeps what was found on the way.
    pub(super) fn find<'e>(&self, at: u32, event: &'e EventView<'_>, known: &mut [Found<'e>]) -> Found<'e> {
        if let found @ (Found::Missing | Found::At(..)) = known[at as usize] {
            return found;
        }
        let place = &self.0[at as usize];
        let found = match place.parent {
            None => event.field(&place.key).map_or(Found::Missing, |seen| Found::At(seen, 1)),
            Some(parent) => match self.find(parent, event, known) {
                Found::At(Seen::Json(Value::Object(map)), _) => {
                    self.look_into(map, parent, known);
                    return known[at as usize];
                }
                // Whatever the list's elements hold is for the reader of the path to find.
                found @ Found::At(Seen::Json(Value::Array(_)), _) => found,
                _ => Found::Missing,
            },
        };
        known[at as usize] = found;
        found
    }

    /// Finds all that lies directly below a place.
    fn look_into<'e>(&self, map: &'e Map<String, Value>, parent: u32, known: &mut [Found<'e>]) {
        let children = self.children(parent);
        let depth = self.0[parent as usize].depth + 1;
        if map.len() * children.len() > SCAN {
            for child in children {
                let value = map.get(&*self.0[*child as usize].key);
                known[*child as usize] = value.map_or(Found::Missing, |value| Found::At(Seen::Json(value), depth));
            }
            return;
        }
        children.iter().for_each(|child| known[*child as usize] = Found::Missing);
        for (key, value) in map {
            if let Some(child) = children.iter().find(|child| *self.0[**child as usize].key == **key) {
                known[*child as usize] = Found::At(Seen::Json(value), depth);
            }
        }
    }
}
