//! Statements for other people's databases: queries of the `sql` context, read only, and the statements of
//! `sql` tasks, each done once. Both are bounded in time and size.
//!
//! Values never become part of the statement: it is PREPAREd as it was written, in a protocol message
//! that holds one statement only, so it cannot leave its transaction. The server then says what
//! type each parameter has, and EXECUTE gets the values as quoted literals, which its own input functions
//! read: a text serves a text column, a number an integer or numeric one, a string a timestamp or uuid.

mod effect;
mod literal;

use std::str::FromStr;
use std::time::Duration;

use futures::TryStreamExt as _;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

use self::effect::DDL;
use crate::ACQUIRE_TIMEOUT;

/// The most rows that one query may return.
pub const MAX_ROWS: usize = 1000;
/// The most bytes of JSON that one query may be allowed to return.
pub const MAX_BYTES: usize = 4 << 20;
/// Few: these are somebody else's connections.
const MAX_CONNECTIONS: u32 = 4;
/// How much longer than the server we wait before we give the connection up.
const GRACE: Duration = Duration::from_secs(1);

/// SQLSTATE `query_canceled`.
const QUERY_CANCELED: &str = "57014";

/// A database that activities may ask. Clones share one pool.
#[derive(Clone, Debug)]
pub struct QueryDatabase {
    pool: PgPool,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The database could not be reached or refused the query.
    #[error("query the database")]
    Database(#[source] sqlx::Error),
    /// It took too long.
    #[error("get an answer within {0:?}")]
    TimedOut(Duration),
    /// It has more than [`MAX_ROWS`] rows.
    #[error("take more than {MAX_ROWS} rows from one query")]
    TooManyRows,
    /// It has more bytes than are allowed.
    #[error("take more than {0} bytes from one query")]
    TooManyBytes(usize),
    /// The query has another number of parameters than there are arguments.
    #[error("query with {given} arguments for {wanted} parameters")]
    ArgumentCount {
        /// How many parameters the query has.
        wanted: usize,
        /// How many arguments there are.
        given: usize,
    },
    /// The database keeps no record of what was done, so nothing can be done there exactly once.
    #[error("note in the database that the task was done: the role may not create its table; run there: {DDL}")]
    NoRecord(#[source] sqlx::Error),
    /// PostgreSQL has no text with a NUL in it.
    #[error("pass argument {0}, which contains a NUL character")]
    NulInArgument(usize),
}

impl QueryError {
    /// Whether the same query may be answered later.
    pub fn is_transient(&self) -> bool {
        match self {
            QueryError::Database(error) => crate::error::is_transient(error),
            QueryError::TimedOut(_) => true,
            _ => false,
        }
    }
}

impl QueryDatabase {
    /// A handle that connects when it is first used. Fails only if `url` is malformed.
    pub fn connect_lazy(url: &str) -> Result<Self, QueryError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(QueryError::Database)?
            .application_name("spine-query")
            // Nothing is prepared by the driver that `deallocate all` could take away.
            .statement_cache_capacity(0);
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false);
        Ok(Self { pool: pool.connect_lazy_with(options) })
    }

    /// Runs one statement that returns rows, in a read-only transaction, and returns a list with one
    /// object per row, of at most `most` bytes in all. `args` are its `$1`, `$2`, …; times come back in UTC.
    pub async fn query(&self, sql: &str, args: &[Value], timeout: Duration, most: usize) -> Result<Value, QueryError> {
        within(timeout, self.answer(sql, args, timeout, most)).await
    }

    async fn answer(&self, sql: &str, args: &[Value], timeout: Duration, most: usize) -> Result<Value, QueryError> {
        let mut transaction = self.pool.begin_with("begin read only").await.map_err(QueryError::Database)?;
        let connection = &mut *transaction;
        settle(connection, timeout).await.map_err(QueryError::Database)?;
        let sql = bare(sql);
        let limit = MAX_ROWS + 1;
        // The line breaks keep a comment at the query's end from taking the rest with it.
        let query = format!("select to_jsonb(q)::text as line from (\n{sql}\n) q limit {limit}");
        let query = bounded(&query, most);
        prepare(connection, &query).await.map_err(QueryError::Database)?;
        let types = parameter_types(connection).await.map_err(QueryError::Database)?;
        let rows = rows(connection, &literal::list(args, &types)?, most).await?;
        transaction.rollback().await.map_err(QueryError::Database)?;
        Ok(Value::Array(rows))
    }
}

/// The answer, or that it took too long, by our clock or the server's.
async fn within(
    timeout: Duration,
    answer: impl Future<Output = Result<Value, QueryError>>,
) -> Result<Value, QueryError> {
    match tokio::time::timeout(timeout + GRACE, answer).await.unwrap_or(Err(QueryError::TimedOut(timeout))) {
        Err(QueryError::Database(error)) if has_code(&error, QUERY_CANCELED) => Err(QueryError::TimedOut(timeout)),
        answer => answer,
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|found| found == code)
}

/// Gives the connection what a statement of a user may count on.
async fn settle(connection: &mut PgConnection, timeout: Duration) -> Result<(), sqlx::Error> {
    let milliseconds = timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into());
    // A query that failed on this connection has left its prepared statement behind.
    let settings = format!(
        "deallocate all; set local statement_timeout = {milliseconds}; set local timezone = 'UTC';
        set local standard_conforming_strings = on"
    );
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(connection).await?;
    Ok(())
}

/// The same lines, null in place of one that is too long by itself: it would be in memory whole before it can be counted.
fn bounded(lines: &str, most: usize) -> String {
    format!("select case when octet_length(line) <= {most} then line end from ({lines}) bounded")
}

/// A statement without what ends it.
fn bare(sql: &str) -> &str {
    sql.trim_end().trim_end_matches(';')
}

async fn prepare(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    // `query`, not `raw_sql`: the extended protocol refuses a second statement after a semicolon.
    sqlx::query(AssertSqlSafe(format!("prepare spine_query as {sql}"))).persistent(false).execute(connection).await?;
    Ok(())
}

async fn parameter_types(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("select parameter_types::text[] from pg_prepared_statements where name = 'spine_query'")
        .persistent(false)
        .fetch_one(connection)
        .await
}

fn execute(literals: &str) -> String {
    match literals {
        "" => "execute spine_query".to_owned(),
        literals => format!("execute spine_query ({literals})"),
    }
}

/// Executes what is prepared, which gives JSON in its only column, or null for a row that is too long.
async fn rows(connection: &mut PgConnection, literals: &str, most: usize) -> Result<Vec<Value>, QueryError> {
    let mut stream = sqlx::raw_sql(AssertSqlSafe(execute(literals))).fetch(connection);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = stream.try_next().await.map_err(QueryError::Database)? {
        if rows.len() == MAX_ROWS {
            return Err(QueryError::TooManyRows);
        }
        let text: Option<&str> = row.try_get(0).map_err(QueryError::Database)?;
        bytes += text.map_or(0, str::len);
        let Some(text) = text.filter(|_| bytes <= most) else { return Err(QueryError::TooManyBytes(most)) };
        let row =
            serde_json::from_str(text).map_err(|error| QueryError::Database(sqlx::Error::Decode(error.into())))?;
        rows.push(row);
    }
    Ok(rows)
}
