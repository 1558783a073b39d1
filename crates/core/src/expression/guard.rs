//! Keeps the CEL interpreter, which has no limits of its own, inside bounds.
//!
//! The tree is walked with a stack of our own, never by recursion: a hostile one would overflow ours too.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, SelectExpr, operators};

use super::CompileError;
use super::rewrite::{children, is_accumulator, is_number, text_of};

/// The deepest nesting of an expression's tree; what a 2 MiB stack bears in an unoptimised build.
pub(super) const MAX_DEPTH: usize = 64;
/// The most nodes of an expression's tree.
const MAX_NODES: usize = 512;
/// How deep `exists`, `all`, `map`, `filter` may stand in one another.
const MAX_MACRO_NESTING: u32 = 2;
/// What is known of an expression without evaluating it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) variables: BTreeSet<String>,
    pub(super) tasks: BTreeSet<String>,
    pub(super) contexts: BTreeSet<String>,
    pub(super) nameless: BTreeSet<String>,
    pub(super) secrets: BTreeSet<String>,
    pub(super) functions: BTreeSet<String>,
}

/// Where a part of the tree stands, in characters from 1.
pub(super) type Column<'a> = &'a dyn Fn(&IdedExpr) -> Option<usize>;

/// One node to visit: its depth, how many macros it stands in, and the names those macros bind.
struct Visit<'a> {
    node: &'a IdedExpr,
    depth: usize,
    macros: u32,
    bound: Vec<&'a str>,
}

/// Walks the tree, collects facts, refuses what is out of bounds.
pub(super) fn inspect(tree: &IdedExpr, column: Column<'_>) -> Result<Facts, CompileError> {
    let mut facts = Facts::default();
    let mut nodes = 0;
    let mut stack = vec![Visit { node: tree, depth: 1, macros: 0, bound: Vec::new() }];
    while let Some(visit) = stack.pop() {
        nodes += 1;
        if visit.depth > MAX_DEPTH || nodes > MAX_NODES {
            return Err(too_large());
        }
        enter(&visit, &mut facts, &mut stack).map_err(|message| CompileError::at(column(visit.node), message))?;
    }
    Ok(facts)
}

/// What is said of an expression that is out of bounds.
fn too_large() -> CompileError {
    CompileError::new(format!(
        "the expression is too large: it may be nested {MAX_DEPTH} deep and have {MAX_NODES} parts"
    ))
}

fn enter<'a>(visit: &Visit<'a>, facts: &mut Facts, stack: &mut Vec<Visit<'a>>) -> Result<(), String> {
    match &visit.node.expr {
        Expr::Ident(name) => visit.note_variable(name, facts),
        Expr::Select(select) if visit.note_field(select, facts) => return Ok(()),
        Expr::Call(call) => {
            if visit.note_index(call, facts) {
                return Ok(());
            }
            check_call(call, visit, facts)?;
        }
        Expr::Struct(value) => {
            return Err(format!(
                "there are no types like `{}` to make; write a map: {{'name': value}}",
                value.type_name
            ));
        }
        Expr::Comprehension(comprehension) => return push_macro(comprehension, visit, stack),
        Expr::Select(_) | Expr::List(_) | Expr::Map(_) | Expr::Unspecified | Expr::Literal(_) => {}
    }
    stack.extend(children(visit.node).into_iter().map(|node| Visit {
        node,
        depth: visit.depth + 1,
        macros: visit.macros,
        bound: visit.bound.clone(),
    }));
    Ok(())
}

fn push_macro<'a>(
    comprehension: &'a ComprehensionExpr,
    visit: &Visit<'a>,
    stack: &mut Vec<Visit<'a>>,
) -> Result<(), String> {
    let macros = visit.macros + 1;
    if macros > MAX_MACRO_NESTING {
        return Err(format!("macros (exists, all, map, filter) may stand {MAX_MACRO_NESTING} deep in one another"));
    }
    let depth = visit.depth + 1;
    stack.push(Visit { node: &comprehension.iter_range, depth, macros: visit.macros, bound: visit.bound.clone() });
    let mut bound = visit.bound.clone();
    bound.push(&comprehension.accu_var);
    bound.push(&comprehension.iter_var);
    bound.extend(comprehension.iter_var2.as_deref());
    let inner = [&comprehension.accu_init, &comprehension.loop_cond, &comprehension.loop_step, &comprehension.result];
    stack.extend(inner.into_iter().map(|node| Visit { node, depth, macros, bound: bound.clone() }));
    Ok(())
}

impl Visit<'_> {
    /// Whether a name stands for a variable of the scope, not for one of a macro.
    fn is_free(&self, name: &str) -> bool {
        !name.starts_with('@') && !self.bound.contains(&name)
    }

    fn note_variable(&self, name: &str, facts: &mut Facts) {
        if self.is_free(name) {
            facts.variables.insert(name.to_owned());
            if references(facts, name).is_some() {
                facts.nameless.insert(name.to_owned());
            }
        }
    }

    /// Notes `tasks.X` and `context.X`; whether it is one.
    fn note_field(&self, select: &SelectExpr, facts: &mut Facts) -> bool {
        self.note_name(&select.operand, Some(&select.field), facts)
    }

    /// Notes `tasks['X']` and `tasks.?X`; whether it is one.
    fn note_index(&self, call: &CallExpr, facts: &mut Facts) -> bool {
        let indexes = [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT];
        match call.args.as_slice() {
            [operand, name] if indexes.contains(&call.func_name.as_str()) => {
                self.note_name(operand, text_of(&name.expr), facts)
            }
            _ => false,
        }
    }

    fn note_name(&self, operand: &IdedExpr, name: Option<&str>, facts: &mut Facts) -> bool {
        let (Expr::Ident(variable), Some(name)) = (&operand.expr, name) else { return false };
        if !self.is_free(variable) {
            return false;
        }
        let Some(references) = references(facts, variable) else { return false };
        references.insert(name.to_owned());
        facts.variables.insert(variable.clone());
        true
    }
}

/// Where the names that are read of a variable are noted, if they are.
fn references<'f>(facts: &'f mut Facts, variable: &str) -> Option<&'f mut BTreeSet<String>> {
    match variable {
        "tasks" => Some(&mut facts.tasks),
        "context" => Some(&mut facts.contexts),
        _ => None,
    }
}

/// Names that can be a file's and nothing else.
fn is_secret_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (1..=63).contains(&name.len()) && !name.starts_with('.') && name.chars().all(allowed)
}

fn check_call(call: &CallExpr, visit: &Visit<'_>, facts: &mut Facts) -> Result<(), String> {
    if call.func_name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        facts.functions.insert(call.func_name.clone());
    }
    match call.func_name.as_str() {
        "matches" if call.args.last().and_then(|arg| text_of(&arg.expr)).is_none() => {
            return Err("matches() takes a regular expression written as a literal".into());
        }
        "secret" => {
            let name = match call.args.as_slice() {
                [name] if call.target.is_none() => text_of(&name.expr),
                _ => None,
            };
            let name = name.ok_or("secret() takes a name written as a literal, e.g. secret(\"crm-token\")")?;
            if !is_secret_name(name) {
                return Err(format!(
                    "no secret is named {name:?}: 1 to 63 letters, digits, `_`, `-` and `.`, and no `.` at the start"
                ));
            }
            facts.secrets.insert(name.into());
        }
        _ => {}
    }
    // A macro over text or lists that grow by `+` doubles its way out of memory in a few steps. What
    // the `map` and `filter` macros themselves add to is their accumulator, whose name starts with `@`.
    let grows = call.func_name == operators::ADD
        && visit.macros > 0
        && !call.args.iter().any(|arg| is_number(&arg.expr) || is_accumulator(&arg.expr));
    if grows {
        return Err("inside a macro, `+` needs a number on one side, e.g. double(i.price) + double(i.fee)".into());
    }
    Ok(())
}
