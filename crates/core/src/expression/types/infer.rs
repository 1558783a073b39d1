//! Goes through a tree and tells the type of each part. Recursion is safe here: `guard` has bounded the depth.

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr, operators};

use super::super::CompileError;
use super::super::guard::Column;
use super::super::rewrite::is_accumulator;
use super::suggest::suggest;
use super::{Object, Type, TypeEnv};

/// Names that stand for types, as in `type(event.data.total) == int`.
const TYPE_NAMES: &[&str] = &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// An inference on its way through a tree.
pub(super) struct Inference<'a> {
    pub(super) env: &'a TypeEnv,
    pub(super) column: Column<'a>,
    /// What the macros around bind, innermost last.
    pub(super) bound: Vec<(&'a str, Type)>,
    pub(super) errors: Vec<CompileError>,
}

impl<'a> Inference<'a> {
    /// The type of a node; [`Type::Dyn`] where it was refused, so that one mistake is told once.
    pub(super) fn infer(&mut self, node: &'a IdedExpr) -> Type {
        match &node.expr {
            Expr::Unspecified | Expr::Struct(_) => Type::Dyn,
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(node, select),
            Expr::Call(call) => self.call(node, call),
            Expr::List(list) => {
                let mut items: Vec<Type> = Vec::new();
                for (at, element) in list.elements.iter().enumerate() {
                    let item = self.infer(element);
                    items.push(if list.optional_indices.contains(&at) { present(item) } else { item });
                }
                Type::List(Box::new(items.into_iter().reduce(Type::join).unwrap_or(Type::Dyn)))
            }
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    /// Notes an error at a node.
    pub(super) fn refuse(&mut self, node: &IdedExpr, message: impl Into<String>) -> Type {
        self.errors.push(CompileError::at((self.column)(node), message));
        Type::Dyn
    }

    fn variable(&self, name: &str) -> Type {
        if let Some((_, bound)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            return bound.clone();
        }
        match self.env.get(name) {
            Some(known) => known.clone(),
            None if TYPE_NAMES.contains(&name) => Type::Type,
            None => Type::Dyn,
        }
    }

    fn select(&mut self, node: &IdedExpr, select: &'a SelectExpr) -> Type {
        let operand = self.infer(&select.operand);
        let field = self.field(node, &select.operand, operand, &select.field);
        if select.test { Type::Bool } else { field }
    }

    /// The type of a field of a value.
    pub(super) fn field(&mut self, node: &IdedExpr, operand: &IdedExpr, of: Type, field: &str) -> Type {
        match of {
            Type::Dyn => Type::Dyn,
            Type::Map(value) => *value,
            Type::Object(object) => self.known_field(node, operand, &object, field),
            Type::Optional(inner) => {
                let field = self.field(node, operand, *inner, field);
                Type::Optional(Box::new(present(field)))
            }
            Type::List(_) => self.refuse(
                node,
                format!("a list has no field `{field}`; take an item first, as in {}[0].{field}", shown(operand)),
            ),
            other => self.refuse(node, format!("{other} has no fields, so there is no `{field}` of it")),
        }
    }

    fn known_field(&mut self, node: &IdedExpr, operand: &IdedExpr, object: &Object, field: &str) -> Type {
        match object.fields.get(field) {
            Some(known) => known.clone(),
            None if object.open => Type::Dyn,
            None => {
                let names: Vec<_> = object.fields.keys().map(String::as_str).collect();
                let of = shown(operand);
                let suggestion = suggest(field, &names, |name| format!("{of}.{name}"));
                self.refuse(node, format!("there is no `{of}.{field}`; {suggestion}"))
            }
        }
    }

    fn map(&mut self, map: &'a MapExpr) -> Type {
        let mut values = Vec::new();
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let key = self.infer(&entry.key);
            if matches!(key, Type::Null | Type::Double | Type::Bytes | Type::Type | Type::Optional(_) | Type::List(_))
                || key.is_map()
            {
                self.refuse(
                    &entry.key,
                    format!("a map's key must be a text, a whole number or a boolean, and this is {key}"),
                );
            }
            let value = self.infer(&entry.value);
            values.push(if entry.optional { present(value) } else { value });
        }
        Type::Map(Box::new(values.into_iter().reduce(Type::join).unwrap_or(Type::Dyn)))
    }

    fn comprehension(&mut self, macro_: &'a ComprehensionExpr) -> Type {
        let range = self.infer(&macro_.iter_range);
        let item = match range {
            Type::Dyn | Type::Map(_) => Type::Dyn,
            Type::List(item) => *item,
            Type::Object(_) => Type::String,
            other => self.refuse(
                &macro_.iter_range,
                format!("a macro goes through a list or the keys of a map, and this is {other}"),
            ),
        };
        self.bound.push((&macro_.iter_var, item));
        let found = self.gathered(macro_);
        self.bound.pop();
        found
    }

    /// What a macro gathers: a boolean, or a list of what its steps add.
    fn gathered(&mut self, macro_: &'a ComprehensionExpr) -> Type {
        if matches!(macro_.accu_init.expr, Expr::List(_)) {
            let added = self.added(&macro_.loop_step);
            return Type::List(Box::new(added));
        }
        let gathered = self.infer(&macro_.accu_init);
        self.bound.push((&macro_.accu_var, gathered));
        self.infer(&macro_.loop_step);
        self.bound.pop();
        Type::Bool
    }

    /// The type of `x` in the steps of `map` and `filter`: `@result + [x]`, maybe behind a condition.
    fn added(&mut self, step: &'a IdedExpr) -> Type {
        let Expr::Call(call) = &step.expr else { return Type::Dyn };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, step, _]) => {
                self.condition(condition);
                self.added(step)
            }
            (operators::ADD, [result, item]) if is_accumulator(&result.expr) => match self.infer(item) {
                Type::List(item) => *item,
                _ => Type::Dyn,
            },
            _ => Type::Dyn,
        }
    }

    /// Checks that a node can be a condition.
    pub(super) fn condition(&mut self, node: &'a IdedExpr) {
        let found = self.infer(node);
        if !matches!(found, Type::Bool | Type::Dyn) {
            self.refuse(node, format!("this is {found}, and a condition must be true or false"));
        }
    }
}

/// The type of an optional's value.
pub(super) fn present(found: Type) -> Type {
    match found {
        Type::Optional(inner) => *inner,
        other => other,
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// A path as it was written; `…` for what is none.
pub(super) fn shown(node: &IdedExpr) -> String {
    match &node.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", shown(&select.operand), select.field),
        _ => "…".into(),
    }
}
