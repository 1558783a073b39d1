//! The catalog: every state of the registry, projected for routers that have no database.

use std::collections::BTreeSet;
use std::time::Duration;

use spine_core::catalog::CatalogState;
use spine_nats::catalog::{Catalog, CatalogError, Writer};
use spine_runtime::shutdown::Shutdown;
use spine_store::{RegistryChanges, StoreError};

use crate::{PAUSES, RelayError, Resources, pauses};

/// How often it is looked whether all that was stored is still there: somebody may have deleted it by hand, and a
/// relay that lost its lock may have deleted what its successor counted on.
const VERIFY: Duration = Duration::from_secs(300);

/// Why a state could not be projected.
#[derive(Debug, thiserror::Error)]
enum ProjectionError {
    #[error("read the registry")]
    Store(#[from] StoreError),
    #[error("write the catalog")]
    Catalog(#[from] CatalogError),
    #[error("read document {0}, which the registry replaced meanwhile")]
    Replaced(String),
}

/// Projects the registry whenever it changes, until the end is wished for. Fails only if the database
/// never will do.
pub(crate) async fn project(resources: &Resources, shutdown: &Shutdown) -> Result<(), RelayError> {
    let component = resources.health.register("catalog");
    let mut writer = Catalog::new(resources.jetstream.clone()).writer();
    let mut changes = None;
    let mut written = None;
    let mut pauses = pauses();
    while !shutdown.is_requested() {
        let step = step(resources, &mut writer, &mut changes, written);
        let stepped = tokio::select! {
            stepped = step => stepped,
            () = shutdown.requested() => break,
        };
        let pause = match stepped {
            Ok(version) => {
                component.up();
                written = Some(version);
                resources.metrics.relay.catalog_version.set(i64::try_from(version).unwrap_or(i64::MAX));
                pauses = self::pauses();
                continue;
            }
            Err(ProjectionError::Store(error)) if !error.is_transient() => return Err(error.into()),
            Err(error) => {
                resources.metrics.relay.catalog_failures.inc();
                component.failing("project the catalog", &error);
                pauses.next().unwrap_or(PAUSES.1)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => {}
        }
    }
    Ok(())
}

/// Waits until the registry is newer than what was written, writes it, and returns its version.
async fn step(
    resources: &Resources,
    writer: &mut Writer,
    changes: &mut Option<RegistryChanges>,
    written: Option<u64>,
) -> Result<u64, ProjectionError> {
    let changes = match changes {
        Some(changes) => changes,
        None => changes.insert(resources.store.registry_changes().await?),
    };
    if let Some(version) = written {
        match tokio::time::timeout(VERIFY, changes.wait(version)).await {
            Ok(changed) => drop(changed?),
            Err(_) => writer.forget(),
        }
    }
    let state = resources.store.catalog_state().await?;
    let documents = documents(resources, writer, &state).await?;
    let done = writer.write(&state, &documents).await?;
    if done.changed {
        tracing::info!(version = state.version, stored = done.stored, retired = done.retired, "catalog written");
    }
    Ok(state.version)
}

async fn documents(
    resources: &Resources,
    writer: &mut Writer,
    state: &CatalogState,
) -> Result<Vec<(String, serde_json::Value)>, ProjectionError> {
    let missing = writer.missing(state).await?;
    let documents = resources.store.documents(&missing).await?;
    let found: BTreeSet<&str> = documents.iter().map(|(hash, _)| hash.as_str()).collect();
    match missing.iter().find(|hash| !found.contains(hash.as_str())) {
        Some(hash) => Err(ProjectionError::Replaced(hash.clone())),
        None => Ok(documents),
    }
}
