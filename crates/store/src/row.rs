//! How columns become our types.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

/// JSON as text, to be cast to `json` in the statement: the driver would send `jsonb`, which is lossy.
pub(crate) fn text(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(crate) fn optional_text<T: Serialize>(value: Option<&T>) -> Result<Option<String>, sqlx::Error> {
    value.map(text).transpose()
}

pub(crate) fn json<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    Ok(row.try_get::<Json<T>, _>(column)?.0)
}

pub(crate) fn optional_json<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error> {
    Ok(row.try_get::<Option<Json<T>>, _>(column)?.map(|json| json.0))
}

/// A count or number that the schema keeps within `u32`.
pub(crate) fn number(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    u32::try_from(row.try_get::<i32, _>(column)?).map_err(|error| broken(column, error))
}

/// A count or number that the schema keeps within `u32`, or null.
pub(crate) fn optional_number(row: &PgRow, column: &str) -> Result<Option<u32>, sqlx::Error> {
    let number = row.try_get::<Option<i32>, _>(column)?.map(u32::try_from).transpose();
    number.map_err(|error| broken(column, error))
}

/// A status or kind that stands in the table as a word.
pub(crate) fn word<T: FromStr<Err = String>>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    row.try_get::<&str, _>(column)?.parse().map_err(|error: String| broken(column, error))
}

/// A number for an `integer` column.
pub(crate) fn integer(value: u32) -> Result<i32, sqlx::Error> {
    i32::try_from(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn broken(column: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }
}
