//! From merged layers to typed values, and what to show of each.

use config::{Map, Value, ValueKind};
use serde_json::Value as Json;

use super::Entry;
use super::error::ConfigError;
use super::keys::sorted;
use super::layers::DEFAULT_ORIGIN;
use crate::secret::{REDACTED, redact_url};

/// What an entry without a value shows.
const UNSET: &str = "(not set)";

/// How much of a value may be shown.
#[derive(Clone, Copy)]
pub(super) enum Show {
    All,
    Url,
    Nothing,
}

/// Reads values and keeps what to show of them.
pub(super) struct Reader {
    table: Map<String, Value>,
    pub(super) entries: Vec<Entry>,
}

impl Reader {
    pub(super) fn new(table: Map<String, Value>) -> Self {
        Self { table, entries: Vec::new() }
    }

    /// The text at `key`, as `parse` takes it; `wanted` says what it takes.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        show: Show,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        match self.optional(key, show, wanted, parse)? {
            Some(value) => Ok(value),
            None => Err(bad(key, DEFAULT_ORIGIN, wanted)),
        }
    }

    /// Like [`Reader::text`], for a key without a default.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        show: Show,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(key) else {
            self.note(key, UNSET.to_owned(), DEFAULT_ORIGIN);
            return Ok(None);
        };
        let origin = origin(&value);
        let ValueKind::String(text) = &value.kind else {
            return Err(bad(key, &origin, wanted));
        };
        let parsed = parse(text).ok_or_else(|| bad(key, &origin, wanted))?;
        self.note(key, shown(text, show), &origin);
        Ok(Some(parsed))
    }

    /// The number at `key`, at least 1; files say it as a number, variables and flags as text.
    pub(super) fn count(&mut self, key: &'static str) -> Result<usize, ConfigError> {
        const WANTED: &str = "a whole number, at least 1";
        let value = self.get(key).unwrap_or_else(|| Value::new(None, ValueKind::Nil));
        let number = match &value.kind {
            ValueKind::I64(number) => usize::try_from(*number).ok(),
            ValueKind::String(text) => text.parse().ok(),
            _ => None,
        };
        let origin = origin(&value);
        let number = number.filter(|n| *n > 0).ok_or_else(|| bad(key, &origin, WANTED))?;
        self.note(key, number.to_string(), &origin);
        Ok(number)
    }

    /// Every key of a free section, in order, as `read` takes it.
    pub(super) fn section<T>(
        &mut self,
        section: &'static str,
        read: impl Fn(&Value) -> Option<(T, String)>,
        wanted: &'static str,
    ) -> Result<Vec<(String, T)>, ConfigError> {
        let table = match self.table.get(section).map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => table.clone(),
            _ => Map::new(),
        };
        let one = |(name, value): (&String, &Value)| {
            let (key, origin) = (format!("{section}.{name}"), origin(value));
            let (read, shown) = read(value).ok_or_else(|| bad(&key, &origin, wanted))?;
            self.note(&key, shown, &origin);
            Ok((name.clone(), read))
        };
        sorted(&table).into_iter().map(one).collect()
    }

    /// The names that a free section has.
    pub(super) fn names(&self, section: &str) -> Vec<String> {
        match self.table.get(section).map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => table.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// The sections that stand below `key`, by name, in order.
    pub(super) fn nested(&self, key: &str) -> Result<Vec<(String, Value)>, ConfigError> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value { kind: ValueKind::Table(table), .. }) => Ok(super::ingress::named(&table)),
            Some(value) => Err(bad(key, &origin(&value), "sections, with keys of their own")),
        }
    }

    /// The refusal of a key that another one asks for.
    pub(super) fn lacking(&self, key: &str, wanted: &'static str) -> ConfigError {
        bad(key, DEFAULT_ORIGIN, wanted)
    }

    fn get(&self, key: &str) -> Option<Value> {
        let (section, name) = key.split_once('.')?;
        match &self.table.get(section)?.kind {
            ValueKind::Table(table) => table.get(name).cloned(),
            _ => None,
        }
    }

    pub(super) fn note(&mut self, key: &str, value: String, origin: &str) {
        self.entries.push(Entry { key: key.to_owned(), value, origin: origin.to_owned() });
    }
}

/// `value` as JSON; nothing if it holds a number that JSON cannot say.
pub(super) fn json(value: &Value) -> Option<Json> {
    Some(match &value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(flag) => Json::Bool(*flag),
        ValueKind::I64(number) => Json::from(*number),
        ValueKind::U64(number) => Json::from(*number),
        ValueKind::I128(number) => Json::from(i64::try_from(*number).ok()?),
        ValueKind::U128(number) => Json::from(u64::try_from(*number).ok()?),
        ValueKind::Float(number) => Json::Number(serde_json::Number::from_f64(*number)?),
        ValueKind::String(text) => Json::String(text.clone()),
        ValueKind::Array(items) => Json::Array(items.iter().map(json).collect::<Option<_>>()?),
        ValueKind::Table(table) => {
            let pairs = sorted(table).into_iter().map(|(name, value)| Some((name.clone(), json(value)?)));
            Json::Object(pairs.collect::<Option<_>>()?)
        }
    })
}

/// Where `value` comes from; a table that several layers made names the first of them by key.
pub(super) fn origin(value: &Value) -> String {
    match (&value.kind, value.origin()) {
        (_, Some(origin)) => origin.to_owned(),
        (ValueKind::Table(table), None) => {
            sorted(table).first().map_or_else(|| DEFAULT_ORIGIN.to_owned(), |(_, value)| origin(value))
        }
        _ => DEFAULT_ORIGIN.to_owned(),
    }
}

pub(super) fn shown(text: &str, show: Show) -> String {
    match show {
        Show::All => text.to_owned(),
        Show::Url => redact_url(text),
        Show::Nothing => REDACTED.to_owned(),
    }
}

pub(super) fn bad(key: &str, origin: &str, wanted: &'static str) -> ConfigError {
    ConfigError::BadValue { key: key.to_owned(), origin: origin.to_owned(), wanted }
}
