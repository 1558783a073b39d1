//! Reads values out of a tree and notes what is wrong instead of stopping at it.

use std::time::Duration;

use serde_json::Value;

use super::grammar;
use super::schema::SchemaCheck;
use crate::activity::format::{Object, Shape};
use crate::document::{Entry, Node, NodeValue, Pos, Problem, Report, item_path, key_path};

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

    /// The items of a list, unchecked.
    pub(super) fn items(&self) -> Vec<Cursor<'a>> {
        match &self.node.value {
            NodeValue::List(items) => items.iter().enumerate().map(|(i, item)| self.item(i, item)).collect(),
            _ => Vec::new(),
        }
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

/// An object whose keys were checked against the format.
pub(super) struct Fields<'a> {
    pub(super) at: Cursor<'a>,
    object: &'static Object,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<Cursor<'a>> {
        let entry = self.at.node.entries().iter().find(|entry| entry.key == name)?;
        Some(self.at.child(entry))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Keys that the format does not name, where an object may have such.
    pub(super) fn free(&self) -> Vec<(&'a str, Cursor<'a>)> {
        let free = self.at.node.entries().iter().filter(|entry| self.object.key(&entry.key).is_none());
        free.map(|entry| (entry.key.as_str(), self.at.child(entry))).collect()
    }

    fn shape(&self, name: &str) -> &'static Shape {
        // Only names of the format are asked for: `every_key_that_is_read_is_in_the_format` holds it.
        self.object.key(name).map_or(&Shape::Value, |key| &key.shape)
    }
}

/// Collects the problems of one file while values are read.
pub(super) struct Decoder {
    pub(super) report: Report,
    pub(super) check_schema: SchemaCheck,
    /// Parts of the document at hand that are right, and that nothing executes yet.
    unexecuted: Vec<Problem>,
}

impl Decoder {
    pub(super) fn new(file: &str, check_schema: SchemaCheck) -> Self {
        Self { report: Report::new(file), check_schema, unexecuted: Vec::new() }
    }

    pub(super) fn problem(&mut self, at: &Cursor<'_>, message: impl Into<String>) {
        self.report.add(at.pos, &at.path, message);
    }

    pub(super) fn problem_at_key(&mut self, at: &Cursor<'_>, message: impl Into<String>) {
        self.report.add(at.key_pos, &at.path, message);
    }

    /// Notes a part that nothing executes yet.
    pub(super) fn not_executed(&mut self, at: &Cursor<'_>, what: &str) {
        let message = format!("{what} is checked, but not executed yet");
        self.unexecuted.push(self.report.problem(at.key_pos, &at.path, message));
    }

    /// All such parts since the last call.
    pub(super) fn take_unexecuted(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.unexecuted)
    }

    /// An object of the format: unknown keys, missing ones and those that exclude each other are reported.
    pub(super) fn map<'a>(&mut self, at: &Cursor<'a>, object: &'static Object) -> Option<Fields<'a>> {
        let NodeValue::Map(entries) = &at.node.value else {
            return self
                .wrong_type(at, &format!("{} is an object with {}", object.name, grammar::list(&object.names())));
        };
        let fields = Fields { at: at.clone(), object };
        for entry in entries.iter().filter(|entry| !object.free_keys && object.key(&entry.key).is_none()) {
            let message = format!("unknown key; {}", grammar::suggest(&entry.key, &object.names()));
            self.problem_at_key(&at.child(entry), message);
        }
        for key in object.keys.iter().filter(|key| key.required && !fields.has(key.name)) {
            self.problem(at, format!("`{}` is missing", key.name));
        }
        self.check_one_of(&fields);
        self.check_beside(&fields);
        Some(fields)
    }

    fn check_one_of(&mut self, fields: &Fields<'_>) {
        let object = fields.object;
        let found: Vec<&str> = object.one_of.iter().copied().filter(|name| fields.has(name)).collect();
        if object.one_of.is_empty() || found.len() == 1 {
            return;
        }
        let message = match found.len() {
            0 => format!("{} needs {}", object.name, grammar::either(object.one_of)),
            _ => format!(
                "{} has {}, not {} together",
                object.name,
                grammar::either(object.one_of),
                grammar::list(&found)
            ),
        };
        self.problem(&fields.at, message);
    }

    fn check_beside(&mut self, fields: &Fields<'_>) {
        let object = fields.object;
        for key in object.keys {
            let alone = key.beside.filter(|beside| !fields.has(beside));
            if let (Some(beside), Some(at)) = (alone, fields.get(key.name)) {
                self.problem_at_key(&at, format!("belongs to {} with `{beside}`, and this has none", object.name));
            }
        }
    }

    /// The items of a list, as many as the format allows; none if the key is not there.
    pub(super) fn list<'a>(&mut self, fields: &Fields<'a>, name: &str) -> Vec<Cursor<'a>> {
        let Some(at) = fields.get(name) else { return Vec::new() };
        if !matches!(at.node.value, NodeValue::List(_)) {
            return self.wrong_type(&at, &format!("`{name}` is a list")).unwrap_or_default();
        }
        let mut items = at.items();
        let Shape::List { least, most, .. } = fields.shape(name) else { return items };
        if items.len() < *least {
            self.problem(&at, format!("at least {least} {} needed", if *least == 1 { "item is" } else { "items are" }));
        }
        self.at_most(&at, &mut items, "items", *most);
        items
    }

    /// The entries of an object whose keys are free, as many as the format allows; none if the key is not there.
    pub(super) fn entries<'a>(&mut self, fields: &Fields<'a>, name: &str) -> Vec<(&'a str, Cursor<'a>)> {
        let Some(at) = fields.get(name) else { return Vec::new() };
        let NodeValue::Map(entries) = &at.node.value else {
            return self.wrong_type(&at, &format!("`{name}` is an object")).unwrap_or_default();
        };
        let mut entries: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), at.child(entry))).collect();
        if let Shape::Map { most, .. } = fields.shape(name) {
            self.at_most(&at, &mut entries, "entries", *most);
        }
        entries
    }

    fn at_most<T>(&mut self, at: &Cursor<'_>, items: &mut Vec<T>, what: &str, most: usize) {
        if items.len() > most {
            self.problem(at, format!("{} {what}; at most {most} are allowed", items.len()));
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

    /// One of the words of the format.
    pub(super) fn word(&mut self, fields: &Fields<'_>, name: &str) -> Option<&'static str> {
        let Shape::Words(words) = fields.shape(name) else { return None };
        self.one_of_words(&fields.get(name)?, words)
    }

    pub(super) fn one_of_words(&mut self, at: &Cursor<'_>, words: &[&'static str]) -> Option<&'static str> {
        self.parsed(at, |text| {
            let found = words.iter().copied().find(|word| *word == text);
            found.ok_or_else(|| format!("unknown value {text:?}; {}", grammar::suggest(text, words)))
        })
    }

    /// A length of time within the bounds of the format.
    pub(super) fn duration(&mut self, fields: &Fields<'_>, name: &str) -> Option<Duration> {
        let (at, Shape::Duration { least, most }) = (fields.get(name)?, fields.shape(name)) else { return None };
        if let NodeValue::Number(number) = &at.node.value {
            return self.wrong_type(
                &at,
                &format!("a duration has a unit: {number}ms, {number}s, {number}m, {number}h or {number}d"),
            );
        }
        let duration = self.parsed(&at, grammar::duration)?;
        if (least..=most).contains(&&duration) {
            return Some(duration);
        }
        self.problem(
            &at,
            format!("out of bounds; it must be from {} to {}", grammar::span(*least), grammar::span(*most)),
        );
        None
    }

    /// A whole number within the bounds of the format.
    pub(super) fn whole(&mut self, fields: &Fields<'_>, name: &str) -> Option<u32> {
        let (at, Shape::Whole { least, most }) = (fields.get(name)?, fields.shape(name)) else { return None };
        let wanted = format!("must be a whole number from {least} to {most}");
        let NodeValue::Number(number) = &at.node.value else { return self.wrong_type(&at, &wanted) };
        let found = number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (least..=most).contains(&n));
        if found.is_none() {
            self.problem(&at, format!("{wanted}; this is {number}"));
        }
        found
    }

    /// A number within the bounds of the format.
    pub(super) fn number(&mut self, fields: &Fields<'_>, name: &str) -> Option<f64> {
        let (at, Shape::Number { least, most }) = (fields.get(name)?, fields.shape(name)) else { return None };
        let wanted = format!("must be a number from {least} to {most}");
        let NodeValue::Number(number) = &at.node.value else { return self.wrong_type(&at, &wanted) };
        let found = number.as_f64().filter(|n| (least..=most).contains(&n));
        if found.is_none() {
            self.problem(&at, format!("{wanted}; this is {number}"));
        }
        found
    }

    /// True or false; false if the key is not there.
    pub(super) fn flag(&mut self, fields: &Fields<'_>, name: &str) -> bool {
        let Some(at) = fields.get(name) else { return false };
        match at.node.value {
            NodeValue::Bool(truth) => truth,
            _ => self.wrong_type(&at, "must be true or false").unwrap_or_default(),
        }
    }

    /// Reports that the node has another type than `wanted` says.
    pub(super) fn wrong_type<T>(&mut self, at: &Cursor<'_>, wanted: &str) -> Option<T> {
        if at.node.value != NodeValue::Invalid {
            self.problem(at, format!("{wanted}; this is {}", at.node.kind()));
        }
        None
    }
}
