//! Events that come back to life.

use std::time::Instant;

use serde_json::{Value, json};
use spine_testkit::wait;

use super::{apply, ids, letters, messages, publish_raw, say, schema};
use crate::world::{PATIENCE, SOURCE, World, until_metric};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_redriven_once_what_rejected_it_is_mended_and_starts_nothing_twice() {
    let world = World::echo().await;
    apply(&world, &schema("string"), 2.0).await;
    world.ask("one");
    let letter = letters(&world, &[], 1).await[0].clone();
    assert_eq!((&letter["reason"], &letter["id"]), (&json!("schema_violation"), &json!("one")), "{letter:#}");
    assert_eq!((&letter["deliveries"], &letter["source"]), (&json!(1), &json!(SOURCE)));

    // As long as it would die again, it stays where it is.
    let refused = say(&world, &["dlq", "redrive", "one"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stdout.contains("would be rejected: schema_violation: data/n"), "{}", refused.stdout);
    assert!(refused.stderr.contains("1 of 1 letters were refused, and stay open"), "{}", refused.stderr);
    assert!(world.ok(&["dlq", "show", "1"]).contains("redrive    would be rejected: schema_violation"));

    apply(&world, &schema("integer"), 3.0).await;
    assert!(world.ok(&["dlq", "show", "1"]).contains("redrive    would come in now"));
    world.ok(&["dlq", "redrive", "one", "--by", "ada", "--because", "the schema is mended"]);
    let trace = until_decided(&world, "one", 2).await;
    assert_eq!(trace["runs"][0]["run"]["status"], "completed", "{trace:#}");
    assert_eq!(trace["decisions"][1]["redriveOf"], 1);
    let explained = world.ok(&["explain", "one"]);
    assert!(
        explained.contains("rejected, dead-lettered: schema_violation")
            && explained.contains("admitted, started")
            && explained.contains("redriven from letter 1"),
        "{explained}"
    );
    let letter = world.json(&["dlq", "show", "one"]);
    let mark = &letter["marks"][0];
    assert_eq!((&mark["action"], &mark["by"]), (&json!("redriven"), &json!("ada")), "{letter:#}");
    assert_eq!(mark["streamSequence"], trace["decisions"][1]["streamSequence"]);
    assert!(letters(&world, &[], 0).await.is_empty());
    assert_eq!(ids(&letters(&world, &["--status", "redriven"], 1).await), ["one"]);

    let again = say(&world, &["dlq", "redrive", "one"]);
    assert!(again.code == Some(1) && again.stderr.contains("was redriven by ada"), "{}", again.stderr);
    world.ok(&["dlq", "redrive", "one", "--again"]);
    let trace = until_decided(&world, "one", 3).await;
    assert_eq!(trace["decisions"][2]["outcome"]["decision"], "duplicate", "{trace:#}");
    assert_eq!(world.json(&["runs", "list"]).as_array().unwrap().len(), 1);
    until_metric(&world, "router", "spine_router_redriven_total{outcome=\"started\"}", 1.0).await;
    until_metric(&world, "router", "spine_router_redriven_total{outcome=\"duplicate\"}", 1.0).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_event_is_checked_and_its_letter_keeps_the_original() {
    let world = World::echo().await;
    apply(&world, &schema("integer"), 2.0).await;
    let event =
        json!({"specversion": "1.0", "type": "com.test.asked", "source": SOURCE, "id": "one", "data": {"n": "1"}});
    let headers = [super::STRUCTURED, ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    publish_raw(&world, "events.com.test.asked", &headers, event.to_string().into_bytes()).await;
    letters(&world, &[], 1).await;

    world.ok(&["dlq", "edit", "one", "--save", "event.json"]);
    let file = world.folder.path().join("event.json");
    let mut saved: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(saved, event);
    let unchanged = say(&world, &["dlq", "edit", "one", "--file", "event.json"]);
    assert!(unchanged.code == Some(2) && unchanged.stderr.contains("schema_violation"), "{}", unchanged.stderr);
    saved["id"] = json!("two");
    std::fs::write(&file, saved.to_string()).unwrap();
    let other = say(&world, &["dlq", "edit", "one", "--file", "event.json"]);
    assert!(other.code == Some(2) && other.stderr.contains("it would be another event"), "{}", other.stderr);
    std::fs::write(&file, "{").unwrap();
    assert_eq!(say(&world, &["dlq", "edit", "one", "--file", "event.json"]).code, Some(2));
    assert_eq!(letters(&world, &[], 1).await.len(), 1, "nothing was done yet");

    saved["id"] = json!("one");
    saved["data"]["n"] = json!(1);
    std::fs::write(&file, saved.to_string()).unwrap();
    world.ok(&["dlq", "edit", "one", "--file", "event.json", "--by", "ada", "--because", "n was a text"]);
    let trace = until_decided(&world, "one", 2).await;
    assert_eq!(trace["runs"][0]["run"]["event"]["data"], json!({"n": 1}), "{trace:#}");
    let shown = world.json(&["dlq", "show", "one"]);
    assert_eq!((&shown["marks"][0]["action"], &shown["marks"][0]["event"]), (&json!("edited"), &saved), "{shown:#}");
    assert_eq!(shown["event"], event, "the letter is as it was");
    let sequence = shown["marks"][0]["streamSequence"].as_u64().unwrap();
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let message = jetstream.get_stream("EVENTS").await.unwrap().get_raw_message(sequence).await.unwrap();
    assert_eq!(message.headers.get("traceparent").unwrap().as_str(), headers[1].1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_redriven_as_what_was_meant() {
    let world = World::echo().await;
    let broken = r#"{"specversion": "1.0", "type": "com.test.asked", "id": "one", "data": {"n": 1}}"#;
    publish_raw(&world, "events.com.test.asked", &[super::STRUCTURED], broken.as_bytes().to_vec()).await;
    letters(&world, &[], 1).await;
    let headers = [("ce-specversion", "1.0"), ("ce-type", "com.test.asked"), ("ce-id", "two")];
    publish_raw(&world, "events.com.test.asked", &headers, br#"{"n": 2}"#.to_vec()).await;
    letters(&world, &[], 2).await;
    let refused = say(&world, &["dlq", "redrive", "--all", "--output", "json"]);
    assert_eq!(refused.code, Some(1));
    let done: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert!(done[0]["detail"].as_str().unwrap().contains("invalid_event"), "{done:#}");
    for (letter, id) in [("1", "one"), ("2", "two")] {
        let mut event: Value = serde_json::from_str(&world.ok(&["dlq", "edit", letter, "--save", "-"])).unwrap();
        assert_eq!(event["id"], id, "{event:#}");
        event["source"] = json!(SOURCE);
        std::fs::write(world.folder.path().join("event.json"), event.to_string()).unwrap();
        world.ok(&["dlq", "edit", letter, "--file", "event.json"]);
        let trace = world.json(&["trace", id, "--source", SOURCE, "--wait", "60"]);
        assert_eq!(trace[0]["runs"][0]["run"]["status"], "completed", "{trace:#}");
    }
    world.end().await;
}

/// Killed in the middle, it is called again, and goes on with what is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_of_many_is_slow_enough_and_goes_on_where_it_ended() {
    const LETTERS: usize = 30;
    let mut world = World::echo().await;
    apply(&world, &schema("string"), 2.0).await;
    for n in 0..LETTERS {
        world.ask(&format!("event-{n}"));
    }
    let open = letters(&world, &["--limit", "100"], LETTERS).await;
    apply(&world, &schema("integer"), 3.0).await;
    world.kill("router");
    let before = messages(&world, "EVENTS").await;

    // As if an earlier attempt had been killed between the event and its mark.
    let last = &open[0];
    let id = format!("{}~r{}", last["messageId"].as_str().unwrap(), last["letter"]);
    let event = world.json(&["dlq", "show", &last["letter"].to_string()])["event"].to_string();
    let headers = [super::STRUCTURED, ("Nats-Msg-Id", id.as_str())];
    publish_raw(&world, "events.com.test.asked", &headers, event.into_bytes()).await;

    let started = Instant::now();
    let mut redrive = world.spine(&["dlq", "redrive", "--reason", "schema_violation", "--rate", "5"]).spawn().unwrap();
    wait::until("some are redriven", PATIENCE, async || (messages(&world, "DEAD_MARKS").await >= 4).then_some(()))
        .await;
    redrive.kill().unwrap();
    redrive.wait().unwrap();
    let (marked, seconds) = (messages(&world, "DEAD_MARKS").await, started.elapsed().as_secs_f64());
    assert!((marked as f64) <= 1.0 + 5.0 * seconds, "{marked} in {seconds} s at 5 a second");
    assert!(marked < LETTERS as u64, "it was killed in the middle");

    let done = world.json(&["dlq", "redrive", "--reason", "schema_violation", "--rate", "1000"]);
    assert_eq!(done.as_array().unwrap().len() as u64, LETTERS as u64 - marked);
    assert!(letters(&world, &[], 0).await.is_empty());
    assert_eq!(messages(&world, "EVENTS").await - before, LETTERS as u64, "each was published once");
    assert_eq!(messages(&world, "DEAD_MARKS").await, LETTERS as u64);

    world.start("router", &[]).await;
    let counted = "spine_router_redriven_total{outcome=\"started\"}";
    // The one that was published by hand does not say which letter it comes from.
    until_metric(&world, "router", counted, LETTERS as f64 - 1.0).await;
    wait::until("all have run", PATIENCE, async || {
        let runs = world.json(&["runs", "list", "--status", "completed", "--limit", "100"]);
        (runs.as_array()?.len() == LETTERS).then_some(())
    })
    .await;
    world.end().await;
}

/// The trace of an event once so many of its messages are decided and its runs have ended.
async fn until_decided(world: &World, id: &str, decisions: usize) -> Value {
    wait::until("the message is decided", PATIENCE, async || {
        let found = world.json(&["trace", id])[0]["decisions"].as_array()?.len();
        (found >= decisions).then_some(())
    })
    .await;
    world.settled(id)
}
