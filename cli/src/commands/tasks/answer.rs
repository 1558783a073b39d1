//! What a person answers: read, and checked against the form before anything else sees it.

use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use serde_json::Value;

use crate::failure::invalid;

/// The most bytes of an answer as JSON: as many as an HTTP task may be answered with.
const MAX_BYTES: usize = 256 * 1024;

/// The answer that was given: as it stands, or in a file.
pub(super) fn read(data: &str) -> anyhow::Result<Value> {
    let text = match data.strip_prefix('@') {
        None => data.to_owned(),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text).context("read stdin")?;
            text
        }
        Some(file) => std::fs::read_to_string(file).map_err(|error| invalid(format!("read {file}: {error}")))?,
    };
    let answer: Value =
        serde_json::from_str(&text).map_err(|error| invalid(format!("the answer is no JSON: {error}")))?;
    match answer.to_string().len() {
        bytes if bytes > MAX_BYTES => {
            Err(invalid(format!("the answer has {bytes} bytes of JSON; at most {MAX_BYTES} are allowed")))
        }
        _ => Ok(answer),
    }
}

/// Refuses an answer that does not fit the form, with everything that is wrong with it, one a line.
pub(super) fn check(form: Option<&Value>, answer: &Value) -> anyhow::Result<()> {
    let Some(form) = form else { return Ok(()) };
    let validator = spine_schemas::compile(form).map_err(|error| anyhow!("the form can't be used: {error}"))?;
    let problems: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| match error.instance_path().as_str() {
            "" => format!("the answer: {}", error.masked()),
            pointer => format!("{pointer}: {}", error.masked()),
        })
        .collect();
    match problems.as_slice() {
        [] => Ok(()),
        problems => {
            Err(invalid(format!("the answer does not fit the form, and nothing was changed:\n{}", problems.join("\n"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_is_named_with_its_place() {
        let form = json!({"type": "object", "required": ["decision"], "properties": {
            "decision": {"enum": ["accept", "reject"]}, "lines": {"type": "array", "items": {"type": "integer"}}}});
        let check = |answer: Value, expected: &[&str]| {
            let message = check(Some(&form), &answer).map_or_else(|error| error.to_string(), |()| String::new());
            let found: Vec<&str> = message.lines().skip(1).collect();
            assert_eq!(found, expected, "{answer}");
        };
        check(json!({"decision": "accept"}), &[]);
        check(json!({}), &["the answer: \"decision\" is a required property"]);
        check(
            json!({"decision": "maybe", "lines": [1, "two"]}),
            &["/decision: value is not one of \"accept\" or \"reject\"", "/lines/1: value is not of type \"integer\""],
        );
        check(json!(7), &["the answer: value is not of type \"object\""]);
    }

    #[test]
    fn what_is_no_json_or_too_large_is_refused() {
        assert!(read("{").unwrap_err().to_string().starts_with("the answer is no JSON"));
        assert!(read(&format!("\"{}\"", "x".repeat(MAX_BYTES))).unwrap_err().to_string().contains("at most 262144"));
        assert!(read("@/no/such/file").unwrap_err().to_string().starts_with("read /no/such/file"));
        assert_eq!(read("{\"a\": 1}").unwrap(), json!({"a": 1}));
    }
}
