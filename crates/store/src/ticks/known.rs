//! What is known when a tick arrives.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use spine_core::names;
use spine_core::ticks::{Reason, Span};

use super::{Tick, index};
use crate::StoreError;

/// The most spans that one tick is compared with.
const MAX_SPANS: i64 = 1000;

/// Who asked for this tick, out of turn or again.
pub(super) async fn asked_by(connection: &mut PgConnection, tick: &Tick) -> Result<Option<String>, StoreError> {
    let found = sqlx::query_scalar(
        "select by_whom from tick_request
        where activity = $1 and trigger = $2 and from_at <= $3 and to_at >= $3 order by id desc limit 1",
    )
    .bind(&tick.activity)
    .bind(index(tick.trigger)?)
    .bind(tick.at)
    .fetch_optional(connection)
    .await?;
    Ok(found)
}

/// The last tick before this one, if it is recorded under the same rule and nobody asked for it.
pub(super) async fn last(connection: &mut PgConnection, tick: &Tick) -> Result<Option<OffsetDateTime>, StoreError> {
    let found: Option<(OffsetDateTime, String)> = sqlx::query_as(
        "select coalesce(until, scheduled_for), rule from tick
        where activity = $1 and trigger = $2 and scheduled_for < $3 and asked_by is null
        order by scheduled_for desc limit 1",
    )
    .bind(&tick.activity)
    .bind(index(tick.trigger)?)
    .bind(tick.at)
    .fetch_optional(connection)
    .await?;
    Ok(found.filter(|(_, rule)| *rule == tick.rule).map(|(at, _)| at))
}

/// What went on after `since` that is a reason for ticks not to run.
pub(super) async fn spans(
    connection: &mut PgConnection,
    tick: &Tick,
    since: OffsetDateTime,
) -> Result<Vec<Span>, StoreError> {
    let spans = sqlx::query(
        "select started_at as from_at, closed_at as to_at, 'run' as what, id as detail, event_id from run
        where trigger = 'schedule' and activity = $1 and event_source = $2
            and coalesce(closed_at, 'infinity') > $3
        union all
        select paused_at, resumed_at, 'paused', 'by ' || paused_by || coalesce(': ' || reason, ''), null
        from schedule_pause
        where activity = $1 and trigger = $4 and coalesce(resumed_at, 'infinity') > $3
        union all
        select disabled.at, enabled.at, 'disabled', '', null
        from registry_change disabled
        left join lateral (
            select min(at) as at from registry_change
            where kind = 'activity' and name = $1 and id > disabled.id and action = 'enabled') enabled on true
        where kind = 'activity' and name = $1 and action = 'disabled' and coalesce(enabled.at, 'infinity') > $3
        limit $5",
    )
    .bind(&tick.activity)
    .bind(names::tick_source(&tick.activity, tick.trigger))
    .bind(since)
    .bind(index(tick.trigger)?)
    .bind(MAX_SPANS)
    .try_map(|row: PgRow| span(&row))
    .fetch_all(connection)
    .await?;
    Ok(spans)
}

fn span(row: &PgRow) -> Result<Span, sqlx::Error> {
    let detail: String = row.try_get("detail")?;
    let what = match row.try_get("what")? {
        "paused" => Reason::Paused { why: detail },
        "disabled" => Reason::Disabled,
        _ => {
            let time: Option<String> = row.try_get("event_id")?;
            let tick = time.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
            Reason::Run { id: detail, tick: tick.map_or(i64::MIN, OffsetDateTime::unix_timestamp) }
        }
    };
    let to: Option<OffsetDateTime> = row.try_get("to_at")?;
    Ok(Span { from: whole(row.try_get("from_at")?), to: to.map(whole), what })
}

/// The first whole second that is not before: what begins within a second does not cover the tick at its start.
fn whole(time: OffsetDateTime) -> i64 {
    time.unix_timestamp() + i64::from(time.nanosecond() > 0)
}
