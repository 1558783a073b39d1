//! The schemas of event payloads, by event type.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use spine_core::event::Data;

use crate::compile::{SchemaError, compile};

/// The most errors that one message lists.
const MAX_ERRORS: usize = 5;
/// The most characters of a payload's path, or of what one error says.
const MAX_CHARS: usize = 80;

/// Compiled payload schemas, by event type.
#[derive(Clone, Debug, Default)]
pub struct PayloadSchemas(BTreeMap<String, Arc<Validator>>);

/// The schema of an event type is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema of event type {event_type:?} is refused: {error}")]
pub struct InvalidSchema {
    /// The event type.
    pub event_type: String,
    /// Why.
    pub error: SchemaError,
}

impl FromIterator<(String, Arc<Validator>)> for PayloadSchemas {
    /// Validators that are compiled already, each with its type.
    fn from_iter<I: IntoIterator<Item = (String, Arc<Validator>)>>(validators: I) -> Self {
        Self(validators.into_iter().collect())
    }
}

impl PayloadSchemas {
    /// Compiles one schema for each type.
    pub fn compile(schemas: impl IntoIterator<Item = (String, Value)>) -> Result<Self, InvalidSchema> {
        let compiled = schemas.into_iter().map(|(event_type, schema)| match compile(&schema) {
            Ok(validator) => Ok((event_type, Arc::new(validator))),
            Err(error) => Err(InvalidSchema { event_type, error }),
        });
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    /// Whether `data` may be the payload of an event of this type; a type without a schema allows
    /// anything. The error names places and what is wanted there, not the payload's values.
    pub fn validate(&self, event_type: &str, data: &Data) -> Result<(), String> {
        let Some(validator) = self.0.get(event_type) else { return Ok(()) };
        match data {
            Data::Json(value) => violations(validator, "data", value).map_or(Ok(()), Err),
            Data::None => Err("there is no data, and its type has a schema".into()),
            Data::Text(_) | Data::Binary(_) => Err("data is not JSON, and its type has a schema".into()),
        }
    }
}

/// What is wrong with a value that is called `name`, or `None` if it meets the schema: the first few errors, which
/// name places and what is wanted there, not values.
pub fn violations(validator: &Validator, name: &str, value: &Value) -> Option<String> {
    if validator.is_valid(value) {
        return None;
    }
    let mut errors = validator.iter_errors(value);
    let mut listed: Vec<String> = errors.by_ref().take(MAX_ERRORS).map(|error| violation(name, &error)).collect();
    if errors.next().is_some() {
        listed.push("and more".into());
    }
    Some(listed.join("; "))
}

fn violation(name: &str, error: &ValidationError<'_>) -> String {
    format!("{name}{}: {}", shorten(error.instance_path().as_str()), shorten(&error.masked().to_string()))
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(data: &Data, expected: Result<(), &str>) {
        let schema = json!({"type": "object", "required": ["id"], "additionalProperties": false, "properties": {
            "id": {"type": "string"}, "total": {"type": "number", "minimum": 0}}});
        let schemas = PayloadSchemas::compile([("order".into(), schema)]).unwrap();
        assert_eq!(schemas.validate("order", data), expected.map_err(str::to_owned));
        assert_eq!(schemas.validate("other", data), Ok(()));
    }

    #[test]
    fn places_are_named_and_values_are_not() {
        check(&Data::Json(json!({"id": "1", "total": 3})), Ok(()));
        check(
            &Data::Json(json!({"id": "1", "total": -123456})),
            Err("data/total: value is less than the minimum of 0"),
        );
        check(&Data::Json(json!({})), Err("data: \"id\" is a required property"));
        check(&Data::None, Err("there is no data, and its type has a schema"));
        check(&Data::Text("x".into()), Err("data is not JSON, and its type has a schema"));
    }

    #[test]
    fn long_messages_are_cut() {
        let schema = json!({"additionalProperties": false, "items": {"type": "string"}});
        let schemas = PayloadSchemas::compile([("order".into(), schema)]).unwrap();
        let name = "n".repeat(10_000);
        let text = schemas.validate("order", &Data::Json(json!({name: 1}))).unwrap_err();
        assert!(text.chars().count() < 200, "{text}");
        let many = schemas.validate("order", &Data::Json(json!(vec![1; 100]))).unwrap_err();
        assert!(many.ends_with("; and more"), "{many}");
    }

    #[test]
    fn a_refused_schema_names_its_type() {
        let error = PayloadSchemas::compile([("order".into(), json!({"type": "x"}))]).unwrap_err();
        assert_eq!(error.event_type, "order");
    }
}
