//! Specs: what tasks wait for, as the registry knows it.

use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection};

use spine_core::activity::{self, Document};
use spine_core::inbox::WaitSpec;

use crate::{Store, StoreError, row};

/// Every spec, under one version of the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredSpecs {
    /// The registry's version.
    pub version: u64,
    /// The contents of the specs.
    pub contents: Vec<Value>,
}

impl Store {
    /// The specs of every revision that there is or was.
    pub async fn wait_specs(&self) -> Result<RegisteredSpecs, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        // The version first: a spec that comes in between is one more than the version promises.
        let version = version(&mut transaction).await?;
        let contents = sqlx::query("select content from wait_spec order by spec")
            .try_map(|found: PgRow| row::json(&found, "content"))
            .fetch_all(&mut *transaction)
            .await?;
        Ok(RegisteredSpecs { version, contents })
    }
}

/// The version of the registry.
pub(super) async fn version(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let version: i64 = sqlx::query_scalar("select version from registry_version").fetch_one(connection).await?;
    Ok(version.unsigned_abs())
}

/// Writes the specs of a revision, as part of the change that makes it.
pub(crate) async fn register(connection: &mut PgConnection, name: &str, document: &Value) -> Result<(), sqlx::Error> {
    // Whoever applies has checked the document. One that does not parse runs nothing, so it waits for nothing.
    let documents = activity::parse(name, &document.to_string()).unwrap_or_default();
    for document in &documents {
        let Document::Activity(definition) = document else { continue };
        for spec in WaitSpec::of_activity(&definition.value) {
            sqlx::query("insert into wait_spec (spec, content) values ($1, $2::json) on conflict do nothing")
                .bind(spec.hash())
                .bind(row::text(spec.content())?)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}
