//! Every metric's name; the unit is part of it.

/// Counter: decisions by `outcome`.
pub const ROUTER_DECISIONS: &str = "spine_router_decisions_total";
/// Counter: starts asked of Temporal by `outcome`.
pub const ROUTER_STARTS: &str = "spine_router_starts_total";
/// Counter: dead letters by `reason`.
pub const ROUTER_DEAD_LETTERS: &str = "spine_router_dead_letters_total";
/// Counter: decisions on messages that were redriven from a dead letter by `outcome`; [`ROUTER_DECISIONS`] has them too.
pub const ROUTER_REDRIVEN: &str = "spine_router_redriven_total";
/// Gauge: deliveries taken and not settled.
pub const ROUTER_IN_FLIGHT: &str = "spine_router_in_flight";
/// Histogram: seconds from a delivery to its settling.
pub const ROUTER_EVENT_SECONDS: &str = "spine_router_event_seconds";
/// Histogram: seconds from a delivery to the start request issued.
pub const ROUTER_START_ISSUE_SECONDS: &str = "spine_router_start_issue_seconds";
/// Gauge: version of the catalog that decides.
pub const ROUTER_CATALOG_VERSION: &str = "spine_router_catalog_version";
/// Gauge: activities in the catalog that decides.
pub const ROUTER_CATALOG_ACTIVITIES: &str = "spine_router_catalog_activities";
/// Counter: states of the catalog that could not be loaded.
pub const ROUTER_CATALOG_FAILURES: &str = "spine_router_catalog_failures_total";
/// Counter: retries by `dependency`.
pub const ROUTER_RETRIES: &str = "spine_router_retries_total";
/// Counter: requests by `outcome`.
pub const INGRESS_REQUESTS: &str = "spine_ingress_requests_total";
/// Counter: events of requests that were read, by `outcome`.
pub const INGRESS_EVENTS: &str = "spine_ingress_events_total";
/// Counter: bytes of bodies that were read whole.
pub const INGRESS_BODY_BYTES: &str = "spine_ingress_body_bytes_total";
/// Histogram: seconds from a request's head to its answer.
pub const INGRESS_REQUEST_SECONDS: &str = "spine_ingress_request_seconds";
/// Gauge: requests in hand.
pub const INGRESS_IN_FLIGHT: &str = "spine_ingress_in_flight";
/// Gauge: open connections.
pub const INGRESS_CONNECTIONS: &str = "spine_ingress_connections";
/// Counter: runs by `outcome`.
pub const WORKER_RUNS: &str = "spine_worker_runs_total";
/// Counter: tasks by `kind` and `outcome`.
pub const WORKER_TASKS: &str = "spine_worker_tasks_total";
/// Undos that failed for good.
pub const WORKER_UNDO_FAILURES: &str = "spine_worker_undo_failures_total";
/// Counter: ticks of schedules recorded by `outcome`.
pub const WORKER_TICKS: &str = "spine_worker_ticks_total";
/// Counter: outbox rows published by `outcome`.
pub const RELAY_PUBLISHED: &str = "spine_relay_published_total";
/// Counter: outbox rows set aside because they cannot be published.
pub const RELAY_PARKED: &str = "spine_relay_parked_total";
/// Gauge: outbox rows that are set aside now; each holds back its key.
pub const RELAY_PARKED_ROWS: &str = "spine_relay_parked_rows";
/// Gauge: outbox rows that wait.
pub const RELAY_PENDING_ROWS: &str = "spine_relay_pending_rows";
/// Gauge: seconds that the oldest waiting outbox row has waited.
pub const RELAY_OLDEST_PENDING_SECONDS: &str = "spine_relay_oldest_pending_seconds";
/// Gauge: version of the registry that was last projected into the catalog.
pub const RELAY_CATALOG_VERSION: &str = "spine_relay_catalog_version";
/// Counter: failed attempts to read the registry or to project it into the catalog.
pub const RELAY_CATALOG_FAILURES: &str = "spine_relay_catalog_failures_total";
/// Gauge: messages of the stream that the inbox has not read.
pub const INBOX_LAG: &str = "spine_inbox_lag";
/// Counter: deliveries of the inbox by `to`.
pub const INBOX_DELIVERED: &str = "spine_inbox_delivered_total";
/// Gauge: version of the catalog that tells the inbox of instances.
pub const INBOX_CATALOG_VERSION: &str = "spine_inbox_catalog_version";
/// Counter: states of the catalog that the inbox could not load.
pub const INBOX_CATALOG_FAILURES: &str = "spine_inbox_catalog_failures_total";
/// Gauge: whether a `component` of the process does its work: 1 if it does, as in `/readyz`.
pub const COMPONENT_UP: &str = "spine_component_up";
/// Gauge: always 1, labelled with the process's `version`.
pub const PROCESS_INFO: &str = "spine_process_info";
