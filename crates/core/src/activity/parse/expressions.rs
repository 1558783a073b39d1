//! Reads expressions and templates, and checks them where they stand.

use super::decoder::{Cursor, Decoder, Fields};
use super::scope::{Scope, Uses};
use crate::document::{NodeValue, Pos};
use crate::expression::types::Type;
use crate::expression::{CompileError, Expression, Template};

/// What type a value must have, if that can be told.
type Check = fn(&Type) -> Result<(), String>;

/// An expression that may give anything.
pub(super) fn any(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope, |_| Ok(()))
}

/// A condition.
pub(super) fn condition(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope, Type::check_condition)
}

/// An expression that gives a list.
pub(super) fn list(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope, Type::check_list)
}

/// An expression that gives a text.
pub(super) fn text(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope, Type::check_text)
}

/// An expression that gives a whole number.
pub(super) fn whole(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>) -> Option<Expression> {
    expression(d, at, scope, Type::check_whole)
}

fn expression(d: &mut Decoder, at: &Cursor<'_>, scope: &Scope<'_>, check: Check) -> Option<Expression> {
    let source = d.text(at)?;
    if source.trim_start().starts_with("${") {
        d.problem(at, "this is an expression as a whole; write it without `${ }`");
        return None;
    }
    match Expression::compile(source) {
        Ok(expression) => {
            report(d, at, scope, &Uses::of_expression(&expression));
            match expression.check_types(&scope.types()) {
                Ok(found) => drop(check(&found).map_err(|message| d.problem(at, message))),
                Err(errors) => errors.iter().for_each(|error| refuse(d, at, error)),
            }
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
    let types = scope.types();
    for (at, text) in at.texts().into_iter().filter(|(_, text)| text.contains("${")) {
        match Template::compile(&text.into()) {
            Ok(part) => {
                report(d, &at, scope, &Uses::of_template(&part));
                part.check_types(&types).iter().for_each(|error| refuse(d, &at, error));
            }
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

/// The items of a list, each a template that gives a text.
pub(super) fn text_templates(d: &mut Decoder, fields: &Fields<'_>, name: &str, scope: &Scope<'_>) -> Vec<Template> {
    let items = d.list(fields, name);
    items.iter().filter_map(|at| text_template(d, at, scope)).collect()
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
