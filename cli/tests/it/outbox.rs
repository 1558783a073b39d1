//! Rows of the outbox that can't be published, and what operators do with them.

use serde_json::json;
use spine_testkit::wait;

use crate::world::{PATIENCE, World, until_metric};

/// Writes an outbox row as a step would; `event` is put in as it is.
async fn write(world: &World, id: &str, key: &str, event: &str) {
    let sql = "insert into outbox (event_source, event_id, key, event) values";
    world.sql(&format!("{sql} ('/test', '{id}', '{key}', '{event}')")).await;
}

fn event(id: &str) -> String {
    json!({"specversion": "1.0", "type": "com.test.told", "source": "/test", "id": id}).to_string()
}

async fn published(world: &World, count: usize) {
    wait::until("rows are published", PATIENCE, async || {
        let found = world.sql("select count(*) from outbox where published_at is not null").await;
        (found == count.to_string()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_rows_are_listed_mended_and_dropped_and_their_keys_go_on() {
    let mut world = World::boot().await;
    world.start("relay", &[]).await;
    write(&world, "bad", "k1", r#"{"no": "event"}"#).await;
    write(&world, "behind", "k1", &event("behind")).await;
    write(&world, "hopeless", "k2", r#"{"no": "event"}"#).await;
    write(&world, "waits", "k2", &event("waits")).await;
    until_metric(&world, "relay", "spine_relay_parked_rows", 2.0).await;

    let rows = world.json(&["outbox", "list"]);
    let seen = |at: usize| (rows[at]["event_id"].clone(), rows[at]["holds_back"].clone());
    assert_eq!((seen(0), seen(1)), ((json!("bad"), json!(1)), (json!("hopeless"), json!(1))), "{rows:#}");
    let (bad, hopeless) = (rows[0]["id"].to_string(), rows[1]["id"].to_string());
    assert!(world.ok(&["outbox", "list"]).contains("parked"));

    // As it is, it is parked again.
    world.ok(&["outbox", "retry", &bad]);
    wait::until("it is parked again", PATIENCE, async || {
        (world.json(&["outbox", "list"]).as_array()?.len() == 2).then_some(())
    })
    .await;
    let other = world.folder.path().join("other.json");
    std::fs::write(&other, event("other")).unwrap();
    let output = world.spine(&["outbox", "retry", &bad, "--file", "other.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "another event is refused");
    std::fs::write(world.folder.path().join("mended.json"), event("bad")).unwrap();
    world.ok(&["outbox", "retry", &bad, "--file", "mended.json", "--by", "ada", "--because", "a bug of ours"]);
    published(&world, 2).await;

    world.ok(&["outbox", "drop", &hopeless, "--by", "ben", "--because", "nobody wants it"]);
    published(&world, 3).await;
    assert_eq!(world.json(&["outbox", "list"]), json!([]));
    assert_eq!(world.json(&["outbox", "list", "--all"])[0]["dropped_by"], "ben");
    let order = world.sql("select event_id from outbox order by stream_sequence").await;
    assert_eq!(order.lines().collect::<Vec<_>>(), ["bad", "behind", "waits"]);
    let marks = world.sql("select action, by, because, replaced is not null from outbox_mark order by id").await;
    assert_eq!(marks.lines().count(), 3, "{marks}");
    assert!(marks.contains("ada") && marks.contains("nobody wants it"), "{marks}");

    let output = world.spine(&["outbox", "drop", &hopeless, "--because", "again"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    world.end().await;
}
