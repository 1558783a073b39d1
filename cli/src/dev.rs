//! `spine dev`: servers as children, all services in one process.

mod follow;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream;
use spine_runtime::config::{self, Config, Sources, StackFile};
use spine_runtime::health::{self, Health};
use spine_runtime::secret::Secret;
use spine_runtime::shutdown::{self, Shutdown};
use spine_runtime::tasks::Tasks;
use spine_testkit::shop::Shop;
use spine_testkit::stack::{Server, Stack, StackEvent, StackOptions, State};
use tokio::net::TcpListener;

use crate::args::{Dev, Global};
use crate::commands::{apply, provision};
use crate::services::{self, Parts, Service};
use crate::{connect, example};

/// How long services may take to become ready after their servers are.
const READY: Duration = Duration::from_secs(30);
/// How long all of it may take to end after the first signal.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long the services may take of that.
const TASKS_DEADLINE: Duration = Duration::from_secs(10);

/// Everything, running.
pub(crate) struct Running {
    pub(crate) stack: Stack,
    pub(crate) config: Config,
    pub(crate) parts: Parts,
    pub(crate) shop: Option<Shop>,
    pub(crate) ingress_url: String,
    pub(crate) metrics_url: String,
    tasks: Tasks,
    shutdown: Shutdown,
    stack_file: Option<PathBuf>,
}

/// Starts everything, says where it is, prints what happens, until a signal.
pub(crate) async fn run(global: &Global, options: &Dev) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    let _signals = shutdown::on_signals(shutdown.clone(), DEADLINE).context("watch for signals")?;
    let Some(running) = until(&shutdown, start(global, options, shutdown.clone())).await? else { return Ok(()) };
    print!("{}", places(&running));
    let follower = tokio::spawn(follow::follow(running.jetstream()?, shutdown.clone()));
    shutdown.requested().await;
    eprintln!("stopping; once more Ctrl-C ends at once");
    let stopped = running.stop().await;
    follower.await.context("follow the events")?;
    stopped
}

/// What `work` gives, or `None` if the process is told to stop first.
async fn until<T>(shutdown: &Shutdown, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
    tokio::select! {
        result = work => result.map(Some),
        () = shutdown.requested() => Ok(None),
    }
}

/// Boots the servers, provisions them, starts the services, and waits until they are ready.
pub(crate) async fn start(global: &Global, options: &Dev, shutdown: Shutdown) -> anyhow::Result<Running> {
    let mut stack = Stack::boot(stack_options(global, options)).await.context("boot the servers")?;
    stack.supervise(announce);
    let ingress = listen("ingress.listen", options.ingress_port, 8080, options.ephemeral).await?;
    let observed = listen("metrics.listen", options.metrics_port, 9464, options.ephemeral).await?;
    let config = configure(global, &stack)?;
    let scheme = if config.ingress.tls.is_some() { "https" } else { "http" };
    let (ingress_url, metrics_url) = (url(scheme, &ingress, "/events")?, url("http", &observed, "/metrics")?);

    provision::provision(&config).await.context("provision")?;
    let temporal = connect::temporal(&config).await?;
    let (shop, config) = if options.example { open_shop(config, &temporal).await? } else { (None, config) };

    let violations = spine_nats::Violations::default();
    let parts = Parts {
        jetstream: Some(jetstream::new(connect::nats_watched(&config, "spine dev", &violations).await?)),
        violations,
        store: Some(connect::store(&config).await?),
        temporal: Some(temporal),
        metrics: services::metrics()?,
        health: Health::new(),
        config: config.clone(),
    };
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("metrics", health::serve(observed, parts.metrics.clone(), parts.health.clone(), shutdown.clone()));
    let mut door = Some(services::Door { listener: ingress, settings: services::ingress_settings(&config)? });
    for service in [Service::Relay, Service::Worker, Service::Router, Service::Ingress] {
        let door = if service == Service::Ingress { door.take() } else { None };
        services::spawn(&mut tasks, service, &parts, door, &shutdown)?;
    }
    let mut running =
        Running { stack, config, parts, shop, ingress_url, metrics_url, tasks, shutdown, stack_file: None };
    if !options.ephemeral {
        running.write_stack_file(&global.state)?;
    }
    if options.example {
        apply::apply(&running.config, &example::documents()?, spine_store::ApplyOptions::default())
            .await
            .context("apply the example")?;
    }
    running.ready().await?;
    Ok(running)
}

impl Running {
    /// JetStream, as the services use it.
    pub(crate) fn jetstream(&self) -> anyhow::Result<jetstream::Context> {
        self.parts.jetstream.clone().context("connect to NATS first")
    }

    /// Stops the services, then the servers.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.request();
        let services = self.tasks.join(TASKS_DEADLINE).await.context("stop the services");
        let shop = match self.shop {
            Some(shop) => shop.stop().await.map_err(anyhow::Error::msg).context("stop the shop's stand-ins"),
            None => Ok(()),
        };
        drop(self.parts);
        let servers = self.stack.shutdown().await.context("stop the servers");
        if let Some(state) = &self.stack_file {
            StackFile::remove(state).with_context(|| format!("remove {}", StackFile::path(state).display()))?;
        }
        services.and(shop).and(servers)
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + READY;
        loop {
            let readiness = self.parts.health.readiness();
            if readiness.ready {
                return Ok(());
            }
            if self.shutdown.is_requested() {
                anyhow::bail!("a service ended before all were ready");
            }
            if tokio::time::Instant::now() >= deadline {
                anyhow::bail!(
                    "after {READY:?} not everything is ready: {}",
                    serde_json::to_string(&readiness.components)?
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tells other commands in this folder where the servers are.
    fn write_stack_file(&mut self, state: &Path) -> anyhow::Result<()> {
        let file = StackFile {
            pid: std::process::id(),
            nats_url: self.stack.nats_url().to_owned(),
            temporal_address: self.stack.temporal_address().to_owned(),
            temporal_ui: self.stack.temporal_ui_url().unwrap_or_default().to_owned(),
            database_url: self.stack.database_url().to_owned(),
            ingress_url: self.ingress_url.clone(),
            metrics_url: self.metrics_url.clone(),
            values: self.config.values.clone(),
            databases: self
                .config
                .databases
                .iter()
                .map(|(name, url)| (name.clone(), url.expose().to_owned()))
                .collect(),
        };
        file.write(state).with_context(|| format!("write {}", StackFile::path(state).display()))?;
        self.stack_file = Some(state.to_owned());
        Ok(())
    }
}

fn stack_options(global: &Global, options: &Dev) -> StackOptions {
    let server = |external: &Option<String>, port: Option<u16>| match external {
        Some(url) => Server::External(url.clone()),
        None => Server::Managed { port },
    };
    StackOptions {
        state: if options.ephemeral { State::Ephemeral } else { State::Kept(global.state.clone()) },
        nats: server(&global.nats_url, options.nats_port),
        temporal: server(&global.temporal_address, options.temporal_port),
        postgres: server(&global.database_url, options.postgres_port),
        ui: !options.ephemeral,
    }
}

/// The configuration of this folder, with the servers that were booted. Another running stack is not looked at.
fn configure(global: &Global, stack: &Stack) -> anyhow::Result<Config> {
    let mut overrides = vec![
        ("nats.url".to_owned(), stack.nats_url().to_owned()),
        ("temporal.address".to_owned(), stack.temporal_address().to_owned()),
        ("database.url".to_owned(), stack.database_url().to_owned()),
    ];
    overrides
        .extend(global.temporal_namespace.iter().map(|namespace| ("temporal.namespace".to_owned(), namespace.clone())));
    let dir = std::env::current_dir().context("find the current folder")?;
    let sources = Sources {
        dir,
        state: PathBuf::from("/nonexistent"),
        file: global.config.clone(),
        env: std::env::vars().collect(),
        overrides,
    };
    config::load(sources).map_err(|error| crate::failure::invalid(format!("{:#}", anyhow::anyhow!(error))))
}

/// Makes the shop's database and starts the stand-ins for its services; the configuration then names them.
async fn open_shop(mut config: Config, temporal: &temporalio_client::Client) -> anyhow::Result<(Option<Shop>, Config)> {
    let url =
        spine_testkit::postgres::create_database(config.database.url.expose(), "shop", spine_testkit::shop::SCHEMA)
            .await;
    config.databases.insert("shop".into(), Secret::new(url.context("make the shop's database")?));
    let shop = Shop::start(temporal.clone()).await.context("start the shop's stand-ins")?;
    let values: BTreeMap<_, _> = shop.values();
    config.values.extend(values);
    Ok((Some(shop), config))
}

/// Binds the port that was asked for, or the usual one if it is free, or any.
async fn listen(key: &str, asked: Option<u16>, usual: u16, ephemeral: bool) -> anyhow::Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match asked {
        Some(port) => services::bind(key, at(port)).await,
        None if ephemeral => services::bind(key, at(0)).await,
        None => match TcpListener::bind(at(usual)).await {
            Ok(listener) => Ok(listener),
            Err(_) => services::bind(key, at(0)).await,
        },
    }
}

fn url(scheme: &str, listener: &TcpListener, path: &str) -> anyhow::Result<String> {
    Ok(format!("{scheme}://{}{path}", listener.local_addr()?))
}

fn announce(event: StackEvent) {
    eprintln!("{event}");
}

/// Where everything is.
fn places(running: &Running) -> String {
    let ui = running.stack.temporal_ui_url().unwrap_or("none");
    let rows = [
        ("NATS", running.stack.nats_url()),
        ("Temporal", running.stack.temporal_address()),
        ("Temporal UI", ui),
        ("PostgreSQL", running.stack.database_url()),
        ("Ingress", running.ingress_url.as_str()),
        ("Metrics", running.metrics_url.as_str()),
    ];
    let lines = rows.map(|(name, place)| format!("  {name:<12} {}\n", spine_runtime::secret::redact_url(place)));
    format!("Spine is ready.\n{}Ctrl-C stops it.\n\n", lines.concat())
}
