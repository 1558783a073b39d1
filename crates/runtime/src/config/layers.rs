//! Where configuration comes from: each source as a layer whose values know their origin.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use config::{Map, Source, Value, ValueKind};

use super::error::{ConfigError, Nearest};
use super::keys::{self, DATABASES, KEYS, TLS, VALUES};

/// The start of our own environment variables.
const PREFIX: &str = "SPINE_";

/// The variable that names the configuration file.
pub(super) const FILE_VARIABLE: &str = "SPINE_CONFIG";

/// The origin of what nobody set.
pub(super) const DEFAULT_ORIGIN: &str = "default";

/// One source of configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(pub(super) Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layer {
    /// Puts `kind` at the dotted way `path`; a value in the way gives way.
    fn put(&mut self, path: &[&str], origin: &str, kind: ValueKind) {
        put(&mut self.0, path, Value::new(Some(&origin.to_owned()), kind));
    }

    fn put_key(&mut self, key: &str, origin: &str, text: &str) {
        let (path, kind) = match key.split_once('.') {
            Some((VALUES, rest)) => ([VALUES].into_iter().chain(rest.split('.')).collect(), literal(text, origin)),
            Some((TLS, rest)) => {
                let path = [TLS].into_iter().chain(rest.rsplitn(2, '.').collect::<Vec<_>>().into_iter().rev());
                (path.collect(), ValueKind::String(text.to_owned()))
            }
            Some((section, rest)) if keys::is_nested(key) => {
                let path = [section].into_iter().chain(rest.splitn(3, '.'));
                (path.collect(), ValueKind::String(text.to_owned()))
            }
            Some((section, name)) => (vec![section, name], ValueKind::String(text.to_owned())),
            None => (vec![key], ValueKind::String(text.to_owned())),
        };
        self.put(&path, origin, kind);
    }
}

fn put(table: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let origin = value.origin().map(ToOwned::to_owned);
            let empty = || Value::new(origin.as_ref(), Map::<String, Value>::new());
            let inner = table.entry((*first).to_owned()).or_insert_with(empty);
            if !matches!(inner.kind, ValueKind::Table(_)) {
                *inner = empty();
            }
            if let ValueKind::Table(inner) = &mut inner.kind {
                put(inner, rest, value);
            }
        }
    }
}

/// The built-in defaults.
pub(super) fn defaults() -> Layer {
    let mut layer = Layer::default();
    for key in &KEYS {
        if let Some(default) = key.default {
            layer.put_key(key.name, DEFAULT_ORIGIN, default);
        }
    }
    layer
}

/// The file at `path`, checked for unknown keys.
pub(super) fn file(path: &Path) -> Result<Layer, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let table: toml::Table = parse(path, &fs::read_to_string(path).map_err(read)?)?;
    let origin = path.display().to_string();
    let layer = table.into_iter().map(|(name, value)| (name, from_toml(value, &origin))).collect();
    keys::check(&layer, &origin)?;
    Ok(Layer(layer))
}

/// `text` of the file at `path` as TOML; an error shows the place but not the line, which may hold a secret.
pub(super) fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax {
            path: PathBuf::from(path),
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
            reason: error.message().to_owned(),
        }
    })
}

/// The ecosystem's own variables.
pub(super) fn ecosystem(env: &BTreeMap<String, String>) -> Layer {
    let mut layer = Layer::default();
    for key in &KEYS {
        if let Some((variable, text)) = key.variable.and_then(|name| env.get_key_value(name)).filter(is_set) {
            layer.put_key(key.name, &variable_origin(variable), text);
        }
    }
    layer
}

/// Our own variables, `SPINE_<SECTION>__<KEY>`, checked for unknown keys.
///
/// Variables without `__` are left alone, because Kubernetes makes `SPINE_ROUTER_PORT` and the like
/// for a service named `spine-router`; but one that only lacks the second `_` is refused.
pub(super) fn own(env: &BTreeMap<String, String>) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for (variable, text) in env.iter().filter(is_set) {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        let Some((section, rest)) = name.split_once("__") else {
            refuse_single_underscore(variable, name)?;
            continue;
        };
        let section = section.to_lowercase();
        let free = keys::FREE.contains(&section.as_str());
        let rest = match rest.rsplit_once("__") {
            Some((name, key)) if section == TLS => format!("{}.{}", free_name(name), key.to_lowercase()),
            _ if free => free_name(rest),
            _ => rest.to_lowercase(),
        };
        let key = format!("{section}.{}", rest.replace("__", "."));
        layer.put_key(&key, &variable_origin(variable), text);
    }
    keys::check(&layer.0, "environment")?;
    Ok(layer)
}

/// Flags, as dotted keys with their values, checked for unknown keys.
pub(super) fn overrides(overrides: &[(String, String)]) -> Result<Layer, ConfigError> {
    const ORIGIN: &str = "command line";
    let mut layer = Layer::default();
    for (key, text) in overrides {
        layer.put_key(key, ORIGIN, text);
    }
    keys::check(&layer.0, ORIGIN)?;
    Ok(layer)
}

/// What a running local stack says; `origin` is its file.
pub(super) fn stack(stack: super::StackFile, origin: &str) -> Layer {
    let mut layer = Layer::default();
    layer.put_key(keys::NATS_URL, origin, &stack.nats_url);
    layer.put_key(keys::TEMPORAL_ADDRESS, origin, &stack.temporal_address);
    layer.put_key(keys::DATABASE_URL, origin, &stack.database_url);
    for (name, url) in &stack.databases {
        layer.put(&[DATABASES, name], origin, ValueKind::String(url.clone()));
    }
    for (name, value) in stack.values {
        layer.put(&[VALUES, &name], origin, from_json(value, origin).kind);
    }
    layer
}

/// An empty variable counts as not set, as in OpenTelemetry's specification of variables.
fn is_set((_, text): &(&String, &String)) -> bool {
    !text.is_empty()
}

fn variable_origin(variable: &str) -> String {
    format!("environment variable {variable}")
}

/// A name all in capitals is lowered, as that is how variables are spelled; any other is kept.
fn free_name(name: &str) -> String {
    if name.chars().any(char::is_lowercase) { name.to_owned() } else { name.to_lowercase() }
}

fn refuse_single_underscore(variable: &str, name: &str) -> Result<(), ConfigError> {
    let meant = KEYS.iter().find(|key| key.name.replace('.', "_").eq_ignore_ascii_case(name));
    meant.map_or(Ok(()), |key| {
        let nearest = format!("{PREFIX}{}", key.name.replace('.', "__").to_uppercase());
        Err(ConfigError::UnknownKey {
            key: variable.to_owned(),
            origin: "environment".to_owned(),
            nearest: Nearest(Some(nearest)),
        })
    })
}

/// An operator's value as text: JSON if it is JSON (`5`, `true`, `[1]`), else the text itself.
fn literal(text: &str, origin: &str) -> ValueKind {
    match serde_json::from_str(text) {
        Ok(value) => from_json(value, origin).kind,
        Err(_) => ValueKind::String(text.to_owned()),
    }
}

fn from_toml(value: toml::Value, origin: &str) -> Value {
    let kind = match value {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(number) => ValueKind::I64(number),
        toml::Value::Float(number) => ValueKind::Float(number),
        toml::Value::Boolean(flag) => ValueKind::Boolean(flag),
        toml::Value::Datetime(time) => ValueKind::String(time.to_string()),
        toml::Value::Array(items) => ValueKind::Array(items.into_iter().map(|v| from_toml(v, origin)).collect()),
        toml::Value::Table(table) => {
            ValueKind::Table(table.into_iter().map(|(name, v)| (name, from_toml(v, origin))).collect())
        }
    };
    Value::new(Some(&origin.to_owned()), kind)
}

fn from_json(value: serde_json::Value, origin: &str) -> Value {
    use serde_json::Value as Json;
    let kind = match value {
        Json::Null => ValueKind::Nil,
        Json::Bool(flag) => ValueKind::Boolean(flag),
        Json::Number(number) => from_number(&number),
        Json::String(text) => ValueKind::String(text),
        Json::Array(items) => ValueKind::Array(items.into_iter().map(|v| from_json(v, origin)).collect()),
        Json::Object(map) => ValueKind::Table(map.into_iter().map(|(name, v)| (name, from_json(v, origin))).collect()),
    };
    Value::new(Some(&origin.to_owned()), kind)
}

fn from_number(number: &serde_json::Number) -> ValueKind {
    number
        .as_i64()
        .map(ValueKind::I64)
        .or_else(|| number.as_u64().map(ValueKind::U64))
        .or_else(|| number.as_f64().map(ValueKind::Float))
        .unwrap_or_else(|| ValueKind::String(number.to_string()))
}
