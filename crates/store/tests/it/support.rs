//! A database of its own for each test, and what tests are made of.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use spine_core::event::{Data, Event};
use spine_store::{NewRun, Opened, OutboxEvent, Store, Trigger};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

/// Where a new database of its own is: empty and not migrated.
pub(crate) async fn database_url() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("DATABASE_URL").unwrap_or_else(|_| panic!("set DATABASE_URL to a server for tests"));
    let name = format!("store_it_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = PgConnection::connect(&server).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    PgConnectOptions::from_str(&server).unwrap().database(&name).to_url_lossy().to_string()
}

/// A migrated store.
pub(crate) async fn store() -> Store {
    let store = Store::connect(&database_url().await).await.unwrap();
    store.migrate().await.unwrap();
    store
}

pub(crate) fn event(id: &str) -> Event {
    let mut event = Event::new("com.shop.order.placed", "https://shop.example", id);
    event.data = Data::Json(json!({"order": id, "note": "a\u{0}b", "price": 1.0}));
    event
}

pub(crate) fn new_run(id: &str) -> NewRun {
    NewRun {
        id: format!("run/fulfil/{id}"),
        temporal_run_id: "execution-1".into(),
        activity: "fulfil".into(),
        revision: 1,
        trigger: Trigger::Event,
        event: event(id),
        replay: 0,
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
    let tables = ["run", "task", "audit", "outbox", "outbox_dead"];
    let mut all = serde_json::Map::new();
    for table in tables {
        let sql = format!("select coalesce(array_agg(t::text order by t::text), '{{}}') from {table} t");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(store.pool()).await.unwrap();
        all.insert(table.into(), json!(rows));
    }
    Value::Object(all)
}
