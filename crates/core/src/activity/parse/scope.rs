//! What an expression may see where it stands.

use std::collections::BTreeSet;

use super::decoder::Fields;
use super::grammar;
use super::graph::Graph;
use crate::document::{Node, NodeValue};
use crate::expression::types::{Type, TypeEnv, function_names};
use crate::expression::{Expression, Template};

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
    /// The tasks that run for each event.
    each_event: BTreeSet<String>,
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
            each_event: spec.get("tasks").map(|at| each_event(at.node)).unwrap_or_default(),
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

fn each_event(tasks: &Node) -> BTreeSet<String> {
    let NodeValue::List(tasks) = &tasks.value else { return BTreeSet::new() };
    let word = |task: &Node, key: &str| Some(task.get(key)?.to_value().as_str()?.to_owned());
    let each = tasks.iter().filter(|task| word(task, "each").as_deref() == Some("event"));
    each.filter_map(|task| word(task, "id")).collect()
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

    /// Work whose inputs stand in events, in history or before people.
    pub(super) fn without_secrets(self) -> Self {
        Self { secrets: false, ..self }
    }

    /// Its `undo`.
    pub(super) fn with_output(mut self) -> Self {
        self.variables.push("output");
        self
    }

    /// All that the expression reads and can't see, or that may not have ended.
    pub(super) fn check(&self, uses: &Uses) -> Vec<String> {
        let in_scope = |name: &str| self.variables.contains(&name) || TYPES.contains(&name);
        let variables = uses.variables.iter().filter(|name| !in_scope(name)).map(|name| self.refuse_variable(name));
        let known = function_names();
        let functions = uses.functions.iter().filter(|name| !known.contains(&name.as_str()));
        let functions =
            functions.map(|name| format!("unknown function `{name}()`; {}", grammar::suggest(name, &known)));
        let secret = (uses.functions.contains("secret") && !self.secrets)
            .then(|| "`secret()` is in scope only in `context` and in what uses http, nats or sql".to_owned());
        let tasks = uses.tasks.iter().filter_map(|name| self.check_task(name));
        let contexts = uses.contexts.iter().filter_map(|name| self.check_context(name));
        let nameless = uses.nameless.iter().filter_map(|name| self.check_nameless(name));
        variables.chain(functions).chain(secret).chain(tasks).chain(contexts).chain(nameless).collect()
    }

    /// The types of what is in scope.
    pub(super) fn types(&self) -> TypeEnv {
        let env = TypeEnv::new()
            .with("event", Type::event())
            .with("events", Type::List(Box::new(Type::event())))
            .with("run", Type::run())
            .with("tasks", Type::tasks())
            .with("index", Type::Int);
        match self.surroundings.and_then(|surroundings| surroundings.state.as_ref()) {
            Some(state) => env.with("state", Type::closed(state.iter().map(|name| (name.clone(), Type::Dyn)))),
            None => env,
        }
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

    /// Where there are context sources, a name that none of them has is a mistake.
    fn check_context(&self, name: &str) -> Option<String> {
        let contexts = &self.surroundings.filter(|_| self.variables.contains(&"context"))?.contexts;
        let known: Vec<&str> = contexts.iter().map(String::as_str).collect();
        let hint =
            if known.is_empty() { "the activity has no `context`".into() } else { grammar::suggest(name, &known) };
        (!contexts.contains(name)).then(|| format!("`context` has no `{name}`; {hint}"))
    }

    /// Without a name to check, nothing says that the task has ended, or that there is such a context source.
    fn check_nameless(&self, name: &str) -> Option<String> {
        let needs = matches!(self.tasks, Tasks::NeededBy(..));
        (name == "tasks" && needs)
            .then(|| "`tasks` stands without the id of a task; write `tasks.ID`, as in tasks.score.output".to_owned())
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
        if task.is_none() && self.surroundings.is_some_and(|surroundings| surroundings.each_event.contains(name)) {
            return Some(format!("task `{name}` runs for each event, so it has no one status or output to read here"));
        }
        let task = task.filter(|task| !graph.needs(task, name))?;
        Some(format!(
            "`tasks.{name}` may not have ended yet when this is evaluated; add `{name}` to the `needs` of task `{task}`"
        ))
    }
}

/// What an expression or a template reads.
pub(super) struct Uses {
    variables: BTreeSet<String>,
    tasks: BTreeSet<String>,
    contexts: BTreeSet<String>,
    nameless: BTreeSet<String>,
    functions: BTreeSet<String>,
}

impl Uses {
    pub(super) fn of_expression(expression: &Expression) -> Self {
        Self {
            variables: expression.variables().clone(),
            tasks: expression.task_references().clone(),
            contexts: expression.context_references().clone(),
            nameless: expression.nameless_references().clone(),
            functions: expression.functions().clone(),
        }
    }

    pub(super) fn of_template(template: &Template) -> Self {
        Self {
            variables: template.variables(),
            tasks: template.task_references(),
            contexts: template.context_references(),
            nameless: template.nameless_references(),
            functions: template.functions(),
        }
    }
}
