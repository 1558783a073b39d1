//! Puts services together: what each needs, and how they run in one process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream;
use spine_core::decision::DeadReason;
use spine_nats::Violations;
use spine_runtime::config::Config;
use spine_runtime::health::{self, Health};
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::{self, Shutdown};
use spine_runtime::tasks::Tasks;
use spine_store::Store;
use temporalio_client::Client;
use tokio::net::TcpListener;

use crate::connect;
use crate::failure::invalid;
use crate::inbox::StoreInbox;
use crate::messages::NatsMessages;

/// How long a process may take to end after the first signal.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long its tasks may take: less, so that one that hangs is named before the process is ended.
const TASKS_DEADLINE: Duration = Duration::from_secs(15);

/// What can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Ingress,
    Router,
    Worker,
    Relay,
}

/// What services share in one process. The Temporal connection is one, so that a run's first workflow
/// task comes back with its start.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) jetstream: Option<jetstream::Context>,
    /// What that connection is not permitted.
    pub(crate) violations: Violations,
    pub(crate) store: Option<Store>,
    pub(crate) temporal: Option<Client>,
}

/// Where requests come in, and under which settings.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) settings: spine_ingress::Settings,
}

/// Counters for this process.
pub(crate) fn metrics() -> anyhow::Result<Metrics> {
    let reasons = DeadReason::ALL.map(DeadReason::as_str);
    Metrics::new(env!("CARGO_PKG_VERSION"), &reasons).context("make the metrics")
}

/// Runs one service until a signal ends it. Sockets are bound first: a port that is taken ends the process at once.
pub(crate) async fn run(config: &Config, service: Service) -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    let _signals = shutdown::on_signals(shutdown.clone(), DEADLINE).context("watch for signals")?;
    let settings = match service {
        Service::Ingress => Some(ingress_settings(config)?),
        _ => None,
    };
    let observed = bind("metrics.listen", config.metrics.listen).await?;
    let door = match settings {
        Some(settings) => Some(Door { listener: bind("ingress.listen", config.ingress.listen).await?, settings }),
        None => None,
    };
    let (metrics, health) = (metrics()?, Health::new());
    let observing = Shutdown::new();
    let observer = tokio::spawn(health::serve(observed, metrics.clone(), health.clone(), observing.clone()));
    let result = match connect_for(config, service, metrics, health, &shutdown).await? {
        Some(parts) => {
            let mut tasks = Tasks::new(shutdown.clone());
            spawn(&mut tasks, service, &parts, door, &shutdown)?;
            tasks.join(TASKS_DEADLINE).await.map_err(anyhow::Error::new)
        }
        None => Ok(()),
    };
    observing.request();
    observer.await.context("end the metrics server")?.context("serve metrics")?;
    result
}

/// What the configuration means for the ingress.
pub(crate) fn ingress_settings(config: &Config) -> anyhow::Result<spine_ingress::Settings> {
    spine_ingress::Settings::new(&config.ingress, &config.secrets).map_err(|error| invalid(error.to_string()))
}

/// Binds a socket; `key` is the setting that names it.
pub(crate) async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("bind {address}, which {key} names"))
}

/// Connects to what `service` needs, waiting for what is away. `None` if the process is told to stop before.
/// The worker connects to NATS by itself, when a task sends a message: it runs all others without.
async fn connect_for(
    config: &Config,
    service: Service,
    metrics: Metrics,
    health: Health,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Parts>> {
    let starting = health.register("connections");
    starting.down("waiting for servers");
    let violations = Violations::default();
    let config = config.clone();
    let mut parts = Parts { config, metrics, health, jetstream: None, violations, store: None, temporal: None };
    let config = &parts.config;
    if service != Service::Worker {
        let name = format!("spine {service:?}").to_lowercase();
        let connect = || connect::nats_watched(config, &name, &parts.violations);
        let Some(client) = connect::patiently(shutdown, connect).await else { return Ok(None) };
        parts.jetstream = Some(jetstream::new(client));
    }
    if matches!(service, Service::Worker | Service::Relay) {
        let Some(store) = connect::patiently(shutdown, || connect::store(config)).await else { return Ok(None) };
        parts.store = Some(store);
    }
    if matches!(service, Service::Router | Service::Worker) {
        let Some(client) = connect::patiently(shutdown, || connect::temporal(config)).await else { return Ok(None) };
        parts.temporal = Some(client);
    }
    starting.up();
    Ok(Some(parts))
}

/// Starts one service as a task. `door` is the ingress's.
pub(crate) fn spawn(
    tasks: &mut Tasks,
    service: Service,
    parts: &Parts,
    door: Option<Door>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let missing = || format!("start {service:?} without its connections");
    let jetstream = || parts.jetstream.clone().with_context(missing);
    let (metrics, health, shutdown) = (parts.metrics.clone(), parts.health.clone(), shutdown.clone());
    match service {
        Service::Ingress => {
            let Door { listener, settings } = door.with_context(missing)?;
            let (jetstream, violations) = (jetstream()?, parts.violations.clone());
            let resources = spine_ingress::Resources { listener, jetstream, violations, settings, metrics, health };
            tasks.spawn("ingress", spine_ingress::run(resources, shutdown));
        }
        Service::Router => {
            let temporal = parts.temporal.clone().with_context(missing)?;
            let resources = spine_router::Resources {
                jetstream: jetstream()?,
                temporal,
                metrics,
                health,
                values: parts.config.values.clone(),
                max_in_flight: parts.config.router.max_in_flight,
            };
            tasks.spawn("router", spine_router::run(resources, shutdown));
        }
        Service::Worker => {
            let (store, temporal) =
                (parts.store.clone().with_context(missing)?, parts.temporal.clone().with_context(missing)?);
            let databases = connect::databases(&parts.config)?;
            let (values, max_tasks) = (parts.config.values.clone(), parts.config.worker.max_tasks);
            let secrets = spine_worker::Secrets {
                named: parts.config.secrets.clone(),
                folder: parts.config.worker.secrets_dir.clone(),
            };
            let tls = parts.config.tls.iter().map(|(name, files)| (name.clone(), tls(files.clone()))).collect();
            let messages = Arc::new(NatsMessages::new(parts.config.clone()));
            let resources = spine_worker::Resources {
                store,
                values,
                databases,
                secrets,
                tls,
                messages,
                metrics,
                health,
                max_tasks,
            };
            tasks.spawn("worker", spine_worker::run(temporal, resources, shutdown));
        }
        // It carries both ways: the outbox into the stream, and the stream into the inbox.
        Service::Relay => {
            let store = parts.store.clone().with_context(missing)?;
            let reader = spine_router::inbox::Resources {
                jetstream: jetstream()?,
                inbox: Arc::new(StoreInbox(store.clone())),
                values: parts.config.values.clone(),
                metrics: metrics.clone(),
                health: health.clone(),
            };
            let resources = spine_egress::Resources { store, jetstream: jetstream()?, metrics, health };
            tasks.spawn("relay", spine_egress::run(resources, shutdown.clone()));
            tasks.spawn("inbox", async move {
                spine_router::inbox::run(reader, shutdown).await;
                Ok::<_, std::convert::Infallible>(())
            });
        }
    }
    Ok(())
}

fn tls(files: spine_runtime::config::Tls) -> spine_worker::TlsFiles {
    spine_worker::TlsFiles { ca: files.ca_file, certificate: files.cert_file, key: files.key_file }
}
