//! Reads values out of a tree and notes what is wrong instead of stopping at it.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::grammar;
use crate::document::{Entry, Node, NodeValue, Pos, Report, item_path, key_path};

/// The keys that an object may have.
pub(super) struct Keys {
    known: &'static [&'static str],
    later: &'static [&'static str],
}

impl Keys {
    pub(super) const fn new(known: &'static [&'static str]) -> Self {
        Self { known, later: &[] }
    }

    /// These keys belong to the format, but are not built yet.
    pub(super) const fn later(self, later: &'static [&'static str]) -> Self {
        Self { later, ..self }
    }
}

/// A node, its path, and where a problem with it is reported.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) pos: Pos,
    key_pos: Pos,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new(), pos: node.pos, key_pos: node.pos }
    }

    fn child(&self, entry: &'a Entry) -> Self {
        let path = key_path(&self.path, &entry.key);
        Self { node: &entry.value, path, pos: entry.value.pos, key_pos: entry.key_pos }
    }

    fn item(&self, index: usize, node: &'a Node) -> Self {
        Self { node, path: item_path(&self.path, index), pos: node.pos, key_pos: node.pos }
    }

    /// Every text at or below this node.
    pub(super) fn texts(&self) -> Vec<(Cursor<'a>, &'a str)> {
        match &self.node.value {
            NodeValue::String(text) => vec![(self.clone(), text)],
            NodeValue::List(items) => {
                items.iter().enumerate().flat_map(|(i, item)| self.item(i, item).texts()).collect()
            }
            NodeValue::Map(entries) => entries.iter().flat_map(|entry| self.child(entry).texts()).collect(),
            _ => Vec::new(),
        }
    }
}

/// An object whose keys were checked.
pub(super) struct Fields<'a> {
    pub(super) at: Cursor<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<Cursor<'a>> {
        let entry = self.at.node.entries().iter().find(|entry| entry.key == name)?;
        Some(self.at.child(entry))
    }

    pub(super) fn required(&self, d: &mut Decoder, name: &str) -> Option<Cursor<'a>> {
        let found = self.get(name);
        if found.is_none() {
            d.problem(&self.at, format!("`{name}` is missing"));
        }
        found
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Collects the problems of one file while values are read.
pub(super) struct Decoder {
    pub(super) report: Report,
}

impl Decoder {
    pub(super) fn new(file: &str) -> Self {
        Self { report: Report::new(file) }
    }

    pub(super) fn problem(&mut self, at: &Cursor<'_>, message: impl Into<String>) {
        self.report.add(at.pos, &at.path, message);
    }

    pub(super) fn problem_at_key(&mut self, at: &Cursor<'_>, message: impl Into<String>) {
        self.report.add(at.key_pos, &at.path, message);
    }

    /// An object, each of whose keys must be one of `keys`.
    pub(super) fn map<'a>(&mut self, at: &Cursor<'a>, what: &str, keys: &Keys) -> Option<Fields<'a>> {
        let children = match &at.node.value {
            NodeValue::Map(entries) => entries.iter().map(|entry| (entry.key.as_str(), at.child(entry))),
            _ => return self.wrong_type(at, &format!("{what} is an object with {}", grammar::list(keys.known))),
        };
        for (name, child) in children {
            if keys.known.contains(&name) {
                continue;
            }
            let message = match keys.later.contains(&name) {
                true => format!("`{name}` is not supported yet"),
                false => format!("unknown key; {}", grammar::suggest(name, keys.known)),
            };
            self.problem_at_key(&child, message);
        }
        Some(Fields { at: at.clone() })
    }

    /// The entries of an object whose keys are free.
    pub(super) fn entries<'a>(&mut self, at: &Cursor<'a>, what: &str) -> Vec<(&'a str, Cursor<'a>)> {
        match &at.node.value {
            NodeValue::Map(entries) => entries.iter().map(|entry| (entry.key.as_str(), at.child(entry))).collect(),
            _ => self.wrong_type(at, &format!("{what} is an object")).unwrap_or_default(),
        }
    }

    /// The items of a list.
    pub(super) fn list<'a>(&mut self, at: &Cursor<'a>, what: &str) -> Vec<Cursor<'a>> {
        match &at.node.value {
            NodeValue::List(items) => items.iter().enumerate().map(|(i, item)| at.item(i, item)).collect(),
            _ => self.wrong_type(at, &format!("{what} is a list")).unwrap_or_default(),
        }
    }

    /// Reports an empty list.
    pub(super) fn at_least_one(&mut self, at: &Cursor<'_>, what: &str) {
        if matches!(&at.node.value, NodeValue::List(items) if items.is_empty()) {
            self.problem(at, format!("at least one {what} is needed"));
        }
    }

    /// Reports if there are more than `most`, and cuts off what is too many.
    pub(super) fn at_most<T>(&mut self, at: &Cursor<'_>, items: &mut Vec<T>, what: &str, most: usize) {
        if items.len() > most {
            self.problem(at, format!("{} {what}s; at most {most} are allowed", items.len()));
            items.truncate(most);
        }
    }

    pub(super) fn text<'a>(&mut self, at: &Cursor<'a>) -> Option<&'a str> {
        match &at.node.value {
            NodeValue::String(text) => Some(text),
            NodeValue::Bool(_) | NodeValue::Number(_) => {
                self.wrong_type(at, &format!("must be a text; write \"{}\" in quotes", at.node.to_value()))
            }
            _ => self.wrong_type(at, "must be a text"),
        }
    }

    /// A text that holds no expression, and is not empty.
    pub(super) fn constant<'a>(&mut self, at: &Cursor<'a>) -> Option<&'a str> {
        let text = self.text(at)?;
        if text.trim().is_empty() {
            self.problem(at, "must not be empty");
            return None;
        }
        self.refuse_expressions(at);
        Some(text)
    }

    /// A JSON value that holds no expression.
    pub(super) fn constant_value(&mut self, at: &Cursor<'_>) -> Value {
        self.refuse_expressions(at);
        at.node.to_value()
    }

    fn refuse_expressions(&mut self, at: &Cursor<'_>) {
        for (at, _) in at.texts().into_iter().filter(|(_, text)| text.contains("${")) {
            self.problem(&at, "`${ … }` can't stand here: the value must be the same for every run");
        }
    }

    /// A text that `parse` takes.
    pub(super) fn parsed<T>(&mut self, at: &Cursor<'_>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(at)?;
        parse(text).map_err(|message| self.problem(at, message)).ok()
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, at: &Cursor<'_>, choices: &[(&str, T)]) -> Option<T> {
        self.parsed(at, |text| {
            let found = choices.iter().find(|(name, _)| *name == text);
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            found
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("unknown value {text:?}; {}", grammar::suggest(text, &names)))
        })
    }

    pub(super) fn duration(&mut self, at: &Cursor<'_>, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        if let NodeValue::Number(number) = &at.node.value {
            return self.wrong_type(
                at,
                &format!("a duration has a unit: {number}ms, {number}s, {number}m, {number}h or {number}d"),
            );
        }
        let duration = self.parsed(at, grammar::duration)?;
        if bounds.contains(&duration) {
            return Some(duration);
        }
        let (least, most) = (grammar::show(*bounds.start()), grammar::show(*bounds.end()));
        self.problem(at, format!("out of bounds; it must be from {least} to {most}"));
        None
    }

    pub(super) fn whole(&mut self, at: &Cursor<'_>, bounds: RangeInclusive<u32>) -> Option<u32> {
        let wanted = format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
        let NodeValue::Number(number) = &at.node.value else { return self.wrong_type(at, &wanted) };
        let found = number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| bounds.contains(n));
        if found.is_none() {
            self.problem(at, format!("{wanted}; this is {number}"));
        }
        found
    }

    pub(super) fn number(&mut self, at: &Cursor<'_>, bounds: RangeInclusive<f64>) -> Option<f64> {
        let wanted = format!("must be a number from {} to {}", bounds.start(), bounds.end());
        let NodeValue::Number(number) = &at.node.value else { return self.wrong_type(at, &wanted) };
        let found = number.as_f64().filter(|n| bounds.contains(n));
        if found.is_none() {
            self.problem(at, format!("{wanted}; this is {number}"));
        }
        found
    }

    /// Reports that the node has another type than `wanted` says.
    pub(super) fn wrong_type<T>(&mut self, at: &Cursor<'_>, wanted: &str) -> Option<T> {
        if at.node.value != NodeValue::Invalid {
            self.problem(at, format!("{wanted}; this is {}", at.node.kind()));
        }
        None
    }
}
