//! Gives an event to the instance of its key.

use sqlx::PgConnection;

use spine_core::event::Event;
use spine_core::inbox::ForInstance;
use spine_core::names;

use crate::runs::{self, NewRun, Opened, Trigger};
use crate::step::lock_run;
use crate::{StoreError, inbox, row, wake};

/// The most bytes that the key of an instance may have: PostgreSQL's index takes no row of over 2,700.
const MAX_KEY_BYTES: usize = 1024;

/// Gives an event to the instance that goes on for its key, or to a new one if it starts one. Whatever becomes of it
/// is kept, and counts for every later delivery of the same event. Returns whether a run is to be woken.
pub(crate) async fn deliver(
    connection: &mut PgConnection,
    sequence: u64,
    event: &Event,
    hit: &ForInstance,
) -> Result<bool, StoreError> {
    let arrival = Arrival { sequence, event, hit };
    if !arrival.note(connection).await? {
        return Ok(false);
    }
    let key = match hit.key.as_deref().map_err(|why| format!("it has no key: {why}")).and_then(usable) {
        Ok(key) => key,
        Err(why) => {
            arrival.refuse(connection, &why).await?;
            return Ok(false);
        }
    };
    let latest = latest(connection, &hit.activity, key).await?;
    let run = match &latest {
        Some(Latest { run, running: true, .. }) => Ok(run.clone()),
        latest => arrival.begin(connection, key, latest.as_ref()).await?,
    };
    match run {
        Ok(run) => {
            arrival.give(connection, &run).await?;
            if latest.is_some_and(|latest| latest.run == run && latest.held) {
                return Ok(false);
            }
            wake::insert(connection, &run).await?;
            Ok(true)
        }
        Err(why) => {
            arrival.refuse(connection, &why).await?;
            Ok(false)
        }
    }
}

/// Keeps that an event which the database does not take goes to no instance, without the event.
pub(crate) async fn refuse(
    connection: &mut PgConnection,
    sequence: u64,
    event: &Event,
    hit: &ForInstance,
    why: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into instance_event (activity, event_key, sequence, revision, starts, cancels, event, reason, settled)
        values ($1, $2, $3, $4, $5, $6, 'null', $7, true) on conflict do nothing",
    )
    .bind(&hit.activity)
    .bind(event.key().as_str())
    .bind(inbox::sequence(sequence)?)
    .bind(row::integer(hit.revision)?)
    .bind(hit.starts)
    .bind(hit.cancels)
    .bind(why.replace('\0', "\u{fffd}"))
    .execute(connection)
    .await?;
    Ok(())
}

/// A key that can stand in a row and in its index.
fn usable(key: &str) -> Result<&str, String> {
    match key.len() {
        bytes if bytes > MAX_KEY_BYTES => Err(format!("its key has {bytes} bytes; {MAX_KEY_BYTES} are allowed")),
        _ if key.contains('\0') => Err("its key has a NUL in it".to_owned()),
        _ => Ok(key),
    }
}

/// The newest instance of a key, its run locked.
pub(super) struct Latest {
    pub(super) run: String,
    pub(super) generation: u32,
    pub(super) running: bool,
    held: bool,
}

async fn latest(connection: &mut PgConnection, activity: &str, key: &str) -> Result<Option<Latest>, StoreError> {
    loop {
        let Some((run, generation)) = newest(connection, activity, key).await? else { return Ok(None) };
        lock_run(connection, &run).await?;
        // The one that ended while the lock was waited for may have begun the next.
        if newest(connection, activity, key).await?.is_some_and(|(newest, _)| newest != run) {
            continue;
        }
        let (running, held) = sqlx::query_as(
            "select r.status = 'running', i.held from run r join instance i on i.run = r.id where r.id = $1",
        )
        .bind(&run)
        .fetch_one(&mut *connection)
        .await?;
        return Ok(Some(Latest { run, generation, running, held }));
    }
}

async fn newest(
    connection: &mut PgConnection,
    activity: &str,
    key: &str,
) -> Result<Option<(String, u32)>, sqlx::Error> {
    sqlx::query(
        "select run, generation from instance where activity = $1 and key = $2 order by generation desc limit 1",
    )
    .bind(activity)
    .bind(key)
    .try_map(|found| Ok((sqlx::Row::try_get(&found, "run")?, row::number(&found, "generation")?)))
    .fetch_optional(connection)
    .await
}

struct Arrival<'a> {
    sequence: u64,
    event: &'a Event,
    hit: &'a ForInstance,
}

impl Arrival<'_> {
    /// Keeps the event; false if it came before.
    async fn note(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let noted = sqlx::query(
            "insert into instance_event (activity, event_key, key, sequence, revision, starts, cancels, event)
            values ($1, $2, $3, $4, $5, $6, $7, $8::json) on conflict do nothing",
        )
        .bind(&self.hit.activity)
        .bind(self.event.key().as_str())
        .bind(self.hit.key.as_deref().ok().filter(|key| usable(key).is_ok()))
        .bind(inbox::sequence(self.sequence)?)
        .bind(row::integer(self.hit.revision)?)
        .bind(self.hit.starts)
        .bind(self.hit.cancels)
        .bind(row::text(self.event)?)
        .execute(connection)
        .await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Begins the next instance of the key, or says why not.
    async fn begin(
        &self,
        connection: &mut PgConnection,
        key: &str,
        latest: Option<&Latest>,
    ) -> Result<Result<String, String>, StoreError> {
        if !self.hit.starts {
            return Ok(Err(match latest {
                Some(latest) => format!("{} has ended, and this event starts none", latest.run),
                None => "no instance goes on for its key, and this event starts none".to_owned(),
            }));
        }
        if !self.hit.enabled {
            return Ok(Err(format!("activity {} is disabled", self.hit.activity)));
        }
        let generation = latest.map_or(0, |latest| latest.generation) + 1;
        let of = Beginning { activity: &self.hit.activity, revision: self.hit.revision, key, generation };
        begin(connection, of, self.event, self.sequence).await
    }

    /// Appends it to the events of an instance.
    async fn give(&self, connection: &mut PgConnection, run: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "with given as (update instance set received = received + 1 where run = $1 returning received - 1 as ordinal)
            update instance_event e set run = $1, ordinal = given.ordinal from given
            where e.activity = $2 and e.event_key = $3",
        )
        .bind(run)
        .bind(&self.hit.activity)
        .bind(self.event.key().as_str())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Says why it goes to no instance.
    async fn refuse(&self, connection: &mut PgConnection, why: &str) -> Result<(), sqlx::Error> {
        sqlx::query("update instance_event set reason = $3, settled = true where activity = $1 and event_key = $2")
            .bind(&self.hit.activity)
            .bind(self.event.key().as_str())
            .bind(why.replace('\0', "\u{fffd}"))
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Which instance begins.
pub(super) struct Beginning<'a> {
    pub(super) activity: &'a str,
    pub(super) revision: u32,
    pub(super) key: &'a str,
    pub(super) generation: u32,
}

/// Opens an instance and its run, which no execution has claimed yet; or says why not.
pub(super) async fn begin(
    connection: &mut PgConnection,
    of: Beginning<'_>,
    event: &Event,
    sequence: u64,
) -> Result<Result<String, String>, StoreError> {
    let Beginning { activity, revision, key, generation } = of;
    let run = names::instance_run_id(activity, key, generation);
    let new = NewRun {
        id: run.clone(),
        temporal_run_id: None,
        activity: activity.to_owned(),
        revision,
        trigger: Trigger::Event,
        event: event.clone(),
        replay: 0,
        key: Some(key.to_owned()),
        sequence: Some(sequence),
    };
    if let Opened::Duplicate { of } = runs::open_run(connection, &new).await? {
        return Ok(Err(format!("{of} has done the work of this event")));
    }
    sqlx::query("insert into instance (run, activity, key, generation) values ($1, $2, $3, $4) on conflict do nothing")
        .bind(&run)
        .bind(activity)
        .bind(key)
        .bind(row::integer(generation)?)
        .execute(connection)
        .await?;
    Ok(Ok(run))
}
