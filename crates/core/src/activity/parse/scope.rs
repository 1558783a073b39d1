//! Expressions and templates, with the variables they may see where they stand.

use std::collections::BTreeSet;

use super::decoder::{Cursor, Decoder, Fields};
use super::grammar;
use super::graph::Graph;
use crate::document::{Node, NodeValue, Pos};
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
    "secret",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
/// Names of types, as in `type(event.data.total) == int`.
const TYPES: &[&str] = &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
/// Every variable there is.
const VARIABLES: &[&str] =
    &["event", "events", "config", "run", "context", "tasks", "state", "item", "index", "output"];

/// What the activity as a whole puts into scope, and out of it.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    batch: bool,
    contexts: BTreeSet<String>,
    /// The names of `instance.state`, where there is an `instance`.
    state: Option<BTreeSet<String>>,
}

impl Surroundings {
    /// Looks at what is written; what is wrong with it is reported elsewhere.
    pub(super) fn of(spec: &Fields<'_>) -> Self {
        let names = |at: &Node| at.entries().iter().map(|entry| entry.key.clone()).collect::<BTreeSet<_>>();
        let inside = |name: &str, key: &str| spec.get(name).and_then(|at| at.node.get(key));
        let state = || inside("instance", "state").map(names).unwrap_or_default();
        Self {
            batch: inside("flow", "batch").is_some(),
            contexts: spec.get("context").map(|at| names(at.node)).unwrap_or_default(),
            state: spec.has("instance").then(state),
        }
    }

    pub(super) fn is_stateful(&self) -> bool {
        self.state.is_some()
    }

    pub(super) fn has_state(&self, name: &str) -> bool {
        self.state.as_ref().is_some_and(|state| state.contains(name))
    }

    pub(super) fn state_names(&self) -> Vec<&str> {
        self.state.iter().flatten().map(String::as_str).collect()
    }

    /// The trigger event, or all of a batch.
    fn event(&self) -> &'static str {
        if self.batch { "events" } else { "event" }
    }
}

/// Which tasks an expression may read.
#[derive(Clone)]
enum Tasks<'a> {
    None,
    /// Those that this one needs (`None` if its id is wrong).
    NeededBy(Option<&'a str>, &'a Graph),
    /// All of them, ended or not.
    All(&'a Graph),
}

/// What an expression may see.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    variables: Vec<&'static str>,
    secrets: bool,
    surroundings: Option<&'a Surroundings>,
    tasks: Tasks<'a>,
}

impl<'a> Scope<'a> {
    fn new(variables: &[&'static str]) -> Self {
        Self { variables: variables.to_vec(), secrets: false, surroundings: None, tasks: Tasks::None }
    }

    fn inside(variables: &[&'static str], surroundings: &'a Surroundings) -> Self {
        let state = surroundings.is_stateful().then_some("state");
        let variables = std::iter::once(surroundings.event()).chain(variables.iter().copied()).chain(state).collect();
        Self { variables, secrets: false, surroundings: Some(surroundings), tasks: Tasks::None }
    }

    /// The `when` of a trigger: the router knows nothing but the event.
    pub(super) fn trigger() -> Self {
        Self::new(&["event"])
    }

    /// `instance.key`, and the expressions of `flow`: before there is a run.
    pub(super) fn admitted() -> Self {
        Self::new(&["event", "config"])
    }

    /// A context source.
    pub(super) fn context(surroundings: &'a Surroundings) -> Self {
        Self { secrets: true, ..Self::inside(&["config", "run"], surroundings) }
    }

    /// The `when` and `forEach` of a task.
    pub(super) fn rule(surroundings: &'a Surroundings, task: Option<&'a str>, graph: &'a Graph) -> Self {
        let tasks = Tasks::NeededBy(task, graph);
        Self { tasks, ..Self::inside(&["config", "run", "context", "tasks"], surroundings) }
    }

    /// `instance.completeWhen`.
    pub(super) fn whole(surroundings: &'a Surroundings, graph: &'a Graph) -> Self {
        Self { tasks: Tasks::All(graph), ..Self::inside(&["config", "run", "context", "tasks"], surroundings) }
    }

    /// `instance.set`.
    pub(super) fn fold(surroundings: &'a Surroundings) -> Self {
        Self::inside(&["config", "run"], surroundings)
    }

    /// The `with` of the task whose rule this is.
    pub(super) fn for_work(mut self, for_each: bool) -> Self {
        if for_each {
            self.variables.extend(["item", "index"]);
        }
        Self { secrets: true, ..self }
    }

    /// Its `undo`.
    pub(super) fn with_output(mut self) -> Self {
        self.variables.push("output");
        self
    }

    fn check(&self, uses: &Uses) -> Vec<String> {
        let in_scope = |name: &str| self.variables.contains(&name) || TYPES.contains(&name);
        let variables = uses.variables.iter().filter(|name| !in_scope(name)).map(|name| self.refuse_variable(name));
        let functions =
            uses.functions.iter().filter(|name| !FUNCTIONS.contains(&name.as_str())).map(|name| refuse_function(name));
        let secret = (uses.functions.contains("secret") && !self.secrets)
            .then(|| "`secret()` is in scope only in `with`, `undo` and `context`".to_owned());
        let tasks = uses.tasks.iter().filter_map(|name| self.check_task(name));
        // Without a name to check, nothing says that the task has ended.
        let nameless = (matches!(self.tasks, Tasks::NeededBy(..))
            && uses.tasks.is_empty()
            && uses.variables.contains("tasks"))
        .then(|| "`tasks` stands without the id of a task; write `tasks.ID`, as in tasks.score.output".to_owned());
        variables.chain(functions).chain(secret).chain(tasks).chain(nameless).collect()
    }

    fn refuse_variable(&self, name: &str) -> String {
        let here = grammar::list(&self.variables);
        let where_ = match name {
            "item" | "index" => "only in the `with` and `undo` of a task that has `forEach`",
            "output" => "only in `undo`",
            "state" => "only in a stateful activity, one with `instance`",
            "events" => "only where `flow` has a `batch`",
            "event" if self.variables.contains(&"events") => {
                return format!(
                    "with `flow.batch` there are `events`, a list, instead of `event`; in scope here: {here}"
                );
            }
            name if VARIABLES.contains(&name) => return format!("`{name}` is not in scope here; in scope: {here}"),
            name => return format!("unknown variable `{name}`; {}", grammar::suggest(name, &self.variables)),
        };
        format!("`{name}` is in scope {where_}; in scope here: {here}")
    }

    fn check_task(&self, name: &str) -> Option<String> {
        let (task, graph) = match self.tasks {
            Tasks::None => return None,
            Tasks::All(graph) => (None, graph),
            Tasks::NeededBy(task, graph) => (task, graph),
        };
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
    format!("unknown function `{name}()`; {}", grammar::suggest(name, FUNCTIONS))
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

/// A condition.
pub(super) fn condition(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope)
}

/// An expression that gives a list.
pub(super) fn list(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope)
}

/// An expression that gives a text.
pub(super) fn text(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope)
}

/// An expression that gives a whole number.
pub(super) fn whole(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope)
}

/// The items of a list, each a template that gives a text.
pub(super) fn text_templates(d: &mut Decoder, fields: &Fields<'_>, name: &str, scope: &Scope<'_>) -> Vec<Template> {
    let items = d.list(fields, name);
    items.iter().filter_map(|at| text_template(d, at, scope)).collect()
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
    if uses.functions.contains("secret") {
        d.not_executed(at, "`secret()`");
    }
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
