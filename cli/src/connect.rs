//! Configuration and connections, made when a command needs them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use spine_nats::Violations;
use spine_runtime::backoff::Backoff;
use spine_runtime::config::{self, Config, Sources};
use spine_runtime::shutdown::Shutdown;
use spine_store::{QueryDatabase, Store};
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};

use crate::args::Global;
use crate::failure::invalid;

/// Reads the configuration: defaults, a running `spine dev`, file, environment, flags.
pub(crate) fn config(global: &Global) -> anyhow::Result<Config> {
    let flags = [
        ("nats.url", &global.nats_url),
        ("temporal.address", &global.temporal_address),
        ("temporal.namespace", &global.temporal_namespace),
        ("database.url", &global.database_url),
    ];
    let overrides = flags.iter().filter_map(|(key, value)| Some(((*key).to_owned(), (*value).clone()?))).collect();
    let dir = std::env::current_dir().context("find the current folder")?;
    let sources = Sources {
        dir,
        state: global.state.clone(),
        file: global.config.clone(),
        env: std::env::vars().collect(),
        overrides,
    };
    config::load(sources).map_err(|error| invalid(format!("{:#}", anyhow!(error))))
}

/// Connects to PostgreSQL.
pub(crate) async fn store(config: &Config) -> anyhow::Result<Store> {
    let url = config.database.url.expose();
    Store::connect(url)
        .await
        .with_context(|| format!("connect to PostgreSQL at {}; is it running?", spine_runtime::secret::redact_url(url)))
}

/// Connects to NATS.
pub(crate) async fn nats(config: &Config, name: &str) -> anyhow::Result<async_nats::Client> {
    let servers = config.nats.servers();
    spine_nats::connect(&servers, config.nats.creds.as_deref(), name).await.map_err(|error| anyhow!(error))
}

/// The same, with what the server does not permit told to `violations`.
pub(crate) async fn nats_watched(
    config: &Config,
    name: &str,
    violations: &Violations,
) -> anyhow::Result<async_nats::Client> {
    let servers = config.nats.servers();
    let creds = config.nats.creds.as_deref();
    spine_nats::connect_watched(&servers, creds, name, violations).await.map_err(|error| anyhow!(error))
}

/// Connects to Temporal once.
pub(crate) async fn temporal(config: &Config) -> anyhow::Result<Client> {
    let address = &config.temporal.address;
    let url = if address.contains("://") { address.clone() } else { format!("http://{address}") };
    let target: url::Url =
        url.parse().map_err(|error| invalid(format!("temporal.address {address:?} is no address: {error}")))?;
    let options = ConnectionOptions::new(target)
        .identity(format!("spine@{}", std::process::id()))
        .maybe_api_key(config.temporal.api_key.as_ref().map(|key| key.expose().to_owned()))
        .connect_timeout(Duration::from_secs(5))
        .build();
    let connection = Connection::connect(options)
        .await
        .with_context(|| format!("connect to Temporal at {address}; is it running?"))?;
    let options = ClientOptions::new(config.temporal.namespace.clone()).build();
    Client::new(connection, options).map_err(|error| anyhow!("{error}"))
}

/// Connects to Temporal if it answers: for what is better with it and good without.
pub(crate) async fn temporal_if_there(config: &Config) -> Option<Client> {
    temporal(config).await.map_err(|error| tracing::warn!("going on without Temporal: {error:#}")).ok()
}

/// Connects to NATS if it answers: for what is better with it and good without.
pub(crate) async fn nats_if_there(config: &Config, name: &str) -> Option<async_nats::Client> {
    nats(config, name).await.map_err(|error| tracing::warn!("going on without NATS: {error:#}")).ok()
}

/// Connects, however long it takes: a service waits for its servers instead of dying. `None` if it is told
/// to stop before.
pub(crate) async fn patiently<T, F: Future<Output = anyhow::Result<T>>>(
    shutdown: &Shutdown,
    mut connect: impl FnMut() -> F,
) -> Option<T> {
    for pause in Backoff::new(Duration::from_millis(100), Duration::from_secs(5), 2) {
        match connect().await {
            Ok(connection) => return Some(connection),
            Err(error) => tracing::warn!("failed to {error:#}; trying again in {pause:?}"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => return None,
        }
    }
    None
}

/// The named databases that `sql` contexts may read.
pub(crate) fn databases(config: &Config) -> anyhow::Result<BTreeMap<String, QueryDatabase>> {
    let open = |(name, url): (&String, &spine_runtime::secret::Secret)| {
        let database =
            QueryDatabase::connect_lazy(url.expose()).map_err(|error| invalid(format!("databases.{name}: {error}")))?;
        Ok((name.clone(), database))
    };
    config.databases.iter().map(open).collect()
}
