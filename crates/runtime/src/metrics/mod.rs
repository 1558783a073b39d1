//! What our processes count and measure, in the Prometheus text format.
//!
//! Every process has every metric, so that a dashboard never meets a missing series.

pub mod labels;
pub mod names;
#[cfg(test)]
mod tests;

use prometheus::core::Collector;
use prometheus::{HistogramOpts, IntGaugeVec, Opts, Registry, TextEncoder};

pub use labels::{
    Arrival, Counters, Decision, Delivery, Dependency, Labels, Publication, Reasons, Request, Run, Start, TaskKind,
    TaskOutcome, Tick,
};
pub use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

/// The content type of what [`Metrics::render`] returns.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// From 10 µs, less than any start takes, to 1 s, where the router is no longer what is slow.
const START_ISSUE_BUCKETS: [f64; 16] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// From 1 ms to a minute: starts wait for Temporal, and through its short outages.
const EVENT_BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The metrics could not be set up: a name, label or value that Prometheus does not take.
#[derive(Debug, thiserror::Error)]
#[error("set up the metrics")]
pub struct MetricsError(#[from] prometheus::Error);

/// All metrics of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The router's.
    pub router: RouterMetrics,
    /// The ingress's.
    pub ingress: IngressMetrics,
    /// The worker's.
    pub worker: WorkerMetrics,
    /// The relay's.
    pub relay: RelayMetrics,
    /// The inbox's.
    pub inbox: InboxMetrics,
    components: IntGaugeVec,
    registry: Registry,
}

/// What the router counts and measures.
#[derive(Clone, Debug)]
pub struct RouterMetrics {
    /// Decisions.
    pub decisions: Counters<Decision>,
    /// Starts asked of Temporal.
    pub starts: Counters<Start>,
    /// Dead letters by reason.
    pub dead_letters: Reasons,
    /// Decisions on messages that were redriven from a dead letter.
    pub redriven: Counters<Decision>,
    /// Deliveries taken and not settled.
    pub in_flight: IntGauge,
    /// Seconds from a delivery to its settling.
    pub event_seconds: Histogram,
    /// Seconds from a delivery to the start request issued.
    pub start_issue_seconds: Histogram,
    /// Version of the catalog that decides.
    pub catalog_version: IntGauge,
    /// Activities in the catalog that decides.
    pub catalog_activities: IntGauge,
    /// States of the catalog that could not be loaded.
    pub catalog_failures: IntCounter,
    /// Retries.
    pub retries: Counters<Dependency>,
}

/// What the ingress counts and measures.
#[derive(Clone, Debug)]
pub struct IngressMetrics {
    /// Requests.
    pub requests: Counters<Request>,
    /// Events of requests that were read.
    pub events: Counters<Arrival>,
    /// Bytes of bodies that were read whole.
    pub body_bytes: IntCounter,
    /// Seconds from a request's head to its answer.
    pub request_seconds: Histogram,
    /// Requests in hand.
    pub in_flight: IntGauge,
    /// Open connections.
    pub connections: IntGauge,
}

/// What the worker counts.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    /// Runs.
    pub runs: Counters<Run>,
    /// Tries of tasks.
    pub tasks: Counters<(TaskKind, TaskOutcome)>,
    /// Undos that failed for good: what a task did stays done.
    pub undo_failures: IntCounter,
    /// Ticks of schedules, those that never arrived among them.
    pub ticks: Counters<Tick>,
}

/// What the relay counts and measures.
#[derive(Clone, Debug)]
pub struct RelayMetrics {
    /// Outbox rows published.
    pub published: Counters<Publication>,
    /// Outbox rows set aside because they cannot be published.
    pub parked: IntCounter,
    /// Outbox rows that are set aside now.
    pub parked_rows: IntGauge,
    /// Outbox rows that wait.
    pub pending_rows: IntGauge,
    /// Seconds that the oldest waiting outbox row has waited.
    pub oldest_pending_seconds: Gauge,
    /// Version of the registry that was last projected.
    pub catalog_version: IntGauge,
    /// Failed attempts to read the registry or to project it.
    pub catalog_failures: IntCounter,
}

/// What the reader of the inbox counts and measures.
#[derive(Clone, Debug)]
pub struct InboxMetrics {
    /// Messages of the stream that it has not read, as far as the process that reads knows.
    pub lag: IntGauge,
    /// What events became of.
    pub delivered: Counters<Delivery>,
    /// Version of the catalog that tells instances.
    pub catalog_version: IntGauge,
    /// States of the catalog that could not be loaded.
    pub catalog_failures: IntCounter,
}

impl Metrics {
    /// All metrics at 0, in a registry of their own; `dead_letter_reasons` are all there can be.
    pub fn new(version: &str, dead_letter_reasons: &[&str]) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        info(&registry, version)?;
        Ok(Self {
            router: RouterMetrics::register(&registry, dead_letter_reasons)?,
            ingress: IngressMetrics::register(&registry)?,
            worker: WorkerMetrics {
                runs: Counters::register(&registry, names::WORKER_RUNS, "Runs by outcome.")?,
                tasks: Counters::register(&registry, names::WORKER_TASKS, "Tries of tasks by kind and outcome.")?,
                undo_failures: add(
                    &registry,
                    IntCounter::new(names::WORKER_UNDO_FAILURES, "Undos that failed for good.")?,
                )?,
                ticks: Counters::register(&registry, names::WORKER_TICKS, "Ticks of schedules by outcome.")?,
            },
            relay: RelayMetrics::register(&registry)?,
            inbox: InboxMetrics::register(&registry)?,
            components: add(
                &registry,
                IntGaugeVec::new(
                    Opts::new(names::COMPONENT_UP, "Whether a component of the process does its work."),
                    &["component"],
                )?,
            )?,
            registry,
        })
    }

    /// Says whether a component does its work.
    pub fn component_up(&self, component: &str, up: bool) {
        self.components.with_label_values(&[component]).set(i64::from(up));
    }

    /// All metrics in the Prometheus text exposition format; [`CONTENT_TYPE`] names it.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let families = self.registry.gather();
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            tracing::error!(%error, "failed to render the metrics");
        }
        text
    }
}

impl RouterMetrics {
    fn register(registry: &Registry, dead_letter_reasons: &[&str]) -> prometheus::Result<Self> {
        let gauge = |name, help| add(registry, IntGauge::new(name, help)?);
        let seconds = |name: &str, help: &str, buckets: &[f64]| {
            add(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
        };
        Ok(Self {
            decisions: Counters::register(registry, names::ROUTER_DECISIONS, "Decisions by outcome.")?,
            starts: Counters::register(registry, names::ROUTER_STARTS, "Starts asked of Temporal by outcome.")?,
            dead_letters: Reasons::register(
                registry,
                names::ROUTER_DEAD_LETTERS,
                "Dead letters by reason.",
                dead_letter_reasons,
            )?,
            redriven: Counters::register(registry, names::ROUTER_REDRIVEN, "Decisions on redriven events by outcome.")?,
            in_flight: gauge(names::ROUTER_IN_FLIGHT, "Deliveries taken and not settled.")?,
            event_seconds: seconds(names::ROUTER_EVENT_SECONDS, "From a delivery to its settling.", &EVENT_BUCKETS)?,
            start_issue_seconds: seconds(
                names::ROUTER_START_ISSUE_SECONDS,
                "From a delivery to the start request issued.",
                &START_ISSUE_BUCKETS,
            )?,
            catalog_version: gauge(names::ROUTER_CATALOG_VERSION, "Version of the catalog that decides.")?,
            catalog_activities: gauge(names::ROUTER_CATALOG_ACTIVITIES, "Activities in the catalog that decides.")?,
            catalog_failures: add(
                registry,
                IntCounter::new(names::ROUTER_CATALOG_FAILURES, "States of the catalog that could not be loaded.")?,
            )?,
            retries: Counters::register(registry, names::ROUTER_RETRIES, "Retries by dependency.")?,
        })
    }
}

impl IngressMetrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = HistogramOpts::new(names::INGRESS_REQUEST_SECONDS, "From a request's head to its answer.");
        Ok(Self {
            requests: Counters::register(registry, names::INGRESS_REQUESTS, "Requests by outcome.")?,
            events: Counters::register(registry, names::INGRESS_EVENTS, "Events of requests by outcome.")?,
            body_bytes: add(registry, IntCounter::new(names::INGRESS_BODY_BYTES, "Bytes of bodies read whole.")?)?,
            request_seconds: add(registry, Histogram::with_opts(seconds.buckets(EVENT_BUCKETS.to_vec()))?)?,
            in_flight: add(registry, IntGauge::new(names::INGRESS_IN_FLIGHT, "Requests in hand.")?)?,
            connections: add(registry, IntGauge::new(names::INGRESS_CONNECTIONS, "Open connections.")?)?,
        })
    }
}

impl RelayMetrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            published: Counters::register(registry, names::RELAY_PUBLISHED, "Outbox rows published by outcome.")?,
            parked: add(registry, IntCounter::new(names::RELAY_PARKED, "Outbox rows set aside.")?)?,
            parked_rows: add(
                registry,
                IntGauge::new(names::RELAY_PARKED_ROWS, "Outbox rows that are set aside now.")?,
            )?,
            pending_rows: add(registry, IntGauge::new(names::RELAY_PENDING_ROWS, "Outbox rows that wait.")?)?,
            oldest_pending_seconds: add(
                registry,
                Gauge::new(names::RELAY_OLDEST_PENDING_SECONDS, "Age of the oldest outbox row that waits.")?,
            )?,
            catalog_version: add(
                registry,
                IntGauge::new(names::RELAY_CATALOG_VERSION, "Version of the registry that was last projected.")?,
            )?,
            catalog_failures: add(
                registry,
                IntCounter::new(names::RELAY_CATALOG_FAILURES, "Failed attempts to project the registry.")?,
            )?,
        })
    }
}

impl InboxMetrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| add(registry, IntGauge::new(name, help)?);
        Ok(Self {
            lag: gauge(names::INBOX_LAG, "Messages of the stream that are not read yet.")?,
            delivered: Counters::register(registry, names::INBOX_DELIVERED, "Deliveries by to whom.")?,
            catalog_version: gauge(names::INBOX_CATALOG_VERSION, "Version of the catalog that tells instances.")?,
            catalog_failures: add(
                registry,
                IntCounter::new(names::INBOX_CATALOG_FAILURES, "States of the catalog that could not be loaded.")?,
            )?,
        })
    }
}

fn add<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn info(registry: &Registry, version: &str) -> prometheus::Result<()> {
    let opts = Opts::new(names::PROCESS_INFO, "Always 1, labelled with the process's version.");
    add(registry, IntGaugeVec::new(opts, &["version"])?)?.with_label_values(&[version]).set(1);
    Ok(())
}
