//! What instances of stateful activities get.

use sqlx::{Connection as _, PgConnection};

use spine_core::inbox::{ForInstance, Item};

use super::Rings;
use crate::{StoreError, instances};

/// Gives an event to the instance of one activity. It is called once for each event and activity, in the order of
/// the stream, inside the transaction that moves the position: what it writes is written with that or not at all.
/// It may take the rows of runs and instances, and no lock that anybody takes before them.
pub(super) async fn deliver(connection: &mut PgConnection, item: &Item, to: &ForInstance) -> Result<Rings, StoreError> {
    let mut point = connection.begin().await?;
    match instances::deliver(&mut point, item.sequence, &item.event, to).await {
        Ok(wake) => {
            point.commit().await?;
            Ok(Rings { wake, outbox: false })
        }
        Err(error) if is_its_own_fault(&error) => {
            point.rollback().await?;
            tracing::error!(activity = to.activity, sequence = item.sequence, %error, "an instance can't be given an event");
            instances::refuse(connection, item.sequence, &item.event, to, &error.to_string()).await?;
            Ok(Rings::default())
        }
        Err(error) => Err(error),
    }
}

/// Whether the database refuses a value of the event, so that every attempt would end like this one: classes 22 (data
/// exception) and 54 (program limit exceeded) of SQLSTATE, PostgreSQL's appendix A.
fn is_its_own_fault(error: &StoreError) -> bool {
    let StoreError::Database(sqlx::Error::Database(error)) = error else { return false };
    error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
}
