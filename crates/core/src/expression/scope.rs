//! The variables that an expression sees, and how the interpreter gets at them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cel::common::types::CelString;
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use serde_json::Value;

use super::meter::Meter;
use super::regex::Pattern;
use super::value::Sheet;
use super::{json, rewrite};

/// The variables that an expression sees.
#[derive(Clone, Default)]
pub struct Scope {
    variables: BTreeMap<&'static str, Arc<Value>>,
    secrets: Option<Arc<BTreeMap<String, String>>>,
}

impl Scope {
    /// An empty scope.
    pub fn new() -> Self {
        Self::default()
    }

    /// This scope with one more variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Arc<Value>>) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    /// This scope with the values of secrets, by name, for `secret("name")`. Without them an expression
    /// that reads a secret fails. They are in no `Debug` text and in no error.
    #[must_use]
    pub fn with_secrets(mut self, secrets: impl Into<Arc<BTreeMap<String, String>>>) -> Self {
        self.secrets = Some(secrets.into());
        self
    }

    /// This scope with a word in place of each of these secrets, for what people read.
    #[must_use]
    pub fn with_redacted(self, secrets: BTreeSet<String>) -> Self {
        let word = |name: String| {
            let word = format!("[secret {name}]");
            (name, word)
        };
        self.with_secrets(secrets.into_iter().map(word).collect::<BTreeMap<_, _>>())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.variables.get(name).map(Arc::as_ref)
    }

    /// The value of a secret. Fails with a sentence if there is none.
    pub(super) fn secret(&self, name: &str) -> Result<&str, String> {
        let secrets = self.secrets.as_ref().ok_or(
            "secret() can be used only in the `with` of a task and in a context source, where it is read at the last moment",
        )?;
        secrets.get(name).map(String::as_str).ok_or_else(|| format!("there is no secret `{name}`"))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("variables", &self.variables).finish_non_exhaustive()
    }
}

/// What the names in a rewritten tree stand for, in one evaluation.
pub(super) struct Names<'a> {
    pub(super) scope: &'a Scope,
    pub(super) patterns: &'a [Pattern],
    pub(super) meter: Option<Meter>,
    pub(super) sheet: Sheet,
}

impl VariableResolver for Names<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if !name.starts_with('@') {
            return self.scope.get(name).map(|value| CowVal::Owned(json::val(value)));
        }
        if name == rewrite::METER {
            return self.meter.as_ref().map(|meter| CowVal::Borrowed(meter));
        }
        if name == rewrite::SHEET {
            return Some(CowVal::Borrowed(&self.sheet));
        }
        if let Some(number) = name.strip_prefix(rewrite::PATTERN) {
            return self.patterns.get(number.parse::<usize>().ok()?).map(|pattern| CowVal::Borrowed(pattern));
        }
        let secret = self.scope.secret(name.strip_prefix(rewrite::SECRET)?).ok()?;
        Some(CowVal::owned(CelString::from(secret)))
    }
}
