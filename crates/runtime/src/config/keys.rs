//! The keys that there are.

use config::{Map, Value, ValueKind};

use super::error::{ConfigError, Nearest};

/// The section of the operator's plain values; any key.
pub(super) const VALUES: &str = "values";

/// The section of named databases; any key.
pub(super) const DATABASES: &str = "databases";

/// The section of secrets that activities may name; any key.
pub(super) const SECRETS: &str = "secrets";

/// The section of TLS options that activities may name; any key, each with a section of its own.
pub(super) const TLS: &str = "tls";

/// The sections inside `ingress` with a section of its own for each name that the operator makes up.
pub(super) const NESTED: [&str; 2] = [super::ingress::CLIENTS, super::ingress::HOOKS];

/// The sections whose keys the operator makes up.
pub(super) const FREE: [&str; 4] = [VALUES, DATABASES, SECRETS, TLS];

/// A key, its default and the ecosystem's own name for it.
pub(super) struct Key {
    /// `section.name`.
    pub(super) name: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) variable: Option<&'static str>,
}

const fn key(name: &'static str, default: Option<&'static str>, variable: Option<&'static str>) -> Key {
    Key { name, default, variable }
}

pub(super) const NATS_URL: &str = "nats.url";
pub(super) const NATS_CREDS: &str = "nats.creds";
pub(super) const TEMPORAL_ADDRESS: &str = "temporal.address";
pub(super) const TEMPORAL_NAMESPACE: &str = "temporal.namespace";
pub(super) const TEMPORAL_API_KEY: &str = "temporal.api_key";
pub(super) const DATABASE_URL: &str = "database.url";
pub(super) const INGRESS_LISTEN: &str = "ingress.listen";
pub(super) const INGRESS_MAX_BODY_BYTES: &str = "ingress.max_body_bytes";
pub(super) const INGRESS_MAX_BATCH_EVENTS: &str = "ingress.max_batch_events";
pub(super) const INGRESS_MAX_REQUESTS: &str = "ingress.max_requests";
pub(super) const INGRESS_MAX_CONNECTIONS: &str = "ingress.max_connections";
pub(super) const INGRESS_REQUESTS_PER_SECOND: &str = "ingress.requests_per_second";
pub(super) const INGRESS_BODY_TIMEOUT_SECONDS: &str = "ingress.body_timeout_seconds";
pub(super) const INGRESS_TLS_CERT_FILE: &str = "ingress.tls_cert_file";
pub(super) const INGRESS_TLS_KEY_FILE: &str = "ingress.tls_key_file";
pub(super) const INGRESS_TLS_CLIENT_CA_FILE: &str = "ingress.tls_client_ca_file";
pub(super) const METRICS_LISTEN: &str = "metrics.listen";
pub(super) const ROUTER_MAX_IN_FLIGHT: &str = "router.max_in_flight";
pub(super) const WORKER_MAX_TASKS: &str = "worker.max_tasks";
pub(super) const WORKER_SECRETS_DIR: &str = "worker.secrets_dir";

/// Every key outside the sections of [`FREE`] and [`NESTED`].
pub(super) const KEYS: [Key; 20] = [
    key(NATS_URL, Some("nats://127.0.0.1:4222"), Some("NATS_URL")),
    key(NATS_CREDS, None, Some("NATS_CREDS")),
    key(TEMPORAL_ADDRESS, Some("127.0.0.1:7233"), Some("TEMPORAL_ADDRESS")),
    key(TEMPORAL_NAMESPACE, Some("default"), Some("TEMPORAL_NAMESPACE")),
    key(TEMPORAL_API_KEY, None, Some("TEMPORAL_API_KEY")),
    key(DATABASE_URL, Some("postgres://spine@127.0.0.1:5432/spine"), Some("DATABASE_URL")),
    key(INGRESS_LISTEN, Some("127.0.0.1:8080"), None),
    // 1 MiB is the NATS server's own default for `max_payload`: more would only fail later.
    key(INGRESS_MAX_BODY_BYTES, Some("1048576"), None),
    key(INGRESS_MAX_BATCH_EVENTS, Some("1000"), None),
    // JetStream gains nothing from more than 1,000 outstanding publishes; at 1 MB each this is also the most memory
    // that they take together, 1 GB.
    key(INGRESS_MAX_REQUESTS, Some("1000"), None),
    // Four that are idle for each that is at work; their buffers may take 64 KiB each.
    key(INGRESS_MAX_CONNECTIONS, Some("4096"), None),
    key(INGRESS_REQUESTS_PER_SECOND, Some("1000"), None),
    key(INGRESS_BODY_TIMEOUT_SECONDS, Some("10"), None),
    key(INGRESS_TLS_CERT_FILE, None, None),
    key(INGRESS_TLS_KEY_FILE, None, None),
    key(INGRESS_TLS_CLIENT_CA_FILE, None, None),
    key(METRICS_LISTEN, Some("127.0.0.1:9464"), None),
    // The reason stands at `Router::max_in_flight`.
    key(ROUTER_MAX_IN_FLIGHT, Some("256"), None),
    key(WORKER_MAX_TASKS, Some("100"), None),
    key(WORKER_SECRETS_DIR, None, None),
];

/// Refuses the first key of `layer` that nobody knows, in alphabetical order.
pub(super) fn check(layer: &Map<String, Value>, origin: &str) -> Result<(), ConfigError> {
    sorted(layer).into_iter().try_for_each(|(section, value)| check_section(section, value, origin))
}

fn check_section(section: &str, value: &Value, origin: &str) -> Result<(), ConfigError> {
    let origin = value.origin().unwrap_or(origin);
    let free = FREE.contains(&section);
    let known = free || KEYS.iter().any(|key| section_of(key.name) == section);
    match &value.kind {
        ValueKind::Table(_) if free => Ok(()),
        ValueKind::Table(table) if table.is_empty() && !known => Err(unknown(section, origin)),
        ValueKind::Table(table) => sorted(table).into_iter().try_for_each(|(name, value)| {
            let name = format!("{section}.{name}");
            let is_key = NESTED.contains(&name.as_str()) || KEYS.iter().any(|key| key.name == name);
            if is_key { Ok(()) } else { Err(unknown(&name, value.origin().unwrap_or(origin))) }
        }),
        _ if known => Err(ConfigError::BadValue {
            key: section.to_owned(),
            origin: origin.to_owned(),
            wanted: "a section, with keys of its own",
        }),
        _ => Err(unknown(section, origin)),
    }
}

/// Whether a dotted key stands below one of [`NESTED`].
pub(super) fn is_nested(key: &str) -> bool {
    NESTED.iter().any(|section| key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')))
}

fn section_of(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

pub(super) fn sorted(table: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(name, _)| *name);
    pairs
}

/// The refusal of `key`, naming the known one that is most like it.
pub(super) fn unknown(key: &str, origin: &str) -> ConfigError {
    ConfigError::UnknownKey { key: key.to_owned(), origin: origin.to_owned(), nearest: nearest(key) }
}

fn nearest(key: &str) -> Nearest {
    let free = FREE.into_iter().filter(|_| !key.contains('.'));
    let names = KEYS.iter().map(|key| key.name).chain(NESTED).chain(free);
    let distance = |name: &str| strsim::osa_distance(&key.to_lowercase(), name);
    let best = names.map(|name| (distance(name), name)).min();
    Nearest(best.filter(|(distance, name)| *distance <= name.len() / 2).map(|(_, name)| name.to_owned()))
}
