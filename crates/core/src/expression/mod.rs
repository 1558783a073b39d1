//! CEL expressions and `${ … }` templates, bounded in size, depth and cost.
//!
//! Invariant: an expression that compiled can be evaluated against any JSON without panic, stack
//! overflow or hang, in bounded memory. `guard` bounds the tree, `rewrite` puts a `meter` into it that bounds
//! what evaluating it costs; nothing reaches the interpreter around them.

mod equality;
mod failure;
mod guard;
mod json;
mod meter;
mod regex;
mod rewrite;
mod runtime;
mod scope;
mod syntax;
mod template;
pub mod types;
mod value;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cel::Context;
use cel::common::ast::{Expr, IdedExpr, SourceInfo};
use serde_json::Value;
use thiserror::Error;

pub use scope::Scope;
pub use template::Template;
pub(crate) use template::percent_encode;

/// The most bytes an expression's text may have.
pub const MAX_SOURCE_BYTES: usize = 1024;
/// The most bytes a result may have, as JSON text.
pub const MAX_RESULT_BYTES: usize = 256 * 1024;

/// A checked CEL expression.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    /// The tree as it was written.
    tree: IdedExpr,
    /// Where each part of the tree stands in the source.
    places: SourceInfo,
    /// The tree that is evaluated.
    program: IdedExpr,
    needs: rewrite::Needs,
    facts: guard::Facts,
    /// The names of `a.b.c`, where the expression is no more than that.
    path: Option<Vec<String>>,
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

    fn at(column: Option<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), column }
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
        let (tree, places) = syntax::parse(source)?;
        let facts = guard::inspect(&tree, &|node| column(source, &places, node))?;
        let mut program = tree.clone();
        let needs = rewrite::rewrite(&mut program, &|node| column(source, &places, node))?;
        let path = path_of(&tree);
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), tree, places, program, needs, facts, path })))
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The variables it reads, those that its own macros bind left out.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.0.facts.variables
    }

    /// The tasks it reads: every `X` of `tasks.X`, `tasks['X']` and `tasks.?X`.
    pub fn task_references(&self) -> &BTreeSet<String> {
        &self.0.facts.tasks
    }

    /// The context sources it reads: every `X` of `context.X`, `context['X']` and `context.?X`.
    pub fn context_references(&self) -> &BTreeSet<String> {
        &self.0.facts.contexts
    }

    /// Those of `tasks` and `context` that it reads otherwise than by a name, as in `tasks[event.data.x]`
    /// or `context.map(k, k)`, so that the references above don't tell all it reads.
    pub fn nameless_references(&self) -> &BTreeSet<String> {
        &self.0.facts.nameless
    }

    /// The secrets it reads: every `X` of `secret("X")`.
    pub fn secrets(&self) -> &BTreeSet<String> {
        &self.0.facts.secrets
    }

    /// The functions it calls, operators and macros left out.
    pub fn functions(&self) -> &BTreeSet<String> {
        &self.0.facts.functions
    }

    /// What type of value it gives, where `env` says of which types its variables are. Fails with what can
    /// never be evaluated, and where; what may be right, as all that an event's data decides, is no error.
    pub fn check_types(&self, env: &types::TypeEnv) -> Result<types::Type, Vec<CompileError>> {
        types::infer(&self.0.tree, env, &|node| column(&self.0.source, &self.0.places, node))
    }

    /// The expression's value. Fails where CEL does (a missing field, a wrong type), and over the bounds.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, EvalError> {
        if let Some(value) = self.0.path.as_deref().and_then(|path| look_up(path, scope)) {
            return value::bounded(value).map_err(|message| self.error(message));
        }
        for secret in self.secrets() {
            scope.secret(secret).map_err(|message| self.error(message))?;
        }
        let meter = self.0.needs.meter.then(meter::Meter::default);
        let result = self.interpret(scope, meter.clone());
        // What it costs too much to know, nothing else about it matters.
        match meter.and_then(|meter| meter.exceeded()) {
            Some(message) => Err(self.error(message)),
            None => result.map_err(|message| self.error(self.conceal(message))),
        }
    }

    fn interpret(&self, scope: &Scope, meter: Option<meter::Meter>) -> Result<Value, String> {
        let names = scope::Names { scope, patterns: &self.0.needs.patterns, meter, sheet: value::Sheet::default() };
        let mut context = Context::with_env(Arc::clone(&runtime::ENV));
        context.set_variable_resolver(&names);
        let outcome = context.resolve(&self.0.program).map_err(|error| failure::describe(&error));
        drop(context);
        outcome.and_then(|_| names.sheet.read())
    }

    /// Why it failed, unless that could tell a secret.
    fn conceal(&self, message: String) -> String {
        if self.secrets().is_empty() {
            message
        } else {
            "it failed; why is not told, since it reads a secret".to_owned()
        }
    }

    /// The value of a condition. Fails also if it is not a boolean.
    pub fn truth(&self, scope: &Scope) -> Result<bool, EvalError> {
        match self.evaluate(scope)? {
            Value::Bool(truth) => Ok(truth),
            other => {
                let message = format!("gave {}, and a condition must give true or false", clip(&other.to_string()));
                Err(self.error(self.conceal(message)))
            }
        }
    }

    fn error(&self, message: impl Into<String>) -> EvalError {
        EvalError { expression: self.0.source.clone(), message: message.into() }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.0.source).finish()
    }
}

/// Where a part of the tree stands, in characters from 1.
fn column(source: &str, places: &SourceInfo, node: &IdedExpr) -> Option<usize> {
    let (start, _) = places.offset_for(node.id)?;
    let before = source.get(..usize::try_from(start).ok()?)?;
    Some(before.chars().count() + 1)
}

/// The names of an expression that is no more than `a.b.c`.
fn path_of(tree: &IdedExpr) -> Option<Vec<String>> {
    let mut path = Vec::new();
    let mut node = tree;
    loop {
        match &node.expr {
            Expr::Select(select) if !select.test => {
                path.push(select.field.clone());
                node = &select.operand;
            }
            Expr::Ident(name) => {
                path.push(name.clone());
                path.reverse();
                return Some(path);
            }
            _ => return None,
        }
    }
}

/// What a path leads to, if it does.
fn look_up<'s>(path: &[String], scope: &'s Scope) -> Option<&'s Value> {
    let (variable, fields) = path.split_first()?;
    fields.iter().try_fold(scope.get(variable)?, |value, field| value.as_object()?.get(field))
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
        check("event.data.", Err("ends after `.`"));
        check("event.data.nothing == 1", Err("nothing"));
        check("event.data.total + 'x'", Err(""));
        check(&format!("'{}'", "x".repeat(2000)), Err("at most 1024"));
    }

    #[test]
    fn hostile_expressions_are_refused_or_bounded() {
        check(&format!("1{}", "+1".repeat(300)), Err("nested"));
        check(&format!("{}1{}", "(".repeat(300), ")".repeat(300)), Err("nested too deep"));
        check(&format!("{}event{}", "[".repeat(200), "]".repeat(200)), Err("nested too deep"));
        check("['x'].map(a, a + a).map(b, b + b)", Err("a number on one side"));
        check("[1].map(a, [1].map(b, [1].map(c, 1)))", Err("macros"));
        check("event.type.matches(event.type)", Err("literal"));
    }

    #[test]
    fn the_deepest_allowed_expression_fits_a_small_stack() {
        let brackets = format!("{}1{}", "(".repeat(guard::MAX_DEPTH), ")".repeat(guard::MAX_DEPTH));
        let sum = format!("1{}", "+1".repeat(guard::MAX_DEPTH - 2));
        for (deepest, value) in [(brackets, 1), (sum, guard::MAX_DEPTH - 1)] {
            let run = move || Expression::compile(&deepest).unwrap().evaluate(&Scope::new()).unwrap();
            let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap();
            assert_eq!(thread.join().unwrap(), json!(value));
        }
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
