//! Text to tree, and what is wrong with a text that is no expression, in plain words.

mod diagnosis;
mod nesting;
mod token;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::Parser;

use super::{CompileError, clip};

/// Parses an expression, with `.?a` and `[?a]`. The macros are those of the CEL standard.
pub(super) fn parse(source: &str) -> Result<(IdedExpr, SourceInfo), CompileError> {
    nesting::check(source)?;
    Parser::new().enable_optional_syntax(true).parse_with_source_info(source).map_err(|errors| refuse(source, &errors))
}

fn refuse(source: &str, errors: &cel::ParseErrors) -> CompileError {
    if let Some(error) = diagnosis::diagnose(source) {
        return error;
    }
    let Some(first) = errors.errors.first() else {
        return CompileError::new("not a CEL expression");
    };
    let at = position(source, first.pos);
    let message = first.msg.trim_start_matches("Syntax error: ");
    CompileError::at(at, plain(message))
}

/// A place that the parser gives as line and column, in bytes from 1, in characters from 1.
fn position(source: &str, (line, column): (isize, isize)) -> Option<usize> {
    let (line, column) = (usize::try_from(line).ok()?.checked_sub(1)?, usize::try_from(column).ok()?.checked_sub(1)?);
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    Some(source.get(..start + column)?.chars().count() + 1)
}

/// What the parser's own words mean.
fn plain(message: &str) -> String {
    match message {
        "invalid argument to has() macro" => "has() takes a field, as in has(event.data.total)".into(),
        "argument must be a simple name" => {
            "the first argument of a macro is a name for the item, as in items.exists(i, i.qty > 1)".into()
        }
        message if message.contains("int literal") => {
            "the number is outside of -2^63 … 2^63-1; write it as a double, e.g. 1e20".into()
        }
        message => format!("not a CEL expression: {}", clip(message)),
    }
}
