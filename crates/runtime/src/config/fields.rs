//! A section inside a section: its keys one by one, and none that nobody knows.

use config::{Map, Value, ValueKind};

use super::error::{ConfigError, Nearest};
use super::read::{bad, origin};

/// The keys of one named section, such as `[ingress.hooks.github]`.
pub(super) struct Fields {
    section: String,
    origin: String,
    table: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// The keys of `value`, which is to be a section called `section`.
    pub(super) fn of(section: String, value: &Value) -> Result<Self, ConfigError> {
        let origin = origin(value);
        match &value.kind {
            ValueKind::Table(table) => Ok(Self { section, origin, table: table.clone(), asked: Vec::new() }),
            _ => Err(bad(&section, &origin, "a section, with keys of its own")),
        }
    }

    /// The text at `name`, if there is one.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, ConfigError> {
        self.take(name, "a text", |value| match &value.kind {
            ValueKind::String(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        })
    }

    /// The texts at `name`: a list, or one text with commas, as variables say it.
    pub(super) fn list(&mut self, name: &'static str) -> Result<Vec<String>, ConfigError> {
        let list = self.take(name, "a list of texts", |value| match &value.kind {
            ValueKind::Array(items) => items.iter().map(filled).collect(),
            ValueKind::String(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            _ => None,
        })?;
        Ok(list.unwrap_or_default())
    }

    /// The number of seconds at `name`, if there is one.
    pub(super) fn seconds(&mut self, name: &'static str) -> Result<Option<u64>, ConfigError> {
        self.take(name, "a whole number of seconds, at least 1", |value| {
            let seconds = match &value.kind {
                ValueKind::I64(number) => u64::try_from(*number).ok(),
                ValueKind::String(text) => text.parse().ok(),
                _ => None,
            };
            seconds.filter(|seconds| *seconds > 0)
        })
    }

    /// One of the words at `name`, if there is one.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
        wanted: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        self.take(name, wanted, |value| match &value.kind {
            ValueKind::String(text) => words.iter().find(|(word, _)| word == text).map(|(_, meaning)| *meaning),
            _ => None,
        })
    }

    /// The refusal of a section that lacks `name`.
    pub(super) fn missing(&self, name: &str, wanted: &'static str) -> ConfigError {
        bad(&format!("{}.{name}", self.section), &self.origin, wanted)
    }

    /// Where the section stands.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Refuses the first key that nobody asked for.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let mut left: Vec<(&String, &Value)> = self.table.iter().collect();
        left.sort_by_key(|(name, _)| *name);
        let Some((name, value)) = left.first() else { return Ok(()) };
        let near = self.asked.iter().map(|asked| (strsim::osa_distance(name, asked), *asked)).min();
        let near = near.filter(|(distance, asked)| *distance <= asked.len() / 2);
        Err(ConfigError::UnknownKey {
            key: format!("{}.{name}", self.section),
            origin: origin(value),
            nearest: Nearest(near.map(|(_, asked)| format!("{}.{asked}", self.section))),
        })
    }

    fn take<T>(
        &mut self,
        name: &'static str,
        wanted: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.asked.push(name);
        let Some(value) = self.table.remove(name) else { return Ok(None) };
        let key = format!("{}.{name}", self.section);
        read(&value).map(Some).ok_or_else(|| bad(&key, &origin(&value), wanted))
    }
}

fn filled(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}
