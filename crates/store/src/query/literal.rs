//! JSON values as PostgreSQL literals. Each is quoted, so it is data whatever it holds; the server's input
//! function for the parameter's type reads it (PostgreSQL, section 4.1.2.1, with standard strings).

use serde_json::Value;

use super::QueryError;

/// The values for parameters of these types, separated by commas.
pub(super) fn list(args: &[Value], types: &[String]) -> Result<String, QueryError> {
    if args.len() != types.len() {
        return Err(QueryError::ArgumentCount { wanted: types.len(), given: args.len() });
    }
    let literals: Result<Vec<_>, _> =
        args.iter().zip(types).enumerate().map(|(i, (arg, kind))| literal(i + 1, arg, kind)).collect();
    Ok(literals?.join(", "))
}

fn literal(position: usize, arg: &Value, kind: &str) -> Result<String, QueryError> {
    let text = match arg {
        Value::Null => return Ok("null".into()),
        value if kind == "json" || kind == "jsonb" => value.to_string(),
        Value::Array(items) if kind.ends_with("[]") => array(items),
        value => plain(value),
    };
    if text.contains('\0') {
        return Err(QueryError::NulInArgument(position));
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// PostgreSQL, section 8.15.6: elements in double quotes, backslash before quote and backslash.
fn array(items: &[Value]) -> String {
    let element = |item: &Value| match item {
        Value::Null => "null".to_owned(),
        Value::Array(items) => array(items),
        item => format!("\"{}\"", plain(item).replace('\\', "\\\\").replace('"', "\\\"")),
    };
    format!("{{{}}}", items.iter().map(element).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_quoted_by_the_type_of_their_parameter() {
        let check = |arg: Value, kind: &str, expected: &str| {
            assert_eq!(list(&[arg], &[kind.to_owned()]).ok().as_deref(), Some(expected));
        };
        check(json!("o'brien\\"), "text", r"'o''brien\'");
        check(json!(5), "integer", "'5'");
        check(json!(true), "boolean", "'true'");
        check(json!(null), "text", "null");
        check(json!("a"), "jsonb", r#"'"a"'"#);
        check(json!({"a": "'"}), "jsonb", r#"'{"a":"''"}'"#);
        check(json!(["a\"b", null, "c\\"]), "text[]", r#"'{"a\"b",null,"c\\"}'"#);
        check(json!([[1, 2], [3, 4]]), "integer[]", r#"'{{"1","2"},{"3","4"}}'"#);
    }

    #[test]
    fn what_cannot_be_passed_is_named() {
        assert!(matches!(list(&[json!("a\0b")], &["text".into()]), Err(QueryError::NulInArgument(1))));
        assert!(matches!(list(&[], &["text".into()]), Err(QueryError::ArgumentCount { wanted: 1, given: 0 })));
    }
}
