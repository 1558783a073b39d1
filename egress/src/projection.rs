//! The catalog: every state of the registry, projected for routers that have no database.

use spine_core::catalog::CatalogHead;
use spine_nats::catalog::{Catalog, CatalogError};
use spine_runtime::shutdown::Shutdown;
use spine_store::{RegistryChanges, StoreError};

use crate::{PAUSES, RelayError, Resources, pauses};

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
    let catalog = Catalog::new(resources.jetstream.clone());
    let mut changes = None;
    let mut written = None;
    let mut pauses = pauses();
    while !shutdown.is_requested() {
        let step = step(resources, &catalog, &mut changes, written);
        let stepped = tokio::select! {
            stepped = step => stepped,
            () = shutdown.requested() => break,
        };
        let pause = match stepped {
            Ok(version) => {
                component.up();
                written = Some(version);
                pauses = self::pauses();
                continue;
            }
            Err(ProjectionError::Store(error)) if !error.is_transient() => return Err(error.into()),
            Err(error) => {
                crate::tell(&component, "project the catalog", &error);
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
    catalog: &Catalog,
    changes: &mut Option<RegistryChanges>,
    written: Option<u64>,
) -> Result<u64, ProjectionError> {
    let changes = match changes {
        Some(changes) => changes,
        None => changes.insert(resources.store.registry_changes().await?),
    };
    if let Some(version) = written {
        changes.wait(version).await?;
    }
    let head = resources.store.catalog_head().await?;
    let documents = documents(resources, catalog, &head).await?;
    let done = catalog.write(&head, &documents).await?;
    if done.changed {
        tracing::info!(version = head.version, stored = done.stored, retired = done.retired, "catalog written");
    }
    Ok(head.version)
}

async fn documents(
    resources: &Resources,
    catalog: &Catalog,
    head: &CatalogHead,
) -> Result<Vec<(String, serde_json::Value)>, ProjectionError> {
    let missing = catalog.missing(head).await?;
    let documents = resources.store.documents(&missing).await?;
    let has = |hash: &String| documents.iter().any(|(found, _)| found == hash);
    match missing.into_iter().find(|hash| !has(hash)) {
        Some(hash) => Err(ProjectionError::Replaced(hash)),
        None => Ok(documents),
    }
}
