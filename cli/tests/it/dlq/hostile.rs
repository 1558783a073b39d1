//! Messages that mean harm: each becomes a letter that can be looked at, and nothing stops for it.

use std::time::Duration;

use serde_json::{Value, json};
use spine_testkit::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{STRUCTURED, letters, publish_raw, say};
use crate::faults::shorten_ack_wait;
use crate::world::{PATIENCE, SOURCE, World};

/// Headers and payload.
type Message<'a> = (&'a [(&'a str, &'a str)], Vec<u8>);

#[tokio::test(flavor = "multi_thread")]
async fn hostile_messages_become_letters_that_can_be_handled() {
    let world = World::echo().await;
    let subject = "events.com.test.asked";
    let event = |id: &str| json!({"specversion": "1.0", "type": "com.test.asked", "source": SOURCE, "id": id});
    let mut escapes = event("\u{1b}[31mred");
    escapes["data"] = json!("\u{9b}2J\u{0}");
    let mut large = event("large");
    large["specversion"] = json!("2.0");
    large["data"] = json!("x".repeat(990_000));
    let deep = format!(r#"{{"specversion": "1.0", "data": {}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-type", "com.test.asked"),
        ("ce-id", "%zz"),
        ("ce-id", "twice"),
        ("ce-spinedeadreason", "forged"),
        ("Spine-Redrive-Of", "not a number"),
    ];
    let hostile: Vec<Message<'_>> = vec![
        (&[STRUCTURED], b"{\"specversion\": ".to_vec()),
        (&[STRUCTURED], vec![0xff, 0xfe, 0x1b, b'[', b'2', b'J']),
        (&[STRUCTURED], deep.into_bytes()),
        (&[STRUCTURED], event(&"i".repeat(10_000)).to_string().into_bytes()),
        (&[STRUCTURED], escapes.to_string().into_bytes()),
        (&[STRUCTURED], large.to_string().into_bytes()),
        (&binary, b"data".to_vec()),
        (&[], Vec::new()),
    ];
    let count = hostile.len();
    for (headers, payload) in hostile {
        publish_raw(&world, subject, headers, payload).await;
    }
    world.ask("good");
    assert_eq!(world.settled("good")["runs"][0]["run"]["status"], "completed");

    let found = letters(&world, &[], count).await;
    assert_eq!(found.len(), count, "{found:#?}");
    assert!(found.iter().all(|letter| letter["reason"] == "invalid_event"), "{found:#?}");
    for letter in &found {
        let number = letter["letter"].to_string();
        let text = world.ok(&["dlq", "show", &number]);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        let shown = world.json(&["dlq", "show", &number]);
        assert!(shown["redrive"]["rejected"].is_string(), "{shown:#}");
        world.ok(&["dlq", "edit", &number, "--save", "saved"]);
    }
    let list = world.ok(&["dlq", "list"]);
    assert!(list.chars().all(|c| c == '\n' || !c.is_control()), "{list:?}");

    let refused = say(&world, &["dlq", "redrive", "--all"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("were refused"), "{}", refused.stderr);
    assert_eq!(letters(&world, &[], count).await.len(), count, "and no letter became another");
    let done: Value = world.json(&["dlq", "drop", "--all", "--because", "hostile"]);
    assert_eq!(done.as_array().unwrap().len(), count);
    world.end().await;
}

/// No client reads a message whose headers are no text: it breaks the connection of whoever takes it.
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_no_text_cost_one_letter_and_nothing_else() {
    let world = World::echo().await;
    shorten_ack_wait(&world).await;
    world.ask("before");
    world.settled("before");
    publish_bytes(&world, b"NATS/1.0\r\nce-id: \xff\xfe\r\n\r\n", b"data").await;
    for n in 0..20 {
        world.ask(&format!("after-{n}"));
    }
    let letter = letters(&world, &["--reason", "invalid_event"], 1).await[0].clone();
    assert!(letter["detail"].as_str().unwrap().starts_with("its headers are no text"), "{letter:#}");
    for n in 0..20 {
        assert_eq!(world.settled(&format!("after-{n}"))["runs"][0]["run"]["status"], "completed");
    }
    let text = world.ok(&["dlq", "show", "1"]);
    assert!(text.contains("rejected, dead-lettered: invalid_event: its headers") && text.contains("data"), "{text}");
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let stored = jetstream.get_stream("DEAD").await.unwrap().get_raw_message(1).await.unwrap();
    let kept = stored.headers.get("ce-spinedeadheaders").unwrap().as_str();
    use base64::Engine as _;
    let kept = base64::engine::general_purpose::STANDARD.decode(kept).unwrap();
    assert_eq!(kept, b"NATS/1.0\r\nce-id: \xff\xfe\r\n\r\n", "nothing is lost");
    assert_eq!(letters(&world, &["--status", "all"], 1).await.len(), 1, "its neighbours are none the worse");
    world.until_read(letter["streamSequence"].as_u64().unwrap() + 20).await;
    world.end().await;
}

/// What others give up is not lost either.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_of_somebody_else_gives_up_is_a_letter_as_well() {
    use futures::StreamExt as _;

    let world = World::echo().await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
    let stream = jetstream.get_stream("EVENTS").await.unwrap();
    let config = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("billing".into()),
        filter_subject: "events.com.test.asked".into(),
        ack_wait: Duration::from_millis(500),
        max_deliver: 2,
        ..Default::default()
    };
    let billing = stream.create_consumer(config).await.unwrap();
    world.ask("one");
    world.settled("one");
    for _ in 0..3 {
        let mut batch = billing.batch().max_messages(1).expires(Duration::from_secs(2)).messages().await.unwrap();
        while batch.next().await.is_some() {}
    }
    let letter = letters(&world, &["--reason", "consumer_gave_up"], 1).await[0].clone();
    assert_eq!((&letter["id"], &letter["deliveries"]), (&json!("one"), &json!(2)), "{letter:#}");
    assert_eq!(letter["detail"], "consumer billing gave it up after 2 deliveries");
    assert_eq!(world.json(&["trace", "one"])[0]["decisions"].as_array().unwrap().len(), 1, "ours was decided before");

    // Once that consumer is mended, it gets the event again, and our runs are duplicates.
    world.ok(&["dlq", "redrive", "one"]);
    let mut batch = billing.batch().max_messages(1).expires(Duration::from_secs(5)).messages().await.unwrap();
    let message = batch.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&message.payload).contains("\"one\""));
    message.ack().await.unwrap();
    wait::until("the redriven message is decided", PATIENCE, async || {
        (world.json(&["trace", "one"])[0]["decisions"].as_array()?.len() == 2).then_some(())
    })
    .await;
    assert_eq!(world.json(&["runs", "list"]).as_array().unwrap().len(), 1);
    world.end().await;
}

/// Publishes to `events.com.test.asked` as the protocol has it: no library writes such headers.
async fn publish_bytes(world: &World, headers: &[u8], payload: &[u8]) {
    let address = world.stack.nats_url().trim_start_matches("nats://").to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (some, all) = (headers.len(), headers.len() + payload.len());
    let mut bytes = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
    bytes.extend(format!("HPUB events.com.test.asked {some} {all}\r\n").into_bytes());
    bytes.extend([headers, payload, b"\r\nPING\r\n"].concat());
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"PONG") {
        let read = stream.read_buf(&mut answer).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
}
