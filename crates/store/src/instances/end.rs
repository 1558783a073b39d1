//! What becomes of the events of an instance that ends, and of one that is retried.

use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};

use spine_core::event::Event;

use super::arrival::{Beginning, begin};
use crate::{RetryFrom, StoreError, row, wake};

/// Why an event was not folded that came before its instance had ended.
const ENDED: &str = "the instance ended before it came to this event";

struct Left {
    activity: String,
    key: String,
    generation: u32,
    event_key: String,
    revision: u32,
    starts: bool,
    sequence: u64,
}

/// Settles the events that an instance which ends has not folded: from the first that starts one they go to the next
/// instance of the key, those before it to none. Returns whether a run is to be woken. The caller holds the run's
/// lock.
pub(crate) async fn end(connection: &mut PgConnection, run: &str) -> Result<bool, StoreError> {
    let left = left(connection, run).await?;
    if left.is_empty() {
        return Ok(false);
    }
    sqlx::query(
        "update instance_event set reason = $2, settled = true, ordinal = null where run = $1 and folded_at is null",
    )
    .bind(run)
    .bind(ENDED)
    .execute(&mut *connection)
    .await?;
    sqlx::query("update instance set received = folded where run = $1").bind(run).execute(&mut *connection).await?;
    for first in (0..left.len()).filter(|at| left[*at].starts) {
        let Left { activity, key, generation, revision, sequence, .. } = &left[first];
        let event: Json<Event> =
            sqlx::query_scalar("select event from instance_event where activity = $1 and event_key = $2")
                .bind(activity)
                .bind(&left[first].event_key)
                .fetch_one(&mut *connection)
                .await?;
        let of = Beginning { activity, revision: *revision, key, generation: generation + 1 };
        // One that has begun an instance, as the first event of this one has, begins no other.
        if let Ok(next) = begin(connection, of, &event, *sequence).await? {
            let keys: Vec<&str> = left[first..].iter().map(|event| event.event_key.as_str()).collect();
            give(connection, &next, activity, &keys).await?;
            wake::insert(connection, &next).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

async fn left(connection: &mut PgConnection, run: &str) -> Result<Vec<Left>, sqlx::Error> {
    sqlx::query(
        "select i.activity, i.key, i.generation, e.event_key, e.revision, e.starts, e.sequence
        from instance i join instance_event e on e.run = i.run
        where i.run = $1 and e.folded_at is null and e.reason is null order by e.ordinal",
    )
    .bind(run)
    .try_map(|found| {
        Ok(Left {
            activity: found.try_get("activity")?,
            key: found.try_get("key")?,
            generation: row::number(&found, "generation")?,
            event_key: found.try_get("event_key")?,
            revision: row::number(&found, "revision")?,
            starts: found.try_get("starts")?,
            sequence: found.try_get::<i64, _>("sequence")?.unsigned_abs(),
        })
    })
    .fetch_all(connection)
    .await
}

/// Appends events that no instance has folded to those of one, in this order.
async fn give(connection: &mut PgConnection, run: &str, activity: &str, keys: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with given as (
            update instance set received = received + cardinality($3::text[]) where run = $1
            returning received - cardinality($3::text[]) as first
        )
        update instance_event e set run = $1, ordinal = given.first + k.n - 1, reason = null, settled = false
        from given, unnest($3::text[]) with ordinality as k (event_key, n)
        where e.activity = $2 and e.event_key = k.event_key",
    )
    .bind(run)
    .bind(activity)
    .bind(keys)
    .execute(connection)
    .await?;
    Ok(())
}

/// Has an instance that is retried take the events that it had not folded when it ended, and those that came since,
/// unless another instance of its key began. From its start, it folds all its events again. The caller holds the run's lock.
pub(crate) async fn take_back(connection: &mut PgConnection, run: &str, from: RetryFrom) -> Result<(), sqlx::Error> {
    let found: Option<(String, String, bool)> = sqlx::query_as(
        "select activity, key, exists (select from instance o
            where o.activity = i.activity and o.key = i.key and o.generation > i.generation)
        from instance i where run = $1",
    )
    .bind(run)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((activity, key, is_followed)) = found else { return Ok(()) };
    sqlx::query("update instance set cancelled_by = null, expires_at = null where run = $1")
        .bind(run)
        .execute(&mut *connection)
        .await?;
    match from {
        RetryFrom::Done => {
            sqlx::query(
                "update instance_event set settled = false where run = $1 and reason is null and ordinal in (
                    select ordinal from task where run = $1 and status = 'created')",
            )
            .bind(run)
            .execute(&mut *connection)
            .await?;
        }
        RetryFrom::Start => {
            sqlx::query("update instance set state = null, folded = 0 where run = $1")
                .bind(run)
                .execute(&mut *connection)
                .await?;
            sqlx::query(
                "update instance_event set state = null, folded_at = null, settled = false
                where run = $1 and reason is null",
            )
            .bind(run)
            .execute(&mut *connection)
            .await?;
        }
    }
    let missed: Vec<String> = sqlx::query_scalar(
        "select event_key from instance_event
        where activity = $1 and key = $2 and reason is not null and (run = $3 or not $4 and sequence > (
            select min(sequence) from instance_event where run = $3))
        order by sequence",
    )
    .bind(&activity)
    .bind(&key)
    .bind(run)
    .bind(is_followed)
    .fetch_all(&mut *connection)
    .await?;
    let missed: Vec<&str> = missed.iter().map(String::as_str).collect();
    give(connection, run, &activity, &missed).await
}
