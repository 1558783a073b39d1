//! Keeps the CEL interpreter, which has no limits of its own, inside bounds.
//!
//! The tree is walked with a stack of our own, never by recursion: a hostile one would overflow ours too.

use std::collections::BTreeSet;

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue};
use serde_json::Value;

use super::{CompileError, Scope};

/// The deepest nesting of an expression's tree; what a 2 MiB stack bears in an unoptimised build.
pub(super) const MAX_DEPTH: usize = 64;
/// The most nodes of an expression's tree.
const MAX_NODES: usize = 512;
/// How deep `exists`, `all`, `map`, `filter` may stand in one another.
const MAX_MACRO_NESTING: u32 = 2;
/// The most steps that macros may take: nodes times the longest list, to the power of their nesting.
const MAX_STEPS: usize = 20_000_000;

/// What is known of an expression without evaluating it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) variables: BTreeSet<String>,
    pub(super) tasks: BTreeSet<String>,
    pub(super) functions: BTreeSet<String>,
    nodes: usize,
    macro_nesting: u32,
}

impl Facts {
    /// Refuses to evaluate where macros over the lists in scope could take too long.
    pub(super) fn check_cost(&self, scope: &Scope) -> Result<(), String> {
        if self.macro_nesting == 0 {
            return Ok(());
        }
        let longest = self.variables.iter().filter_map(|name| scope.get(name)).map(longest_list).max().unwrap_or(0);
        let steps = longest.max(self.nodes).saturating_pow(self.macro_nesting).saturating_mul(self.nodes);
        if steps > MAX_STEPS {
            return Err(format!(
                "too much work: macros nested {} deep over a list of {longest} items",
                self.macro_nesting
            ));
        }
        Ok(())
    }
}

/// One node to visit: its depth, how many macros it stands in, and the names those macros bind.
struct Visit<'a> {
    node: &'a IdedExpr,
    depth: usize,
    macros: u32,
    bound: Vec<&'a str>,
}

/// Walks the tree, collects facts, refuses what is out of bounds.
pub(super) fn inspect(program: &cel::Program) -> Result<Facts, CompileError> {
    let mut facts = Facts::default();
    let mut stack = vec![Visit { node: program.expression(), depth: 1, macros: 0, bound: Vec::new() }];
    while let Some(visit) = stack.pop() {
        facts.nodes += 1;
        if visit.depth > MAX_DEPTH || facts.nodes > MAX_NODES {
            let message =
                format!("the expression is too large: it may be nested {MAX_DEPTH} deep and have {MAX_NODES} parts");
            return Err(CompileError::new(message));
        }
        enter(&visit, &mut facts, &mut stack)?;
    }
    Ok(facts)
}

fn enter<'a>(visit: &Visit<'a>, facts: &mut Facts, stack: &mut Vec<Visit<'a>>) -> Result<(), CompileError> {
    let mut push = |node: &'a IdedExpr| {
        stack.push(Visit { node, depth: visit.depth + 1, macros: visit.macros, bound: visit.bound.clone() });
    };
    match &visit.node.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => note_variable(name, visit, facts),
        Expr::Select(select) => {
            note_task(select, facts);
            push(&select.operand);
        }
        Expr::Call(call) => {
            check_call(call, visit)?;
            note_function(&call.func_name, facts);
            call.target.iter().for_each(|target| push(target));
            call.args.iter().for_each(push);
        }
        Expr::List(list) => list.elements.iter().for_each(push),
        Expr::Map(map) => map.entries.iter().for_each(|entry| push_entry(entry, &mut push)),
        Expr::Struct(value) => value.entries.iter().for_each(|entry| push_entry(entry, &mut push)),
        Expr::Comprehension(comprehension) => push_macro(comprehension, visit, facts, stack)?,
    }
    Ok(())
}

fn push_entry<'a>(entry: &'a IdedEntryExpr, push: &mut impl FnMut(&'a IdedExpr)) {
    match &entry.expr {
        EntryExpr::StructField(field) => push(&field.value),
        EntryExpr::MapEntry(entry) => {
            push(&entry.key);
            push(&entry.value);
        }
    }
}

fn push_macro<'a>(
    comprehension: &'a ComprehensionExpr,
    visit: &Visit<'a>,
    facts: &mut Facts,
    stack: &mut Vec<Visit<'a>>,
) -> Result<(), CompileError> {
    let macros = visit.macros + 1;
    if macros > MAX_MACRO_NESTING {
        return Err(CompileError::new(format!(
            "macros (exists, all, map, filter) may stand {MAX_MACRO_NESTING} deep in one another"
        )));
    }
    facts.macro_nesting = facts.macro_nesting.max(macros);
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

fn note_variable(name: &str, visit: &Visit<'_>, facts: &mut Facts) {
    if !name.starts_with('@') && !visit.bound.contains(&name) {
        facts.variables.insert(name.to_owned());
    }
}

fn note_task(select: &cel::common::ast::SelectExpr, facts: &mut Facts) {
    if matches!(&select.operand.expr, Expr::Ident(name) if name == "tasks") {
        facts.tasks.insert(select.field.clone());
    }
}

fn note_function(name: &str, facts: &mut Facts) {
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        facts.functions.insert(name.to_owned());
    }
}

fn check_call(call: &cel::common::ast::CallExpr, visit: &Visit<'_>) -> Result<(), CompileError> {
    if call.func_name == "matches" {
        let pattern = call.args.last().map(|arg| &arg.expr);
        if !matches!(pattern, Some(Expr::Literal(LiteralValue::String(_)))) {
            return Err(CompileError::new("matches() takes a regular expression written as a literal"));
        }
    }
    // A macro over text or lists that grow by `+` doubles its way out of memory in a few steps. What
    // the `map` and `filter` macros themselves add to is their accumulator, whose name starts with `@`.
    let grows = call.func_name == "_+_"
        && visit.macros > 0
        && !call.args.iter().any(|arg| is_number(&arg.expr) || is_accumulator(&arg.expr));
    if grows {
        return Err(CompileError::new(
            "inside a macro, `+` needs a number on one side, e.g. double(i.price) + double(i.fee)",
        ));
    }
    Ok(())
}

fn is_accumulator(expr: &Expr) -> bool {
    matches!(expr, Expr::Ident(name) if name.starts_with('@'))
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)) => true,
        Expr::Call(call) => {
            matches!(call.func_name.as_str(), "_-_" | "_*_" | "_/_" | "_%_" | "-_" | "size" | "int" | "uint" | "double")
        }
        _ => false,
    }
}

/// The length of the longest list, object or text in `value`. Depth is bounded by the JSON parser's own limit.
fn longest_list(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(longest_list).max().unwrap_or(0).max(items.len()),
        Value::Object(map) => map.values().map(longest_list).max().unwrap_or(0).max(map.len()),
        _ => 0,
    }
}
