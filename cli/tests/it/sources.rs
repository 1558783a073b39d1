//! Who may send what, on a real stack.

use serde_json::{Value, json};

use crate::world::{SOURCE, World, until_metric};

const ONLY_OTHERS: &str = "apiVersion: spine/v1
kind: Source
metadata: {name: asker}
spec: {source: 'https://test.example', types: [com.test.other]}
";

/// What an event became, and why, once it is decided.
fn outcome(world: &World, id: &str) -> Value {
    world.json(&["trace", id, "--wait"])[0]["decisions"][0]["outcome"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_source_sends_its_types_alone_until_its_document_is_gone() {
    let world = World::echo().await;
    let file = world.folder.path().join("source.yaml");
    let file = file.to_str().unwrap();
    std::fs::write(file, ONLY_OTHERS).unwrap();
    world.ask("before");
    assert_eq!(world.settled("before")["runs"][0]["run"]["status"], "completed");

    let applied = world.json(&["apply", "--file", file]);
    assert_eq!(
        applied["applied"][0],
        json!({"kind": "source", "name": "asker", "revision": null, "previous": null, "change": "created"})
    );
    until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    world.ask("refused");
    let detail = format!("Source asker lets {SOURCE:?} not send type \"com.test.asked\"");
    assert_eq!(outcome(&world, "refused"), json!({"decision": "rejected", "reason": "unauthorized", "detail": detail}));
    let text = world.ok(&["explain", "refused"]);
    assert!(text.contains("unauthorized") && text.contains(&detail), "{text}");
    let counted = world.metric("router", "spine_router_dead_letters_total{reason=\"unauthorized\"}").await;
    assert!((counted - 1.0).abs() < 0.1, "{counted}");
    // Beforehand, by the registry and by files.
    let event = json!({"specversion": "1.0", "type": "com.test.asked", "source": SOURCE, "id": "x"});
    let path = world.folder.path().join("event.json");
    std::fs::write(&path, event.to_string()).unwrap();
    let path = path.to_str().unwrap();
    for args in [vec!["explain", path], vec!["explain", path, "--file", file]] {
        assert_eq!(world.json(&args)["rejected"], json!({"reason": "unauthorized", "detail": detail}), "{args:?}");
    }

    assert_eq!(world.json(&["get", "sources"])[0]["name"], "asker");
    assert!(world.ok(&["show", "source", "asker"]).contains("types:"));
    assert_eq!(world.ok(&["diff", "--file", file]).trim(), "");
    let twice = ONLY_OTHERS.replace("asker", "again");
    let second = world.folder.path().join("again.yaml");
    std::fs::write(&second, twice).unwrap();
    let output = world.spine(&["apply", "--file", second.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("twice: again, asker"), "{text}");

    world.ok(&["delete", "source", "asker", "--yes"]);
    until_metric(&world, "router", "spine_router_catalog_version", 3.0).await;
    world.ask("after");
    assert_eq!(world.settled("after")["runs"][0]["run"]["status"], "completed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_breaks_its_promise_is_refused_with_place_and_reason() {
    let world = World::boot().await;
    let file = world.folder.path().join("order.yaml");
    let apply = |mode: &str, total: &str| {
        let schema = json!({"type": "object", "properties": {"total": {"type": total}}});
        let document = json!({"apiVersion": "spine/v1", "kind": "EventType", "metadata": {"name": "com.shop.order"},
            "spec": {"compatibility": mode, "schema": schema}});
        std::fs::write(&file, document.to_string()).unwrap();
        let output = world.spine(&["apply", "--file", file.to_str().unwrap()]).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(apply("full", "number").0);
    for mode in ["full", "none"] {
        let (taken, text) = apply(mode, "integer");
        let wanted = "event type \"com.shop.order\": not backward compatible: spec.schema.properties.total: \
                      the new schema has no fraction, which the old one allows";
        assert!(!taken && text.contains(wanted), "{text}");
    }
    assert!(apply("none", "number").0 && apply("none", "integer").0, "who means it says so first");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_comes_in_in_both_modes_and_what_is_not_does_not() {
    let world = World::echo().await;
    let path = |name: &str| world.folder.path().join(name).to_str().unwrap().to_owned();
    let (key, other) = (path("key.pem"), path("other.pem"));
    let public = world.json(&["keys", "generate", &key]);
    world.json(&["keys", "generate", &other]);
    let again = world.spine(&["keys", "generate", &key]).output().unwrap();
    assert_eq!(again.status.code(), Some(2), "a key is never written over");
    let document = json!({"apiVersion": "spine/v1", "kind": "Source", "metadata": {"name": "asker"},
        "spec": {"source": SOURCE, "signature": "required", "keys": [public]}});
    std::fs::write(path("source.yaml"), document.to_string()).unwrap();
    world.ok(&["apply", "--file", &path("source.yaml")]);
    until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;

    let publish = |id: &str, more: &[&str]| {
        let base = ["publish", "--type", "com.test.asked", "--source", SOURCE, "--id", id, "--data", r#"{"n": 1.50}"#];
        world.json(&[&base, more].concat());
    };
    publish("structured", &["--sign", &key]);
    publish("binary", &["--sign", &key, "--mode", "binary"]);
    for id in ["structured", "binary"] {
        assert_eq!(world.settled(id)["runs"][0]["run"]["status"], "completed", "{id}");
    }
    let id = public["id"].as_str().unwrap();
    publish("unsigned", &[]);
    publish("forged", &["--sign", &other, "--key-id", id]);
    publish("unknown", &["--sign", &other]);
    for (event, problem) in [
        ("unsigned", "there is no `spinesignature`"),
        ("forged", "signed with another key"),
        ("unknown", "is not known"),
    ] {
        let outcome = outcome(&world, event);
        assert_eq!(outcome["reason"], "bad_signature", "{event}: {outcome}");
        let text = world.ok(&["explain", event]);
        assert!(text.contains("bad_signature") && text.contains(problem), "{event}: {text}");
    }
    let counted = world.metric("router", "spine_router_dead_letters_total{reason=\"bad_signature\"}").await;
    assert!((counted - 3.0).abs() < 0.1, "{counted}");
    world.end().await;
}

#[test]
fn openssl_reads_a_key_that_was_generated() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let spine = |args: &[&str]| std::process::Command::new(env!("CARGO_BIN_EXE_spine")).args(args).output().unwrap();
    let made = spine(&["keys", "generate", key.to_str().unwrap(), "--output", "json"]);
    let public: Value = serde_json::from_slice(&made.stdout).unwrap();
    let openssl = ["pkey", "-in", key.to_str().unwrap(), "-pubout", "-outform", "DER"];
    let der = std::process::Command::new("openssl").args(openssl).output().unwrap().stdout;
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.encode(&der[der.len() - 32..]);
    assert_eq!(public["publicKey"], bytes.as_str());
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}
