//! Expressions and templates, with the variables they may see where they stand.

use std::collections::BTreeSet;

use super::decoder::{Cursor, Decoder};
use super::grammar;
use super::graph::Graph;
use crate::document::{NodeValue, Pos};
use crate::expression::{CompileError, Expression, Template};

/// Functions of the expression language; operators and macros are not among them.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
/// Names of types, as in `type(event.data.total) == int`.
const TYPES: &[&str] = &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
/// Variables of the format that are not built yet.
const LATER: &[&str] = &["events", "state", "output"];
/// Every variable there is.
const VARIABLES: &[&str] = &["event", "config", "run", "context", "tasks", "item", "index"];

/// What an expression may see.
pub(super) struct Scope<'a> {
    variables: &'static [&'static str],
    /// The task it belongs to (`None` if its id is wrong), and what each task needs.
    task: Option<(Option<&'a str>, &'a Graph)>,
}

impl<'a> Scope<'a> {
    /// The `when` of a trigger.
    pub(super) fn trigger() -> Self {
        Self { variables: &["event"], task: None }
    }

    /// A context source.
    pub(super) fn context() -> Self {
        Self { variables: &["event", "config", "run"], task: None }
    }

    /// The `when` and `forEach` of a task.
    pub(super) fn rule(task: Option<&'a str>, graph: &'a Graph) -> Self {
        Self { variables: &["event", "config", "run", "context", "tasks"], task: Some((task, graph)) }
    }

    /// The `with` of a task that has no `forEach`, or has one.
    pub(super) fn work(task: Option<&'a str>, graph: &'a Graph, for_each: bool) -> Self {
        match for_each {
            true => Self { variables: VARIABLES, task: Some((task, graph)) },
            false => Self::rule(task, graph),
        }
    }

    fn check(&self, uses: &Uses) -> Vec<String> {
        let in_scope = |name: &str| self.variables.contains(&name) || TYPES.contains(&name);
        let variables = uses.variables.iter().filter(|name| !in_scope(name)).map(|name| self.refuse_variable(name));
        let functions =
            uses.functions.iter().filter(|name| !FUNCTIONS.contains(&name.as_str())).map(|name| refuse_function(name));
        let tasks = uses.tasks.iter().filter_map(|name| self.check_task(name));
        // Without a name to check, nothing says that the task has ended.
        let nameless = (self.task.is_some() && uses.tasks.is_empty() && uses.variables.contains("tasks"))
            .then(|| "`tasks` stands without the id of a task; write `tasks.ID`, as in tasks.score.output".to_owned());
        variables.chain(functions).chain(tasks).chain(nameless).collect()
    }

    fn refuse_variable(&self, name: &str) -> String {
        let here = grammar::list(self.variables);
        if LATER.contains(&name) {
            return format!("`{name}` is not supported yet; in scope here: {here}");
        }
        match name {
            "item" | "index" => {
                format!("`{name}` is in scope only in the `with` of a task that has `forEach`; in scope here: {here}")
            }
            name if VARIABLES.contains(&name) => format!("`{name}` is not in scope here; in scope: {here}"),
            name => format!("unknown variable `{name}`; {}", grammar::suggest(name, self.variables)),
        }
    }

    fn check_task(&self, name: &str) -> Option<String> {
        let (task, graph) = self.task?;
        if Some(name) == task {
            return Some(format!("task `{name}` can't read itself: it has no output before it ran"));
        }
        if !graph.has(name) {
            return Some(format!("there is no task `{name}`; {}", grammar::suggest(name, &graph.ids())));
        }
        let task = task.filter(|task| !graph.needs(task, name))?;
        Some(format!(
            "`tasks.{name}` may not have ended yet when this is evaluated; add `{name}` to the `needs` of task `{task}`"
        ))
    }
}

fn refuse_function(name: &str) -> String {
    match name {
        "secret" => "`secret()` is not supported yet".into(),
        name => format!("unknown function `{name}()`; {}", grammar::suggest(name, FUNCTIONS)),
    }
}

/// What an expression or a template reads.
struct Uses {
    variables: BTreeSet<String>,
    tasks: BTreeSet<String>,
    functions: BTreeSet<String>,
}

/// A CEL expression.
pub(super) fn expression(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    let source = d.text(at)?;
    if source.trim_start().starts_with("${") {
        d.problem(at, "this is an expression as a whole; write it without `${ }`");
        return None;
    }
    match Expression::compile(source) {
        Ok(expression) => {
            let uses = Uses {
                variables: expression.variables().clone(),
                tasks: expression.task_references().clone(),
                functions: expression.functions().clone(),
            };
            report(d, at, scope, &uses);
            Some(expression)
        }
        Err(error) => {
            refuse(d, at, &error);
            None
        }
    }
}

/// A value whose texts may hold `${ … }`.
pub(super) fn template(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Template> {
    if at.node.value == NodeValue::Invalid {
        return None;
    }
    for (at, text) in at.texts().into_iter().filter(|(_, text)| text.contains("${")) {
        match Template::compile(&text.into()) {
            Ok(part) => report(
                d,
                &at,
                scope,
                &Uses { variables: part.variables(), tasks: part.task_references(), functions: part.functions() },
            ),
            Err(errors) => errors.iter().for_each(|(_, error)| refuse(d, &at, error)),
        }
    }
    Template::compile(&at.node.to_value()).ok()
}

/// A template that gives a text.
pub(super) fn text_template(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Template> {
    d.text(at)?;
    template(d, at, scope)
}

fn report(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>, uses: &Uses) {
    for message in scope.check(uses) {
        d.problem(at, message);
    }
}

/// Reports an error at the character it names, where the text stands in the file as it is.
fn refuse(d: &mut Decoder, at: &Cursor<'_>, error: &CompileError) {
    let exact =
        at.node.text_start.zip(error.column).map(|(start, column)| Pos { column: start.column + column - 1, ..start });
    d.report.add(exact.unwrap_or(at.pos), &at.path, error.message.clone());
}
