//! Statements that change other people's databases, each done exactly once for its key.
//!
//! The statement and a row of `spine_effect` with the key and the output are one transaction. A repeated attempt
//! finds the row and takes its output; one that runs beside another waits for it at the row's key.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, SqlSafeStr as _};

use super::{
    QueryDatabase, QueryError, bare, bounded, execute, has_code, literal, parameter_types, prepare, rows, settle,
};

/// The table that remembers what was done.
pub(super) const DDL: &str = "create table if not exists spine_effect (key text primary key, output text, \
    at timestamptz not null default now()); create index if not exists spine_effect_at on spine_effect (at)";

/// The most bytes of rows that a statement may return: what an expression's result may have.
const MAX_EFFECT_BYTES: usize = 256 * 1024;

/// Longer than any task can go on trying: no attempt comes after the row is gone.
const KEPT: &str = "delete from spine_effect where key in (select key from spine_effect
    where at < now() - interval '60 days' order by at limit 10 for update skip locked)";

/// SQLSTATE `insufficient_privilege`.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

impl QueryDatabase {
    /// Executes one statement once for `key`, whoever calls how often. Returns `rows`, one object for each row
    /// that it returned, and `rowsAffected`; every later call with this key returns the same.
    pub async fn perform(&self, key: &str, sql: &str, args: &[Value], timeout: Duration) -> Result<Value, QueryError> {
        super::within(timeout, self.effect(key, sql, args, timeout)).await
    }

    async fn effect(&self, key: &str, sql: &str, args: &[Value], timeout: Duration) -> Result<Value, QueryError> {
        let mut transaction = self.pool.begin().await.map_err(QueryError::Database)?;
        let connection = &mut *transaction;
        settle(connection, timeout).await.map_err(QueryError::Database)?;
        if let Some(output) = claim(connection, key).await? {
            return Ok(output);
        }
        let output = change(connection, bare(sql), args).await?;
        record(connection, key, &output).await.map_err(QueryError::Database)?;
        transaction.commit().await.map_err(QueryError::Database)?;
        Ok(output)
    }
}

/// Takes the key for this transaction, or gives what was done under it before.
async fn claim(connection: &mut PgConnection, key: &str) -> Result<Option<Value>, QueryError> {
    let known: Option<String> = sqlx::query_scalar("select to_regclass('spine_effect')::text")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await
        .map_err(QueryError::Database)?;
    if known.is_none() {
        // Two at once may both find it missing: the lock lets the second see that it is there.
        sqlx::raw_sql("select pg_advisory_xact_lock(hashtext('spine_effect'))")
            .execute(&mut *connection)
            .await
            .map_err(QueryError::Database)?;
        sqlx::raw_sql(DDL).execute(&mut *connection).await.map_err(no_record)?;
    }
    let claimed = sqlx::query("insert into spine_effect (key) values ($1) on conflict do nothing")
        .persistent(false)
        .bind(key)
        .execute(&mut *connection)
        .await
        .map_err(QueryError::Database)?;
    if claimed.rows_affected() == 1 {
        return Ok(None);
    }
    let output: String = sqlx::query_scalar("select output from spine_effect where key = $1")
        .persistent(false)
        .bind(key)
        .fetch_one(connection)
        .await
        .map_err(QueryError::Database)?;
    serde_json::from_str(&output).map(Some).map_err(|error| QueryError::Database(sqlx::Error::Decode(error.into())))
}

fn no_record(error: sqlx::Error) -> QueryError {
    match has_code(&error, INSUFFICIENT_PRIVILEGE) {
        true => QueryError::NoRecord(error),
        false => QueryError::Database(error),
    }
}

async fn change(connection: &mut PgConnection, sql: &str, args: &[Value]) -> Result<Value, QueryError> {
    let statement = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let described = (&mut *connection).prepare(statement).await.map_err(QueryError::Database)?;
    let returns_rows = !sqlx::Statement::columns(&described).is_empty();
    match returns_rows {
        true => {
            // The line breaks keep a comment at the statement's end from taking the rest with it.
            let lines = bounded("select to_jsonb(q)::text as line from q offset 0", MAX_EFFECT_BYTES);
            prepare(connection, &format!("with q as (\n{sql}\n) {lines}")).await.map_err(QueryError::Database)?;
        }
        false => prepare(connection, sql).await.map_err(QueryError::Database)?,
    }
    let types = parameter_types(connection).await.map_err(QueryError::Database)?;
    let literals = literal::list(args, &types)?;
    if returns_rows {
        let rows = rows(connection, &literals, MAX_EFFECT_BYTES).await?;
        return Ok(json!({"rowsAffected": rows.len(), "rows": rows}));
    }
    let done = sqlx::raw_sql(AssertSqlSafe(execute(&literals))).execute(connection).await;
    Ok(json!({"rowsAffected": done.map_err(QueryError::Database)?.rows_affected(), "rows": []}))
}

async fn record(connection: &mut PgConnection, key: &str, output: &Value) -> Result<(), sqlx::Error> {
    sqlx::query("update spine_effect set output = $2 where key = $1")
        .persistent(false)
        .bind(key)
        .bind(output.to_string())
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(KEPT).execute(connection).await?;
    Ok(())
}
