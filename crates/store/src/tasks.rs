//! The attempts of a task, and how it ends well. How it fails for good is part of a step of its run.

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, FromRow, Row};
use time::OffsetDateTime;

use spine_core::run::{Failure, TaskStatus};

use crate::outbox::{OutboxEvent, insert_events};
use crate::step::lock_run;
use crate::{Store, StoreError, row};

/// One task instance, or a task that was skipped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskRow {
    /// The run's id.
    pub run: String,
    /// The task's id.
    pub task: String,
    /// Which instance of it; of one that was skipped the first that it would have had.
    pub index: u32,
    /// The word after `uses:`, unless it was skipped.
    pub uses: Option<String>,
    /// Where it stands.
    pub status: TaskStatus,
    /// The rendered work, unless it was skipped, or is to be decided again.
    pub request: Option<Value>,
    /// Its output, once it has completed.
    pub output: Option<Value>,
    /// Why it failed for good.
    pub error: Option<Failure>,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// The retry of the run whose names its effects have.
    pub retry: u32,
    /// Of a task of an instance: the ordinal of the event that decided it.
    pub ordinal: Option<u32>,
    /// How many attempts have begun.
    pub attempts: u32,
    /// Why the last failed attempt failed.
    pub last_error: Option<Failure>,
    /// When it was decided.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was decided, or decided again by a retry of its run.
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub closed_at: Option<OffsetDateTime>,
}

impl TaskRow {
    /// Whether this is that instance.
    pub fn is(&self, task: &str, index: u32) -> bool {
        self.task == task && self.index == index
    }

    /// Whether a retry of its run has left it to be decided again.
    pub fn is_undecided(&self) -> bool {
        self.status == TaskStatus::Created && self.request.is_none()
    }
}

impl FromRow<'_, PgRow> for TaskRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            run: row.try_get("run")?,
            task: row.try_get("task")?,
            index: row::number(row, "index")?,
            uses: row.try_get("uses")?,
            status: row::word(row, "status")?,
            request: row::optional_json(row, "request")?,
            output: row::optional_json(row, "output")?,
            error: row::optional_json(row, "error")?,
            reason: row.try_get("reason")?,
            retry: row::number(row, "retry")?,
            ordinal: row::optional_number(row, "ordinal")?,
            attempts: row::number(row, "attempts")?,
            last_error: row::optional_json(row, "last_error")?,
            created_at: row.try_get("created_at")?,
            begun_at: row.try_get::<Option<_>, _>("begun_at")?.unwrap_or(row.try_get("created_at")?),
            closed_at: row.try_get("closed_at")?,
        })
    }
}

/// Who ended a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// This call.
    Now,
    /// Somebody before: nothing was written.
    Already,
}

impl Store {
    /// All tasks of a run, in the order in which they were decided, then by id and index.
    pub async fn tasks_of(&self, run: &str) -> Result<Vec<TaskRow>, StoreError> {
        let rows = sqlx::query_as(r#"select * from task where run = $1 order by created_at, task collate "C", index"#)
            .bind(run)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows)
    }

    /// Notes that an attempt, counted from 1, begins, and returns the task; `None` if there is none.
    /// The caller looks at the status: a task that has ended is not performed again.
    pub async fn begin_attempt(
        &self,
        run: &str,
        task: &str,
        index: u32,
        attempt: u32,
    ) -> Result<Option<TaskRow>, StoreError> {
        let row = sqlx::query_as(
            "with begun as (
                update task set attempts = case status when 'created' then greatest(attempts, $4) else attempts end
                where run = $1 and task = $2 and index = $3 returning *
            ), noted as (
                insert into task_attempt (run, task, index, retry, attempt)
                select begun.run, task, index, run.retries, $4 from begun join run on run.id = begun.run
                where begun.status = 'created' on conflict do nothing
            )
            select * from begun",
        )
        .bind(run)
        .bind(task)
        .bind(row::integer(index)?)
        .bind(row::integer(attempt)?)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row)
    }

    /// Notes why an attempt failed; the task keeps that unless a later attempt has begun or it has ended.
    pub async fn fail_attempt(
        &self,
        run: &str,
        task: &str,
        index: u32,
        attempt: u32,
        failure: &Failure,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "with ended as (
                update task_attempt set ended_at = now(), error = $5::json
                where run = $1 and task = $2 and index = $3 and retry = (select retries from run where id = $1)
                    and attempt = $4 and ended_at is null
            )
            update task set attempts = $4, last_error = $5::json
            where run = $1 and task = $2 and index = $3 and attempts <= $4 and status = 'created'",
        )
        .bind(run)
        .bind(task)
        .bind(row::integer(index)?)
        .bind(row::integer(attempt)?)
        .bind(row::text(failure)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Completes a task and says so to the world, in one transaction.
    pub async fn finish_task(
        &self,
        run: &str,
        task: &str,
        index: u32,
        output: &Value,
        outbox: &[OutboxEvent],
    ) -> Result<Finished, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        lock_run(&mut transaction, run).await?;
        let completed = sqlx::query(
            "update task set status = 'completed', output = $4::json, closed_at = now()
            where run = $1 and task = $2 and index = $3 and status = 'created'",
        )
        .bind(run)
        .bind(task)
        .bind(row::integer(index)?)
        .bind(row::text(output)?)
        .execute(&mut *transaction)
        .await?;
        if completed.rows_affected() == 0 {
            let found = sqlx::query("select 1 from task where run = $1 and task = $2 and index = $3")
                .bind(run)
                .bind(task)
                .bind(row::integer(index)?)
                .fetch_optional(&mut *transaction)
                .await?;
            transaction.rollback().await?;
            return match found {
                Some(_) => Ok(Finished::Already),
                None => Err(StoreError::UnknownTask { run: run.into(), task: task.into(), index }),
            };
        }
        let written = insert_events(&mut transaction, outbox).await?;
        transaction.commit().await?;
        if written > 0 {
            self.doorbell.ring(&mut connection).await;
        }
        Ok(Finished::Now)
    }
}
