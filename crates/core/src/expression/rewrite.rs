//! Makes a parsed tree safe to evaluate: regular expressions are compiled, what can grow or run long is
//! counted by a meter, and what the interpreter leaves to chance (the order of a map's keys) is fixed.
//!
//! Recursion is safe here: `guard` has bounded the depth of the tree.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::CompileError;
use super::guard::Column;
use super::regex::{MAX_PATTERNS, Pattern};
use super::runtime;

/// The name under which the tree refers to the meter.
pub(super) const METER: &str = "@meter";
/// The name under which the tree refers to where its result is written.
pub(super) const SHEET: &str = "@sheet";
/// What the names of regular expressions start with; their number follows.
pub(super) const PATTERN: &str = "@pattern:";
/// What the names of secrets start with; the secret's own follows.
pub(super) const SECRET: &str = "@secret:";

/// What a rewritten tree needs in order to be evaluated.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) patterns: Vec<Pattern>,
    pub(super) meter: bool,
}

/// Rewrites the tree of a program. Fails for a regular expression that is none.
pub(super) fn rewrite(tree: &mut IdedExpr, column: Column<'_>) -> Result<Needs, CompileError> {
    let mut rewriter = Rewriter { needs: Needs::default(), column };
    rewriter.visit(tree, 0)?;
    let args = vec![std::mem::take(tree), part(Expr::Ident(SHEET.into()))];
    *tree = part(Expr::Call(CallExpr { func_name: runtime::RESULT.into(), target: None, args }));
    Ok(rewriter.needs)
}

struct Rewriter<'a> {
    needs: Needs,
    column: Column<'a>,
}

impl Rewriter<'_> {
    /// Rewrites a node that stands in so many macros.
    fn visit(&mut self, node: &mut IdedExpr, macros: u32) -> Result<(), CompileError> {
        match &mut node.expr {
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
            Expr::Select(select) => self.visit(&mut select.operand, macros)?,
            Expr::Struct(_) => {}
            Expr::List(list) => {
                for element in &mut list.elements {
                    self.visit_copied(element, macros)?;
                }
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.visit_copied(&mut entry.key, macros)?;
                        self.visit_copied(&mut entry.value, macros)?;
                    }
                }
            }
            Expr::Comprehension(comprehension) => {
                let parts = count(&comprehension.loop_step);
                self.visit(&mut comprehension.iter_range, macros)?;
                self.wrap(runtime::EACH, &mut comprehension.iter_range, Some(parts));
                self.visit(&mut comprehension.loop_step, macros + 1)?;
            }
            Expr::Call(call) if call.func_name == "secret" => {
                if let Some(Expr::Literal(LiteralValue::String(name))) = call.args.first().map(|arg| &arg.expr) {
                    node.expr = Expr::Ident(format!("{SECRET}{}", name.inner()));
                }
            }
            Expr::Call(call) => {
                for operand in call.target.iter_mut().map(AsMut::as_mut).chain(&mut call.args) {
                    self.visit(operand, macros)?;
                }
                self.rewrite_call(call, macros)?;
            }
        }
        Ok(())
    }

    /// Rewrites a part of a list or a map, which is copied into it. Outside of macros that is but a reference.
    fn visit_copied(&mut self, node: &mut IdedExpr, macros: u32) -> Result<(), CompileError> {
        self.visit(node, macros)?;
        if macros > 0 && !matches!(node.expr, Expr::Literal(_)) {
            self.wrap(runtime::COPY, node, None);
        }
        Ok(())
    }

    fn rewrite_call(&mut self, call: &mut CallExpr, macros: u32) -> Result<(), CompileError> {
        match call.func_name.as_str() {
            "matches" => self.rewrite_matches(call)?,
            operators::EQUALS if !has_scalar(call) => self.rename(call, runtime::EQUAL),
            operators::NOT_EQUALS if !has_scalar(call) => {
                self.rename(call, runtime::EQUAL);
                let equal = std::mem::take(call);
                let args = vec![part(Expr::Call(equal))];
                *call = CallExpr { func_name: operators::LOGICAL_NOT.into(), target: None, args };
            }
            operators::IN if !call.args.last().is_some_and(is_constant) => self.rename(call, runtime::CONTAINED),
            operators::ADD if !has_number(call) => self.rename(call, runtime::ADD),
            "contains" | "size" | "string" | "bytes" | "int" | "uint" | "double" if macros > 0 => {
                let text = call.target.as_deref_mut().or(call.args.first_mut());
                text.into_iter().for_each(|text| self.wrap(runtime::TEXT, text, None));
            }
            "startsWith"
            | "endsWith"
            | operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS
                if macros > 0 && !has_scalar(call) =>
            {
                let text = call.args.last_mut();
                text.into_iter().for_each(|text| self.wrap(runtime::TEXT, text, None));
            }
            _ => {}
        }
        Ok(())
    }

    /// `text.matches('x')` and `matches(text, 'x')` become a call with the compiled expression.
    fn rewrite_matches(&mut self, call: &mut CallExpr) -> Result<(), CompileError> {
        let text = call.target.take().map(|target| *target);
        let mut args: Vec<_> = text.into_iter().chain(std::mem::take(&mut call.args)).collect();
        let (Some(source), 2) = (args.last().and_then(|arg| text_of(&arg.expr)), args.len()) else {
            return Err(CompileError::new("matches() takes a regular expression written as a literal"));
        };
        let column = (self.column)(&args[1]);
        if self.needs.patterns.len() == MAX_PATTERNS {
            return Err(CompileError::at(
                column,
                format!("at most {MAX_PATTERNS} regular expressions may stand in one expression"),
            ));
        }
        let pattern = Pattern::compile(source).map_err(|message| CompileError::at(column, message))?;
        args[1] = part(Expr::Ident(format!("{PATTERN}{}", self.needs.patterns.len())));
        self.needs.patterns.push(pattern);
        call.args = args;
        self.rename(call, runtime::MATCHES);
        Ok(())
    }

    fn rename(&mut self, call: &mut CallExpr, function: &str) {
        call.func_name = function.into();
        call.args.push(self.meter());
    }

    fn wrap(&mut self, function: &str, node: &mut IdedExpr, number: Option<i64>) {
        let inner = std::mem::take(node);
        let id = inner.id;
        let number = number.map(|number| part(Expr::Literal(LiteralValue::Int(number.into()))));
        let args = [inner, self.meter()].into_iter().chain(number).collect();
        *node = IdedExpr { id, expr: Expr::Call(CallExpr { func_name: function.into(), target: None, args }) };
    }

    fn meter(&mut self) -> IdedExpr {
        self.needs.meter = true;
        part(Expr::Ident(METER.into()))
    }
}

fn part(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

/// The text of a literal.
pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Whether one side is a literal, so that comparing takes no longer than its text is.
fn has_scalar(call: &CallExpr) -> bool {
    call.args.iter().any(|arg| matches!(arg.expr, Expr::Literal(_)))
}

/// Whether one side is a number or what a macro gathers, so that the sum is nothing that grows.
fn has_number(call: &CallExpr) -> bool {
    call.args.iter().any(|arg| is_number(&arg.expr) || is_accumulator(&arg.expr))
}

/// What macros gather in; no name in an expression's text starts so.
pub(super) fn is_accumulator(expr: &Expr) -> bool {
    matches!(expr, Expr::Ident(name) if name.starts_with('@'))
}

/// Whether an expression can give a number only.
pub(super) fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)) => true,
        Expr::Call(call) => {
            matches!(call.func_name.as_str(), "_-_" | "_*_" | "_/_" | "_%_" | "-_" | "size" | "int" | "uint" | "double")
        }
        _ => false,
    }
}

/// Whether an expression is a list or a map of literals.
fn is_constant(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.elements.iter().all(|element| matches!(element.expr, Expr::Literal(_))),
        _ => false,
    }
}

/// The number of parts of a tree.
fn count(tree: &IdedExpr) -> i64 {
    let mut parts = 0;
    let mut stack = vec![tree];
    while let Some(node) = stack.pop() {
        parts += 1;
        stack.extend(children(node));
    }
    parts
}

/// The parts that a node is made of.
pub(super) fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| parts_of(&entry.expr)).collect(),
        Expr::Struct(value) => value.entries.iter().flat_map(|entry| parts_of(&entry.expr)).collect(),
        Expr::Comprehension(macro_) => {
            vec![&macro_.iter_range, &macro_.accu_init, &macro_.loop_cond, &macro_.loop_step, &macro_.result]
        }
    }
}

fn parts_of(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
