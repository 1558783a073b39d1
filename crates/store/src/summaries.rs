//! Which runs there are.

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder, Row};
use time::OffsetDateTime;

use spine_core::run::{Failure, RunStatus};

use crate::runs::Trigger;
use crate::{Store, StoreError, row};

/// A run without its event and context.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// The workflow id.
    pub id: String,
    /// The activity.
    pub activity: String,
    /// The revision.
    pub revision: u32,
    /// What started it.
    pub trigger: Trigger,
    /// The type of the event that started it.
    pub event_type: String,
    /// The event's source.
    pub event_source: String,
    /// The event's id.
    pub event_id: String,
    /// What the run is about: the event's subject.
    pub key: Option<String>,
    /// Which replay of the event; 0 for none.
    pub replay: u32,
    /// Where it stands.
    pub status: RunStatus,
    /// Why it failed.
    pub error: Option<Failure>,
    /// How many task instances it has decided so far.
    pub tasks: u32,
    /// How many of these have ended.
    pub tasks_ended: u32,
    /// When it was opened.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub closed_at: Option<OffsetDateTime>,
}

impl FromRow<'_, PgRow> for RunSummary {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            activity: row.try_get("activity")?,
            revision: row::number(row, "revision")?,
            trigger: row::word(row, "trigger")?,
            event_type: row.try_get("event_type")?,
            event_source: row.try_get("event_source")?,
            event_id: row.try_get("event_id")?,
            key: row.try_get("key")?,
            replay: row::number(row, "replay")?,
            status: row::word(row, "status")?,
            error: row::optional_json(row, "error")?,
            tasks: row::number(row, "tasks")?,
            tasks_ended: row::number(row, "tasks_ended")?,
            started_at: row.try_get("started_at")?,
            closed_at: row.try_get("closed_at")?,
        })
    }
}

/// Which runs to list: those that meet all that is given.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only those of this activity.
    pub activity: Option<String>,
    /// Only those that stand at one of these; at any if it is empty.
    pub statuses: Vec<RunStatus>,
    /// Only those that started then or later.
    pub since: Option<OffsetDateTime>,
    /// Only those that started before.
    pub until: Option<OffsetDateTime>,
    /// Only those that are about this.
    pub key: Option<String>,
    /// Only those that an event with this id or this event key started.
    pub event: Option<String>,
    /// At most this many, the newest.
    pub limit: u32,
}

/// Conditions follow, each with an `and`, then [`Store::newest`]. Tasks are counted of the runs that are left.
const BEGIN: &str = "select r.*, t.tasks, t.tasks_ended from (
    select id, activity, revision, trigger, event_type, event_source, event_id, key, replay, status, error, started_at,
        closed_at
    from run where true";
const END: &str = ") r cross join lateral (
    select count(*)::int as tasks, (count(*) filter (where status <> 'created'))::int as tasks_ended
    from task where task.run = r.id and status <> 'skipped'
) t order by r.started_at desc, r.id desc";

/// The shortest beginning of an event key that is looked for: less is no more than a guess.
const MIN_KEY_PREFIX: usize = 6;

impl Store {
    /// The newest runs that pass the filter, the newest first.
    pub async fn list_runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        // Built of what is given, so that each question has a plan of its own; statuses are words of ours and stand
        // in the text, or the partial index of runs that did not complete would not serve.
        let mut question = QueryBuilder::new(BEGIN);
        if let Some(activity) = &filter.activity {
            question.push(" and activity = ").push_bind(activity);
        }
        if !filter.statuses.is_empty() {
            let words: Vec<_> = filter.statuses.iter().map(|status| format!("'{}'", status.as_str())).collect();
            question.push(format!(" and status in ({})", words.join(", ")));
        }
        if let Some(since) = filter.since {
            question.push(" and started_at >= ").push_bind(since);
        }
        if let Some(until) = filter.until {
            question.push(" and started_at < ").push_bind(until);
        }
        if let Some(key) = &filter.key {
            question.push(" and key = ").push_bind(key);
        }
        if let Some(event) = &filter.event {
            question.push(" and (event_id = ").push_bind(event).push(" or event_key = ").push_bind(event).push(")");
        }
        self.newest(question, filter.limit).await
    }

    /// The runs that `text` may stand for, at most `limit`, the newest first: by id, with or without `run/`, by the
    /// id of the event, and by the last part of the id or the first digits of it, alone or after `<activity>/`.
    /// One that has it for its id is the only one.
    pub async fn find_runs(&self, text: &str, limit: u32) -> Result<Vec<RunSummary>, StoreError> {
        let mut question = QueryBuilder::new(BEGIN);
        question.push(" and id = ").push_bind(text);
        let exact = self.newest(question, 1).await?;
        if !exact.is_empty() {
            return Ok(exact);
        }
        let rest = text.strip_prefix("run/").unwrap_or(text);
        let (activity, part) = rest.split_once('/').map_or((None, rest), |(activity, part)| (Some(activity), part));
        let mut question = QueryBuilder::new(BEGIN);
        question.push(" and (event_id = ").push_bind(text);
        // The id of a tick is the time that it was due; the id of its run ends in `at-` and that time.
        question.push(" or event_id = ").push_bind(part.strip_prefix("at-").unwrap_or(part));
        only_of(&mut question, activity);
        if is_key_prefix(part) {
            question.push(" or event_key ~>=~ ").push_bind(part);
            question.push(" and event_key ~<~ ").push_bind(format!("{part}g"));
            only_of(&mut question, activity);
        }
        question.push(")");
        self.newest(question, limit).await
    }

    async fn newest(&self, mut question: QueryBuilder<Postgres>, limit: u32) -> Result<Vec<RunSummary>, StoreError> {
        question.push(" order by started_at desc, id desc limit ").push_bind(i64::from(limit)).push(END);
        Ok(question.build_query_as().fetch_all(&self.pool).await?)
    }
}

fn only_of(question: &mut QueryBuilder<Postgres>, activity: Option<&str>) {
    if let Some(activity) = activity {
        question.push(" and activity = ").push_bind(activity);
    }
}

/// Whether an event key, which is written in hexadecimal digits, may begin so.
fn is_key_prefix(text: &str) -> bool {
    text.len() >= MIN_KEY_PREFIX && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
