//! Activities that start each other for ever, were it not for the hops.

use serde_json::json;

use super::{letters, say};
use crate::world::{SOURCE, World};

const LOOP: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: ping}
spec:
  on:
    - event: com.test.ping
  tasks:
    - {id: hit, uses: emit, with: {type: com.test.pong}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: pong}
spec:
  on:
    - event: com.test.pong
  tasks:
    - {id: hit, uses: emit, with: {type: com.test.ping}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_of_two_activities_ends_in_a_letter_with_the_runs_that_led_to_it() {
    let mut world = World::boot().await;
    std::fs::write(world.folder.path().join("loop.yaml"), LOOP).unwrap();
    world.ok(&["apply", "--file", "loop.yaml"]);
    world.start_all().await;
    world.ok(&["publish", "--type", "com.test.ping", "--source", SOURCE, "--id", "serve"]);
    // What the last run tells of itself is one hop too far as well; this is the event that went round.
    let filter = ["--reason", "too_many_hops", "--type", "com.test.pong"];
    let letter = letters(&world, &filter, 1).await[0].clone();
    let number = letter["letter"].to_string();
    assert!(letter["detail"].as_str().unwrap().contains("; the last of them is run/ping/"), "{letter:#}");

    let shown = world.json(&["dlq", "show", &number]);
    let chain = shown["chain"]["links"].as_array().unwrap();
    assert_eq!(chain.len(), 17, "{shown:#}");
    assert_eq!((&chain[0]["eventId"], &chain[0]["activity"]), (&json!("serve"), &json!("ping")));
    for pair in chain.windows(2) {
        assert_ne!(pair[0]["activity"], pair[1]["activity"], "they take turns");
    }
    assert_eq!(shown["event"]["spinerun"], chain[16]["run"]);
    let text = world.ok(&["dlq", "show", &number]);
    assert!(text.contains("chain      com.test.ping serve  started  run/ping/"), "{text}");
    assert_eq!(world.json(&["runs", "list"]).as_array().unwrap().len(), 17);

    // It would die again, for the same reason.
    let refused = say(&world, &["dlq", "redrive", &number]);
    assert!(refused.code == Some(1) && refused.stdout.contains("too_many_hops"), "{}", refused.stdout);

    // Without the database, all but the chain is told.
    let away = world.ok(&["dlq", "show", &number, "--database-url", "postgres://spine@127.0.0.1:1/spine"]);
    assert!(away.contains("chain      was not looked for: connect to PostgreSQL"), "{away}");
    world.end().await;
}
