//! What people do with tasks. Each change, what the world is told of it and what the audit keeps are one
//! transaction under the run's lock: of two answers, one comes first, and the other is refused.

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use spine_core::names;
use spine_core::notice::RunFacts;
use spine_core::run::Failure;

use super::{HumanKey, HumanTask, find};
use crate::ending::{self, Told};
use crate::step::AuditEntry;
use crate::{RunRow, Store, StoreError, row, wake};

/// How a person ends a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is done, and this is the task's output. The caller has checked that it fits the form.
    Completed(Value),
    /// It can't be done, for this reason.
    Failed(String),
}

/// Why a person can't do this with a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It has ended; it says how, by whom and when.
    #[error("it has ended")]
    Closed(Box<HumanTask>),
    /// Somebody else does it; it says who.
    #[error("somebody else does it")]
    Claimed(Box<HumanTask>),
}

impl From<sqlx::Error> for PeopleError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What somebody does with a task.
enum Act<'a> {
    Claim,
    Reassign(&'a [String]),
    End(&'a Answer),
}

impl Store {
    /// Notes that this person does the task. Again by the same person, it changes nothing.
    pub async fn claim_human_task(&self, of: &HumanKey, by: &str) -> Result<HumanTask, PeopleError> {
        self.act_on_task(of, by, Act::Claim).await
    }

    /// Asks others, whoever had it.
    pub async fn reassign_human_task(
        &self,
        of: &HumanKey,
        by: &str,
        assignees: &[String],
    ) -> Result<HumanTask, PeopleError> {
        self.act_on_task(of, by, Act::Reassign(assignees)).await
    }

    /// Ends the task and has its run go on.
    pub async fn end_human_task(&self, of: &HumanKey, by: &str, answer: &Answer) -> Result<HumanTask, PeopleError> {
        self.act_on_task(of, by, Act::End(answer)).await
    }

    async fn act_on_task(&self, of: &HumanKey, by: &str, act: Act<'_>) -> Result<HumanTask, PeopleError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let (run, task) = lock(&mut transaction, of).await?;
        if task.status.is_closed() {
            return Err(PeopleError::Closed(Box::new(task)));
        }
        match (&act, task.claimed_by.as_deref()) {
            (Act::Claim, Some(claimed)) if claimed == by => return Ok(task),
            (Act::Claim | Act::End(_), Some(claimed)) if claimed != by => {
                return Err(PeopleError::Claimed(Box::new(task)));
            }
            _ => {}
        }
        let told = perform(&mut transaction, &run, of, by, &act).await?;
        ending::tell(&mut transaction, &run.id, told).await?;
        if matches!(act, Act::End(_)) {
            wake::insert(&mut transaction, &run.id).await?;
        }
        let changed = find(&mut transaction, of).await?.ok_or_else(|| unknown(of))?;
        transaction.commit().await?;
        self.doorbell.ring(&mut connection).await;
        if matches!(act, Act::End(_)) {
            wake::ring(&mut connection).await;
        }
        Ok(changed)
    }
}

/// Takes the run's lock, then reads the task.
async fn lock(connection: &mut PgConnection, of: &HumanKey) -> Result<(RunRow, HumanTask), PeopleError> {
    let run: Option<RunRow> = sqlx::query_as("select * from run where id = $1 for update")
        .bind(&of.run)
        .fetch_optional(&mut *connection)
        .await?;
    let run = run.ok_or_else(|| StoreError::UnknownRun(of.run.clone()))?;
    let task = find(connection, of).await?.ok_or_else(|| unknown(of))?;
    Ok((run, task))
}

fn unknown(of: &HumanKey) -> StoreError {
    StoreError::UnknownTask { run: of.run.clone(), task: of.task.clone(), index: of.index }
}

async fn perform(
    connection: &mut PgConnection,
    run: &RunRow,
    of: &HumanKey,
    by: &str,
    act: &Act<'_>,
) -> Result<Told, sqlx::Error> {
    let now = OffsetDateTime::now_utc().format(&Rfc3339).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let facts = RunFacts {
        run: &run.id,
        activity: &run.activity,
        revision: run.revision,
        hops: run.event.hops(),
        retry: run.retries,
        now: &now,
    };
    let (task, index) = (of.task.as_str(), of.index);
    let retry = names::retry_suffix(run.retries);
    let audit = |fact: &str, name: String, mut detail: Value| {
        detail["task"] = json!(task);
        detail["index"] = json!(index);
        detail["by"] = json!(by);
        AuditEntry { fact: fact.to_owned(), discriminator: format!("{name}{retry}"), detail }
    };
    Ok(match act {
        Act::Claim => {
            let count = hand_over(connection, of, Some(by), None).await?;
            Told {
                event: facts.task_claimed(task, index, by, count),
                audit: audit("task_claimed", format!("{task}/{index}/{count}"), json!({})),
            }
        }
        Act::Reassign(assignees) => {
            let count = hand_over(connection, of, None, Some(assignees)).await?;
            let detail = json!({"assignees": assignees});
            Told {
                event: facts.task_reassigned(task, index, by, assignees, count),
                audit: audit("task_reassigned", format!("{task}/{index}/{count}"), detail),
            }
        }
        Act::End(answer) => {
            let result = match answer {
                Answer::Completed(output) => Ok(output),
                Answer::Failed(reason) => Err(Failure::new("FailedByPerson", reason.as_str())),
            };
            end(connection, of, by, result.as_ref().copied()).await?;
            let (fact, detail) = match &result {
                Ok(_) => ("task_completed", json!({})),
                Err(failure) => ("task_failed", json!({"error": failure})),
            };
            Told {
                event: facts.task_ended_by(task, index, by, result.as_ref().err()),
                audit: audit(fact, format!("{task}/{index}"), detail),
            }
        }
    })
}

/// Notes who has it now, and whom it is asked if those are others; returns how often it went to somebody.
async fn hand_over(
    connection: &mut PgConnection,
    of: &HumanKey,
    to: Option<&str>,
    assignees: Option<&[String]>,
) -> Result<u32, sqlx::Error> {
    sqlx::query(
        "update human_task set claimed_by = $4, claimed_at = case when $4::text is not null then now() end,
            assignees = coalesce($5::text[], assignees), handovers = handovers + 1
        where run = $1 and task = $2 and index = $3 returning handovers",
    )
    .bind(&of.run)
    .bind(&of.task)
    .bind(row::integer(of.index)?)
    .bind(to)
    .bind(assignees)
    .try_map(|found| row::number(&found, "handovers"))
    .fetch_one(connection)
    .await
}

async fn end(
    connection: &mut PgConnection,
    of: &HumanKey,
    by: &str,
    result: Result<&Value, &Failure>,
) -> Result<(), sqlx::Error> {
    ending::close(connection, &of.run, &of.task, of.index, result).await?;
    sqlx::query("update human_task set ended_by = $4 where run = $1 and task = $2 and index = $3")
        .bind(&of.run)
        .bind(&of.task)
        .bind(row::integer(of.index)?)
        .bind(by)
        .execute(connection)
        .await?;
    Ok(())
}
