//! A worker of the next release, as a process: this test binary once more.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;
use spine_runtime::health::{self, Health};
use spine_runtime::metrics::Metrics;
use spine_runtime::shutdown::{self, Shutdown};
use spine_runtime::tasks::Tasks;
use spine_store::{QueryDatabase, Store};
use spine_testkit::temporal;
use spine_worker_next::{Message, Messages, Reply, Resources, Secrets, Stored, Undelivered};
use tokio::net::TcpListener;

use crate::world::World;

/// The activity that it does not do: it has no NATS.
pub(super) const NOT_DONE: &str = "message";
/// As of `spine worker`.
const DEADLINE: Duration = Duration::from_secs(15);

/// What starts it.
pub(super) fn command(world: &World) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "chaos::next::a_worker_of_the_next_release"]);
    command.env("DATABASE_URL", world.stack.database_url()).env("TEMPORAL_ADDRESS", world.stack.temporal_address());
    command
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "no test, but a process that tests start"]
async fn a_worker_of_the_next_release() {
    let Ok(address) = std::env::var("SPINE_METRICS__LISTEN") else { return };
    let listener = TcpListener::bind(address).await.unwrap();
    let shutdown = Shutdown::new();
    let _signals = shutdown::on_signals(shutdown.clone(), DEADLINE).unwrap();
    let (metrics, health) = (Metrics::new("next", &[]).unwrap(), Health::new());
    let observer = tokio::spawn(health::serve(listener, metrics.clone(), health.clone(), Shutdown::new()));
    let setting = |name: &str| std::env::var(name).unwrap();
    let client = temporal::client(&setting("TEMPORAL_ADDRESS")).await.unwrap();
    let ledger = QueryDatabase::connect_lazy(&setting("SPINE_DATABASES__ledger")).unwrap();
    let resources = Resources {
        store: Store::connect(&setting("DATABASE_URL")).await.unwrap(),
        values: BTreeMap::from([("sink".to_owned(), Value::from(setting("SPINE_VALUES__sink")))]),
        databases: BTreeMap::from([("ledger".to_owned(), ledger)]),
        secrets: Secrets::default(),
        tls: BTreeMap::new(),
        messages: Arc::new(NoMessages),
        metrics,
        health,
        max_tasks: 100,
    };
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("worker", spine_worker_next::run(client, resources, shutdown));
    tasks.join(DEADLINE).await.unwrap();
    observer.abort();
}

struct NoMessages;

impl Messages for NoMessages {
    fn publish(&self, _: Message, _: Duration) -> BoxFuture<'_, Result<Stored, Undelivered>> {
        Box::pin(async { Err(Undelivered::NoStream) })
    }

    fn request(&self, _: Message, _: Duration) -> BoxFuture<'_, Result<Reply, Undelivered>> {
        Box::pin(async { Err(Undelivered::NoResponders) })
    }
}
