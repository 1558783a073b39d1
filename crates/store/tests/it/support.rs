//! A database of its own for each test, and what tests are made of.

use std::ops::Deref;

use serde_json::{Value, json};
use spine_core::event::{Data, Event};
use spine_store::{NewRun, Opened, OutboxEvent, Store, Trigger};
use spine_testkit::ports;
use spine_testkit::postgres::Postgres;
use tempfile::TempDir;

/// A server of one's own with an empty database, which go with this value.
pub(crate) struct Database {
    server: Postgres,
    _folder: TempDir,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server's user, who is another where the tests run as root, passes through the folder.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let server = Postgres::start(folder.path(), ports::free().unwrap(), false).await.unwrap();
        Self { server, _folder: folder }
    }

    pub(crate) fn url(&self) -> &str {
        self.server.url()
    }
}

/// A migrated store, with the server that it is on.
pub(crate) struct TestStore {
    store: Store,
    _database: Database,
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) async fn store() -> TestStore {
    let database = Database::start().await;
    let store = Store::connect(database.url()).await.unwrap();
    store.migrate().await.unwrap();
    TestStore { store, _database: database }
}

pub(crate) fn event(id: &str) -> Event {
    let mut event = Event::new("com.shop.order.placed", "https://shop.example", id);
    event.data = Data::Json(json!({"order": id, "note": "a\u{0}b", "price": 1.0}));
    event
}

pub(crate) fn new_run(id: &str) -> NewRun {
    NewRun {
        id: format!("run/fulfil/{id}"),
        temporal_run_id: Some("execution-1".into()),
        activity: "fulfil".into(),
        revision: 1,
        trigger: Trigger::Event,
        event: event(id),
        replay: 0,
        key: None,
        sequence: None,
    }
}

/// An open run, by its id.
pub(crate) async fn open(store: &Store, id: &str) -> String {
    let run = new_run(id);
    assert_eq!(store.open_run(&run).await.unwrap(), Opened::New);
    run.id
}

pub(crate) fn outbox_event(key: &str, id: &str) -> OutboxEvent {
    let event = Event::new("com.shop.parcel.sent", "/spine/activities/fulfil", id);
    OutboxEvent { key: key.into(), event, run: Some("run/fulfil/1".into()) }
}

/// Everything that the tables of a run hold, to compare before and after.
pub(crate) async fn everything(store: &Store) -> Value {
    let tables = [
        "run",
        "task",
        "task_attempt",
        "human_task",
        "wake",
        "audit",
        "outbox",
        "outbox_dead",
        "outbox_mark",
        "inbox_event",
        "event_wait",
    ];
    let mut all = serde_json::Map::new();
    for table in tables {
        let sql = format!("select coalesce(array_agg(t::text order by t::text), '{{}}') from {table} t");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(store.pool()).await.unwrap();
        all.insert(table.into(), json!(rows));
    }
    Value::Object(all)
}
