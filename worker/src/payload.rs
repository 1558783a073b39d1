//! Bodies on the wire: what a task sends, and what it makes of an answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::http::{Attempt, fatal};

/// The most bytes of an answer that are read: what an expression's result may have.
pub(crate) const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The type of the failure of an answer that is larger than may be read.
pub(crate) const TOO_LARGE: &str = "AnswerTooLarge";

/// The type of a body whose task names none.
pub(crate) const JSON: &str = "application/json";

/// The value of a header, whatever the case of its name.
pub(crate) fn header<'a>(headers: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A body as bytes: JSON, or a text as it is where `content_type` names something else.
pub(crate) fn encode(body: &Value, content_type: Option<&str>) -> Result<Vec<u8>, Attempt> {
    match (body, content_type.filter(|name| !is_json(name))) {
        (Value::String(text), Some(_)) => Ok(text.clone().into_bytes()),
        (_, Some(name)) => {
            Err(fatal("InvalidRequest", format!("the body is no text, and only a text can be sent as {name:?}")))
        }
        (value, None) => Ok(value.to_string().into_bytes()),
    }
}

/// An answer as a value: JSON where `content_type` says so, else text; null if it is empty. `what` was asked.
pub(crate) fn decode(body: &[u8], content_type: Option<&str>, what: &str) -> Result<Value, Attempt> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    if content_type.is_some_and(is_json) {
        return serde_json::from_slice(body)
            .map_err(|error| fatal("InvalidAnswer", format!("{what} answered invalid JSON: {error}")));
    }
    let text = std::str::from_utf8(body);
    let text = text.map_err(|_| fatal("InvalidAnswer", format!("{what} answered neither JSON nor UTF-8 text")))?;
    Ok(Value::from(text))
}

/// Whether an answer meets the schema that the task has for it. The failure names places and what is wanted there,
/// not the answer's values.
pub(crate) fn check(schema: &Value, answer: &Value, what: &str) -> Result<(), Attempt> {
    let validator = spine_schemas::compile(schema)
        .map_err(|error| fatal("InvalidDefinition", format!("the schema of the answer is refused: {error}")))?;
    match spine_schemas::violations(&validator, "body", answer) {
        None => Ok(()),
        Some(violations) => {
            Err(fatal("SchemaViolation", format!("{what} answered what its schema refuses: {violations}")))
        }
    }
}

/// Refuses an answer of a type that no schema can be held against.
pub(crate) fn check_type(body: &[u8], content_type: Option<&str>, what: &str) -> Result<(), Attempt> {
    match content_type {
        Some(name) if is_json(name) => Ok(()),
        _ if body.is_empty() => Ok(()),
        other => {
            let other = other.map_or("no content type".to_owned(), |name| format!("{name:?}"));
            Err(fatal("WrongContentType", format!("{what} answered {other}, and its schema needs JSON")))
        }
    }
}

/// Whether a content type is JSON (RFC 6839 for the suffix).
pub(crate) fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == JSON || media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_json_unless_its_type_says_otherwise() {
        let check = |body: Value, content_type: Option<&str>, expected: Result<&str, &str>| {
            let encoded = encode(&body, content_type).map_err(|attempt| attempt.failure.kind);
            assert_eq!(encoded.as_deref().map_err(String::as_str), expected.map(str::as_bytes), "{body}");
        };
        check(json!({"a": 1}), None, Ok(r#"{"a":1}"#));
        check(json!("a"), None, Ok(r#""a""#));
        check(json!("a"), Some("application/vnd.shop+json; v=1"), Ok(r#""a""#));
        check(json!("a=b"), Some("application/x-www-form-urlencoded"), Ok("a=b"));
        check(json!({"a": 1}), Some("text/plain"), Err("InvalidRequest"));
    }

    #[test]
    fn an_answer_is_what_its_type_says() {
        let check = |body: &[u8], content_type: Option<&str>, expected: Result<Value, &str>| {
            let decoded = decode(body, content_type, "x").map_err(|attempt| attempt.failure.kind);
            assert_eq!(decoded.as_ref().map_err(String::as_str), expected.as_ref().map_err(|kind| *kind));
        };
        check(b"", Some(JSON), Ok(json!(null)));
        check(b"{}", Some("Application/Problem+JSON"), Ok(json!({})));
        check(b"{}", Some("text/plain"), Ok(json!("{}")));
        check(b"{", Some(JSON), Err("InvalidAnswer"));
        check(b"\xff", None, Err("InvalidAnswer"));
    }

    #[test]
    fn a_schema_names_the_place_and_not_the_value() {
        let schema = json!({"type": "object", "properties": {"total": {"minimum": 0}}});
        assert!(super::check(&schema, &json!({"total": 1}), "x").is_ok());
        let attempt = super::check(&schema, &json!({"total": -123_456}), "x").unwrap_err();
        assert_eq!(attempt.failure.kind, "SchemaViolation");
        let message = attempt.failure.message;
        assert!(message.contains("body/total: ") && !message.contains("123456"), "{message}");
    }
}
