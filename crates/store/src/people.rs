//! Tasks that people do: what waits for them, and what they did.

mod change;

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};
use time::OffsetDateTime;

use spine_core::planning::Request;
use spine_core::run::Failure;

use crate::{Store, StoreError, row};

pub use change::{Answer, PeopleError};

/// Where a task that a person does stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HumanStatus {
    /// Nobody has taken it.
    Open,
    /// Somebody does it.
    Claimed,
    /// It ended well.
    Completed,
    /// A person said that it failed, or its time was over.
    Failed,
    /// It was given up, because its run failed or was cancelled.
    Cancelled,
}

impl HumanStatus {
    /// The status as it stands in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Claimed => "claimed",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nobody can do it any more.
    pub fn is_closed(self) -> bool {
        !matches!(self, Self::Open | Self::Claimed)
    }
}

impl FromStr for HumanStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Open, Self::Claimed, Self::Completed, Self::Failed, Self::Cancelled];
        all.into_iter().find(|one| one.as_str() == text).ok_or_else(|| format!("unknown status {text:?}"))
    }
}

/// One task instance of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HumanKey {
    /// The run's id.
    pub run: String,
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
}

/// A task instance that a person does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HumanTask {
    /// Its short name: twelve hex digits.
    pub id: String,
    /// The run's id.
    pub run: String,
    /// The run's activity.
    pub activity: String,
    /// The task's id.
    pub task: String,
    /// Which instance of it.
    pub index: u32,
    /// Where it stands.
    pub status: HumanStatus,
    /// What is to be done.
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// People and groups who are asked now.
    pub assignees: Vec<String>,
    /// The JSON Schema of the answer.
    pub form: Option<Value>,
    /// Who does it.
    pub claimed_by: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339::option")]
    pub claimed_at: Option<OffsetDateTime>,
    /// When its time is over.
    #[serde(with = "time::serde::rfc3339::option")]
    pub due_at: Option<OffsetDateTime>,
    /// When others were asked, because nobody had answered in time.
    #[serde(with = "time::serde::rfc3339::option")]
    pub escalated_at: Option<OffsetDateTime>,
    /// When it was decided.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who completed or failed it, if a person did.
    pub ended_by: Option<String>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub closed_at: Option<OffsetDateTime>,
    /// The answer.
    pub output: Option<Value>,
    /// Why it failed or was given up.
    pub error: Option<Failure>,
}

impl HumanTask {
    /// What names it in the database.
    pub fn key(&self) -> HumanKey {
        HumanKey { run: self.run.clone(), task: self.task.clone(), index: self.index }
    }

    /// What names it in words: `RUN/TASK`, and the index where that is not 0.
    pub fn name(&self) -> String {
        match self.index {
            0 => format!("{}/{}", self.run, self.task),
            index => format!("{}/{}/{index}", self.run, self.task),
        }
    }
}

impl FromRow<'_, PgRow> for HumanTask {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (title, description, form) = match row::json(row, "request")? {
            Request::Human { title, description, form, .. } => (title, description, form),
            other => (format!("a task that uses {}", other.kind()), None, None),
        };
        Ok(Self {
            id: row.try_get("id")?,
            run: row.try_get("run")?,
            activity: row.try_get("activity")?,
            task: row.try_get("task")?,
            index: row::number(row, "index")?,
            status: row::word(row, "status")?,
            title,
            description,
            assignees: row.try_get("assignees")?,
            form,
            claimed_by: row.try_get("claimed_by")?,
            claimed_at: row.try_get("claimed_at")?,
            due_at: row.try_get("due_at")?,
            escalated_at: row.try_get("escalated_at")?,
            created_at: row.try_get("created_at")?,
            ended_by: row.try_get("ended_by")?,
            closed_at: row.try_get("closed_at")?,
            output: row::optional_json(row, "output")?,
            error: row::optional_json(row, "error")?,
        })
    }
}

/// Which tasks to list.
#[derive(Clone, Debug, Default)]
pub struct HumanFilter {
    /// Only those that this person or group is asked, or that they do.
    pub assignee: Option<String>,
    /// Only those that stand at one of these; all if empty.
    pub statuses: Vec<HumanStatus>,
    /// Only those of this activity.
    pub activity: Option<String>,
    /// Only those of this run.
    pub run: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// All tasks that people do, with what this condition says after it.
macro_rules! human_tasks {
    ($rest:literal) => {
        concat!(
            "select * from (
                select h.id, t.run, r.activity, t.task, t.index, t.request, t.output, t.error, t.created_at, t.closed_at,
                    h.assignees, h.claimed_by, h.claimed_at, h.due_at, h.escalated_at, h.ended_by,
                    case when t.status <> 'created' then t.status when h.claimed_by is null then 'open'
                        else 'claimed' end as status
                from human_task h join task t using (run, task, index) join run r on r.id = t.run
            ) as human ",
            $rest
        )
    };
}

impl Store {
    /// Those that pass the filter: first what is to be done, the most urgent first, then what ended, newest first.
    pub async fn list_human_tasks(&self, filter: &HumanFilter) -> Result<Vec<HumanTask>, StoreError> {
        let statuses: Vec<&str> = filter.statuses.iter().map(|one| one.as_str()).collect();
        let rows = sqlx::query_as(human_tasks!(
            "where ($1::text is null or $1 = any (assignees) or $1 = claimed_by)
                and (cardinality($2::text[]) = 0 or status = any ($2))
                and ($3::text is null or activity = $3) and ($4::text is null or run = $4)
            order by closed_at desc nulls first, due_at nulls last, created_at, run, task, index limit $5"
        ))
        .bind(&filter.assignee)
        .bind(statuses)
        .bind(&filter.activity)
        .bind(&filter.run)
        .bind(i64::from(filter.limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// The one with this key.
    pub async fn human_task(&self, of: &HumanKey) -> Result<Option<HumanTask>, StoreError> {
        Ok(find(&mut *self.pool.acquire().await?, of).await?)
    }

    /// Those whose short name begins like this, at most `limit`.
    pub async fn human_tasks_by_id(&self, prefix: &str, limit: u32) -> Result<Vec<HumanTask>, StoreError> {
        if !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let rows = sqlx::query_as(human_tasks!("where id like $1 || '%' order by id limit $2"))
            .bind(prefix.to_ascii_lowercase())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        Ok(rows)
    }
}

async fn find(connection: &mut PgConnection, of: &HumanKey) -> Result<Option<HumanTask>, sqlx::Error> {
    sqlx::query_as(human_tasks!("where run = $1 and task = $2 and index = $3"))
        .bind(&of.run)
        .bind(&of.task)
        .bind(row::integer(of.index)?)
        .fetch_optional(connection)
        .await
}
