//! Regular expressions of `matches()`, compiled once, with the expression.

use std::any::Any;

use ::regex::{Error, Regex, RegexBuilder};
use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};

/// The most regular expressions of one expression: each keeps its compiled form in memory.
pub(super) const MAX_PATTERNS: usize = 8;
/// The most bytes of a compiled regular expression.
const MAX_COMPILED_BYTES: usize = 512 * 1024;
/// Up to this size a regular expression is small: a character costs it little, whatever the text.
const SMALL_BYTES: usize = 16 * 1024;
/// How deep groups may be nested.
const MAX_NESTING: u32 = 32;

static PATTERN: Type = Type::new_unspecified_type("@pattern");

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Steps that a byte of text may cost, at worst.
    steps: usize,
}

impl Pattern {
    /// Compiles a regular expression. Fails if it is none, or is too large, with a sentence that says so.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        match build(source, SMALL_BYTES) {
            Ok(regex) => Ok(Self { regex, steps: 8 }),
            Err(Error::CompiledTooBig(_)) => build(source, MAX_COMPILED_BYTES)
                .map(|regex| Self { regex, steps: 128 })
                .map_err(|error| refuse(source, &error)),
            Err(error) => Err(refuse(source, &error)),
        }
    }

    /// Whether it is found in `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The steps that looking for it in `text` may take.
    pub(super) fn steps(&self, text: &str) -> usize {
        1 + text.len().saturating_mul(self.steps)
    }
}

fn build(source: &str, size: usize) -> Result<Regex, Error> {
    RegexBuilder::new(source).size_limit(size).dfa_size_limit(MAX_COMPILED_BYTES).nest_limit(MAX_NESTING).build()
}

fn refuse(source: &str, error: &Error) -> String {
    let source = super::clip(source);
    match error {
        Error::CompiledTooBig(_) => {
            format!(
                "the regular expression {source:?} is too large once compiled; use smaller repetitions than {{n,m}}"
            )
        }
        // The last line says what is wrong; those before it draw an arrow below the pattern.
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("{source:?} is not a valid regular expression (RE2 syntax): {reason}")
        }
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}
