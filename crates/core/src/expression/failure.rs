//! What the interpreter's errors say to people. No value of an event is in them: only names and types.

use cel::ExecutionError;

/// Why an evaluation failed.
pub(super) fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => {
            format!(
                "there is no `{key}`; where it may be missing, write has(….{key}) or ….?{key}.orValue(…)",
                key = super::clip(key)
            )
        }
        ExecutionError::NoSuchOverload(error) => overload(error.function(), error.argument_types()),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            let symbol = match *operator {
                "add" => "_+_",
                "sub" => "_-_",
                "mul" => "_*_",
                "div" => "_/_",
                "rem" => "_%_",
                other => other,
            };
            overload(symbol, &[left, right].map(borrowed))
        }
        ExecutionError::UndeclaredReference(name) => format!("there is no variable or function `{name}`"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".into(),
        ExecutionError::Overflow(..) => "the result is a number outside of -2^63 … 2^63-1".into(),
        ExecutionError::IndexOutOfBounds(_) => "the list has no item at that index".into(),
        ExecutionError::DuplicateKey(_) => "a map has the same key twice".into(),
        ExecutionError::UnexpectedType { got, want } if want.contains("representable") => {
            format!("{} can't stand there", name(got))
        }
        ExecutionError::UnexpectedType { got, want } => {
            format!("{} stands where {want} is needed", name(got))
        }
        ExecutionError::UnsupportedKeyType(_) => "a map's key must be a text, a number or a boolean".into(),
        ExecutionError::FunctionError { function, .. } => format!("{function}() can't convert the value it is given"),
        _ => "it can't be evaluated".into(),
    }
}

/// The type of an operand that an error holds. Lists and maps of JSON have no form in which it can.
fn borrowed(operand: &cel::Value) -> String {
    match operand {
        cel::Value::Null => "null, a list or a map".into(),
        other => other.type_of().to_string(),
    }
}

fn overload(function: &str, types: &[String]) -> String {
    let types: Vec<_> = types.iter().map(|given| name(given)).collect();
    let symbol = function.trim_matches('_').trim_start_matches('@');
    match (function, types.as_slice()) {
        ("_[_]" | "_[?_]", [container, index]) => format!("{container} can't be indexed by {index}"),
        ("_._" | "_?._", [value, ..]) => format!("{value} has no fields"),
        (operator, [left, right]) if operator.starts_with(['_', '@']) => {
            format!("`{symbol}` can't take {left} and {right}")
        }
        (operator, [operand]) if operator.ends_with('_') => format!("`{symbol}` can't take {operand}"),
        (function, types) => format!("{function}() can't take {}", types.join(" and ")),
    }
}

/// What people call a value of a type.
fn name(given: &str) -> &str {
    match given {
        "bool" => "true or false",
        "int" => "an int",
        "uint" => "a uint",
        "double" | "float" => "a double",
        "string" => "a text",
        "list" => "a list",
        "map" => "a map",
        "type" => "a type",
        "null_type" => "null",
        "optional_type" => "a value that may be absent",
        other => other,
    }
}
