//! Owns every JSON Schema: generated ones for our formats, payload schemas and their compiled validators.
//!
//! Invariant: a schema comes from a user, so it is data: bounded in size, depth and in how often it can
//! apply to one value, with patterns that run in linear time. It never causes I/O.

mod compile;
mod expansion;
pub mod format;
mod graph;
mod payload;
pub mod reference;

pub use compile::{MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, SchemaError, check, compile};
pub use expansion::MAX_EXPANSION;
pub use jsonschema::Validator;
pub use payload::{InvalidSchema, PayloadSchemas, violations};
