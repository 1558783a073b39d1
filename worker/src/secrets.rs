//! The values of `secret("name")`: read when they are used, in memory only while they are.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use spine_core::run::Failure;
use spine_runtime::secret::Secret;

use crate::http::Attempt;

/// What is shorter than this could be any word, and is not looked for in answers.
const TELLING: usize = 6;

/// Where secrets come from.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Those that the configuration has.
    pub named: BTreeMap<String, Secret>,
    /// A folder with a file for each, as Docker and Kubernetes mount them; asked for what is not named, each
    /// time anew, so that a secret can be changed without a restart.
    pub folder: Option<PathBuf>,
}

/// The values of some secrets, by name.
#[derive(Clone, Default)]
pub(crate) struct Revealed(Arc<BTreeMap<String, String>>);

impl Secrets {
    /// The values of these. Fails with the name of the first that there is none of.
    pub(crate) async fn reveal(&self, names: BTreeSet<String>) -> Result<Revealed, Attempt> {
        let mut values = BTreeMap::new();
        for name in names {
            let value = match self.named.get(&name) {
                Some(secret) => secret.expose().to_owned(),
                None => self.read(&name).await?,
            };
            values.insert(name, value);
        }
        Ok(Revealed(Arc::new(values)))
    }

    /// The content of a secret's file, without the line break at its end. The name has no `/` and begins with no `.`.
    async fn read(&self, name: &str) -> Result<String, Attempt> {
        let failed =
            |message: String, retryable| Attempt { failure: Failure::new("UnknownSecret", message), retryable };
        let unknown = || {
            let message = format!(
                "no secret is named {name:?}; name it under [secrets] in the worker's configuration, or put a file \
                 of that name into worker.secrets_dir"
            );
            failed(message, false)
        };
        let file = self.folder.as_ref().ok_or_else(unknown)?.join(name);
        match tokio::fs::read_to_string(&file).await {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(unknown()),
            Err(error) => Err(failed(format!("secret {name:?} can't be read from {}: {error}", file.display()), true)),
        }
    }
}

impl Revealed {
    /// The values, for a scope.
    pub(crate) fn values(&self) -> Arc<BTreeMap<String, String>> {
        self.0.clone()
    }

    /// A text with a word in place of each secret in it.
    pub(crate) fn hide(&self, text: &str) -> String {
        let telling = self.0.iter().filter(|(_, value)| value.len() >= TELLING);
        telling.fold(text.to_owned(), |text, (name, value)| text.replace(value.as_str(), &format!("[secret {name}]")))
    }

    /// The same in every text of a value: an endpoint may answer with what it was sent.
    pub(crate) fn hide_in(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.hide(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.hide_in(item)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.into_iter().map(|(key, value)| (self.hide(&key), self.hide_in(value))).collect())
            }
            other => other,
        }
    }

    /// The same for what an attempt gave.
    pub(crate) fn hide_from(&self, result: Result<Value, Attempt>) -> Result<Value, Attempt> {
        if self.0.is_empty() {
            return result;
        }
        result.map(|value| self.hide_in(value)).map_err(|Attempt { failure, retryable }| Attempt {
            failure: Failure::new(failure.kind, self.hide(&failure.message)),
            retryable,
        })
    }
}
