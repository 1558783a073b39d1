//! From a schema to a validator, refusing what could hang, overflow or reach out.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use spine_core::activity::SchemaFault;

use crate::expansion;

/// The most bytes a schema may have.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// The most levels a schema may have: beyond about 2,000 the validator overflows the stack.
pub const MAX_SCHEMA_DEPTH: usize = 64;
/// The most bytes one compiled pattern may have; the time of a match grows with it.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

/// Why a schema is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is too large.
    #[error("schema has {0} bytes, {MAX_SCHEMA_BYTES} are allowed")]
    TooLarge(usize),
    /// It is nested too deeply.
    #[error("schema has more than {MAX_SCHEMA_DEPTH} levels")]
    TooDeep,
    /// It uses something that is not supported.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A `$ref` leads nowhere.
    #[error("$ref {0:?} leads nowhere")]
    Unresolved(String),
    /// It refers to itself without going down into the value.
    #[error("schema refers to itself without descending into the value")]
    Endless,
    /// `$ref`s lead to `$ref`s for too long.
    #[error("schema leads over more than {0} subschemas in a row")]
    TooLong(usize),
    /// So many of its parts can apply to one value that a validation could take seconds.
    #[error("expanded, more than {} subschemas apply to one value", expansion::MAX_EXPANSION)]
    Explosive,
    /// It is no JSON Schema.
    #[error("not a JSON Schema: at {pointer:?}: {reason}")]
    Invalid {
        /// A JSON pointer to the part that is wrong.
        pointer: String,
        /// What is wrong there.
        reason: String,
    },
}

/// What is wrong with a schema of a definition, for [`parse_with`](spine_core::activity::parse_with).
pub fn check(schema: &Value) -> Result<(), SchemaFault> {
    compile(schema).map(drop).map_err(|error| match error {
        SchemaError::Invalid { pointer, reason } => {
            SchemaFault { pointer, message: format!("not a JSON Schema: {reason}") }
        }
        error => SchemaFault { pointer: String::new(), message: error.to_string() },
    })
}

/// Compiles `schema`: no references to elsewhere, linear patterns, formats asserted and known. The
/// default dialect is 2020-12.
pub fn compile(schema: &Value) -> Result<Validator, SchemaError> {
    if depth_exceeds(schema, MAX_SCHEMA_DEPTH) {
        return Err(SchemaError::TooDeep);
    }
    let bytes = schema.to_string().len();
    if bytes > MAX_SCHEMA_BYTES {
        return Err(SchemaError::TooLarge(bytes));
    }
    expansion::check(schema)?;
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN_BYTES))
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .build(schema)
        .map_err(|error| invalid(&error))
}

fn invalid(error: &jsonschema::ValidationError<'_>) -> SchemaError {
    let reason = error.to_string().chars().take(200).collect();
    SchemaError::Invalid { pointer: error.instance_path().as_str().to_owned(), reason }
}

fn depth_exceeds(value: &Value, levels: usize) -> bool {
    let Some(left) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| depth_exceeds(item, left)),
        Value::Object(map) => map.values().any(|item| depth_exceeds(item, left)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> SchemaError {
        compile(schema).expect_err(&schema.to_string().chars().take(200).collect::<String>())
    }

    #[test]
    fn what_reaches_out_or_is_unknown_is_refused() {
        for schema in [
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "other.json"}),
            json!({"$ref": "#/nowhere"}),
            json!({"$ref": "#anchor", "$defs": {"a": {"$anchor": "anchor"}}}),
            json!({"$dynamicRef": "#x"}),
            json!({"properties": {"a": {"$id": "https://example.com/a"}}}),
            json!({"$schema": "https://example.com/dialect"}),
            json!({"format": "no-such-format"}),
            json!({"type": "nothing"}),
            json!({"pattern": "(?=x)"}),
            json!({"pattern": "("}),
            json!({"pattern": "((a{1000}){1000}){1000}"}),
            json!(7),
        ] {
            refused(&schema);
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let mut deep = json!({});
        for _ in 0..MAX_SCHEMA_DEPTH {
            deep = json!({"not": deep});
        }
        assert_eq!(refused(&deep), SchemaError::TooDeep);
        let large = json!({"description": "x".repeat(MAX_SCHEMA_BYTES)});
        assert!(matches!(refused(&large), SchemaError::TooLarge(_)));
    }

    #[test]
    fn patterns_run_in_linear_time() {
        let validator = compile(&json!({"pattern": "^(a|a)*$"})).unwrap();
        let started = std::time::Instant::now();
        assert!(!validator.is_valid(&json!(format!("{}b", "a".repeat(50_000)))));
        assert!(started.elapsed() < std::time::Duration::from_secs(2));
    }

    #[test]
    fn the_deepest_schemas_that_pass_compile_on_a_small_stack() {
        let mut definitions = serde_json::Map::new();
        for level in 0..1000 {
            let next = json!({"properties": {"a": {"$ref": format!("#/$defs/{}", level + 1)}}});
            definitions.insert(level.to_string(), next);
        }
        definitions.insert("1000".into(), json!({"type": "string"}));
        let schema = json!({"$ref": "#/$defs/0", "$defs": definitions});
        let small = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        small.spawn(move || drop(compile(&schema))).unwrap().join().unwrap();
    }

    #[test]
    fn formats_are_asserted() {
        let validator = compile(&json!({"type": "string", "format": "date-time"})).unwrap();
        assert!(validator.is_valid(&json!("2026-11-24T00:00:00Z")));
        assert!(!validator.is_valid(&json!("yesterday")));
    }
}
