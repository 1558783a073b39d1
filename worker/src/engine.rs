//! What all activities of this worker share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use spine_core::event::Event;
use spine_core::expression::Scope;
use spine_core::run::Failure;
use spine_runtime::health::Health;
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::Shutdown;
use spine_store::{QueryDatabase, Store};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::definitions::Definitions;
use crate::http::{Attempt, HttpClient, TlsFiles};
use crate::messages::Messages;
use crate::room::Room;
use crate::secrets::Secrets;

/// What the worker works with.
pub struct Resources {
    /// Rows, audit and outbox.
    pub store: Store,
    /// The operator's plain values: `config` in expressions.
    pub values: BTreeMap<String, Value>,
    /// The databases that `sql` contexts and tasks may name.
    pub databases: BTreeMap<String, QueryDatabase>,
    /// What `secret("name")` gives.
    pub secrets: Secrets,
    /// The TLS options that HTTP requests may name.
    pub tls: BTreeMap<String, TlsFiles>,
    /// What carries the messages of `nats` tasks.
    pub messages: Arc<dyn Messages>,
    /// Counters.
    pub metrics: Metrics,
    /// Says whether the worker is up.
    pub health: Health,
    /// The most tasks of our own that run at once.
    pub max_tasks: usize,
}

/// The same, ready for work.
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) databases: BTreeMap<String, QueryDatabase>,
    pub(crate) secrets: Secrets,
    pub(crate) metrics: Metrics,
    pub(crate) http: HttpClient,
    pub(crate) messages: Arc<dyn Messages>,
    pub(crate) definitions: Definitions,
    pub(crate) room: Room,
    /// Requested a while after the worker was told to end: what is under way then is left to another.
    pub(crate) over: Shutdown,
    values: Arc<Value>,
}

/// What a run is to expressions.
pub(crate) struct RunView<'a> {
    pub(crate) id: &'a str,
    pub(crate) activity: &'a str,
    pub(crate) revision: u32,
}

impl Engine {
    pub(crate) fn new(resources: Resources, over: Shutdown) -> Self {
        Self {
            store: resources.store,
            databases: resources.databases,
            secrets: resources.secrets,
            metrics: resources.metrics,
            http: HttpClient::new(resources.tls),
            messages: resources.messages,
            definitions: Definitions::default(),
            room: Room::new(),
            over,
            values: Arc::new(Value::Object(resources.values.into_iter().collect())),
        }
    }

    /// The database that the operator named so.
    pub(crate) fn database(&self, name: &str) -> Result<&QueryDatabase, Attempt> {
        self.databases.get(name).ok_or_else(|| {
            let message =
                format!("no database is named {name:?}; name it under [databases] in the worker's configuration");
            Attempt { failure: Failure::new("UnknownDatabase", message), retryable: false }
        })
    }

    /// The scope that context lookups see: `event`, `config`, `run`.
    pub(crate) fn scope(&self, event: &Event, run: &RunView<'_>) -> Scope {
        let run = spine_core::run::variable(run.id, run.activity, run.revision);
        Scope::new().with("event", event.to_json()).with("config", self.values.clone()).with("run", run)
    }
}

/// Now, RFC 3339, UTC.
pub(crate) fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_else(|_| OffsetDateTime::UNIX_EPOCH.to_string())
}
