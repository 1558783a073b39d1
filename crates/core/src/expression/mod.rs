//! CEL expressions and `${ … }` templates, bounded in size, depth and cost.
//!
//! Invariant: an expression that compiled can be evaluated against any JSON without panic, stack
//! overflow or hang. `guard` holds the bounds; nothing reaches the interpreter around it.

mod guard;
mod template;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

pub use template::Template;

/// The most bytes an expression's text may have.
pub const MAX_SOURCE_BYTES: usize = 1024;
/// The most bytes a result may have, as JSON text.
pub const MAX_RESULT_BYTES: usize = 256 * 1024;

/// A checked CEL expression.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<cel::Program>,
    facts: guard::Facts,
}

/// Why an expression was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CompileError {
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where in the expression's text, in characters from 1.
    pub column: Option<usize>,
}

impl CompileError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), column: None }
    }
}

/// Why an expression gave no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expression `{expression}`: {message}")]
pub struct EvalError {
    /// The expression's text.
    pub expression: String,
    /// What went wrong.
    pub message: String,
}

/// The variables that an expression sees.
#[derive(Clone, Debug, Default)]
pub struct Scope(BTreeMap<&'static str, Arc<Value>>);

impl Scope {
    /// An empty scope.
    pub fn new() -> Self {
        Self::default()
    }

    /// This scope with one more variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Arc<Value>>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).map(Arc::as_ref)
    }
}

impl Expression {
    /// Parses and checks `source`. Fails if it is no CEL, or exceeds a bound that keeps evaluation safe.
    pub fn compile(source: &str) -> Result<Self, CompileError> {
        if source.trim().is_empty() {
            return Err(CompileError::new(
                "the expression is empty; write a CEL expression, e.g. event.data.total > 100",
            ));
        }
        if source.len() > MAX_SOURCE_BYTES {
            let message = format!("the expression has {} bytes; at most {MAX_SOURCE_BYTES} are allowed", source.len());
            return Err(CompileError::new(message));
        }
        let program = cel::Program::compile(source).map_err(|errors| parse_error(&errors))?;
        let facts = guard::inspect(&program)?;
        Ok(Self { source: source.to_owned(), program: Arc::new(program), facts })
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The variables it reads, those that its own macros bind left out.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.facts.variables
    }

    /// The tasks it reads: every `X` of `tasks.X`.
    pub fn task_references(&self) -> &BTreeSet<String> {
        &self.facts.tasks
    }

    /// The functions it calls, operators left out.
    pub fn functions(&self) -> &BTreeSet<String> {
        &self.facts.functions
    }

    /// The expression's value. Fails where CEL does (a missing field, a wrong type), and over the bounds.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, EvalError> {
        self.facts.check_cost(scope).map_err(|message| self.error(message))?;
        let mut context = cel::Context::default();
        for name in &self.facts.variables {
            if let Some(value) = scope.get(name) {
                context.add_variable_from_value(name.as_str(), value::from_json(value));
            }
        }
        let result = self.program.execute(&context).map_err(|error| self.error(clip(&error.to_string())))?;
        let result = value::to_json(&result).map_err(|message| self.error(message))?;
        match result.to_string().len() {
            bytes if bytes > MAX_RESULT_BYTES => {
                Err(self.error(format!("the result has {bytes} bytes; at most {MAX_RESULT_BYTES} are allowed")))
            }
            _ => Ok(result),
        }
    }

    /// The value of a condition. Fails also if it is not a boolean.
    pub fn truth(&self, scope: &Scope) -> Result<bool, EvalError> {
        match self.evaluate(scope)? {
            Value::Bool(truth) => Ok(truth),
            other => {
                Err(self.error(format!("gave {}, and a condition must give true or false", clip(&other.to_string()))))
            }
        }
    }

    fn error(&self, message: impl Into<String>) -> EvalError {
        EvalError { expression: self.source.clone(), message: message.into() }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

fn parse_error(errors: &cel::ParseErrors) -> CompileError {
    let Some(first) = errors.errors.first() else {
        return CompileError::new("not a CEL expression");
    };
    let column = usize::try_from(first.pos.1).ok().filter(|column| *column > 0);
    CompileError { message: format!("not a CEL expression: {}", clip(&first.msg)), column }
}

/// At most 200 characters of a text that may hold a user's data.
fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(200).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        Scope::new()
            .with("event", json!({"type": "a", "data": {"total": 80, "vip": true, "items": [{"qty": 2}, {"qty": 3}]}}))
    }

    fn check(source: &str, expected: Result<Value, &str>) {
        let got = Expression::compile(source)
            .map_err(|e| e.message)
            .and_then(|e| e.evaluate(&scope()).map_err(|e| e.message));
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{source}"),
            (Err(got), Err(part)) => assert!(got.contains(part), "{source}: {got:?} should contain {part:?}"),
            (got, expected) => panic!("{source}: got {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn expressions_give_json() {
        check("event.data.total > 50", Ok(json!(true)));
        check("event.data.items.map(i, i.qty * 2)", Ok(json!([4, 6])));
        check("event.data.items.exists(i, i.qty == 3)", Ok(json!(true)));
        check("{'a': [1, 2.5, null, 'x']}", Ok(json!({"a": [1, 2.5, null, "x"]})));
        check("has(event.data.coupon) ? 1 : 0", Ok(json!(0)));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        check("", Err("is empty"));
        check("event.data.", Err("not a CEL expression"));
        check("event.data.nothing == 1", Err("nothing"));
        check("event.data.total + 'x'", Err(""));
        check(&format!("'{}'", "x".repeat(2000)), Err("at most 1024"));
    }

    #[test]
    fn hostile_expressions_are_refused_or_bounded() {
        check(&format!("1{}", "+1".repeat(300)), Err("nested"));
        check(&format!("{}1{}", "(".repeat(300), ")".repeat(300)), Err(""));
        check(&format!("{}event{}", "[".repeat(200), "]".repeat(200)), Err(""));
        check("['x'].map(a, a + a).map(b, b + b)", Err("a number on one side"));
        check("[1].map(a, [1].map(b, [1].map(c, 1)))", Err("macros"));
        check("event.type.matches(event.type)", Err("literal"));
    }

    #[test]
    fn the_deepest_allowed_expression_fits_a_small_stack() {
        let deepest = format!("1{}", "+1".repeat(guard::MAX_DEPTH - 2));
        let run = move || Expression::compile(&deepest).unwrap().evaluate(&Scope::new()).unwrap();
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap();
        assert_eq!(thread.join().unwrap(), json!(guard::MAX_DEPTH - 1));
    }

    #[test]
    fn nested_macros_over_long_lists_are_refused_by_cost() {
        let nested = Expression::compile("event.l.exists(a, event.l.exists(b, a == b + 1000000))").unwrap();
        let scope = Scope::new().with("event", json!({"l": vec![1; 100_000]}));
        assert!(nested.evaluate(&scope).unwrap_err().message.contains("too much work"));
    }

    #[test]
    fn references_are_known() {
        let expression =
            Expression::compile("tasks.score.output.risk > 0.8 && context.a.exists(x, x == item)").unwrap();
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(expression.variables()), "context item tasks");
        assert_eq!(names(expression.task_references()), "score");
    }
}
