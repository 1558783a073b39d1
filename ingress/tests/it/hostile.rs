//! What no honest client sends.

use serde_json::{Value, json};
use spine_runtime::metrics::labels::Request;

use crate::support::{answer, event, ingress, refused};

fn with(name: &str, value: Value) -> Value {
    let mut event = event("1");
    event[name] = value;
    event
}

#[tokio::test]
async fn attributes_of_no_event_are_refused_by_name() {
    let ingress = ingress("[ingress]\nmax_body_bytes = 3000000\n").await;
    let check = async |event: Value, word: &str| {
        refused(ingress.structured(&event), 400, "invalid_event", word).await;
    };
    check(with("id", json!("x".repeat(10_240))), "id must have at most 1024 bytes, saw 10240 bytes").await;
    check(with("subject", json!("x".repeat(1 << 20))), "subject must have at most 2048 bytes").await;
    check(with("time", json!("10000-01-01T00:00:00Z")), "time must be a timestamp").await;
    check(with("data_base64", json!("x")), "data must be one of the two").await;
    let mut broken = event("1");
    broken.as_object_mut().unwrap().remove("data");
    broken["data_base64"] = json!("x===");
    check(broken, "data_base64 must be a base64 string").await;
    check(with("Extension", json!("x")), "name must be 1 to 20 characters").await;
    check(with("number", json!(1.5)), "32-bit integer").await;
    assert_eq!(ingress.count().await, 0);
}

#[tokio::test]
async fn json_that_says_two_things_or_never_ends_is_refused() {
    let ingress = ingress("").await;
    let structured = |body: String| ingress.post("application/cloudevents+json", body);
    let twice = event("1").to_string().replacen('{', "{\"id\":\"2\",", 1);
    refused(structured(twice.clone()), 400, "invalid_event", "repeated key \"id\"").await;
    let deep =
        |levels: usize| event("1").to_string().replace("{\"total\":7}", &("[".repeat(levels) + &"]".repeat(levels)));
    refused(structured(deep(10_000)), 400, "invalid_event", "recursion limit").await;
    assert_eq!(answer(structured(deep(100))).await.0, 202);
    let batch = |items: &str| ingress.post("application/cloudevents-batch+json", format!("[{items}]"));
    let body = refused(batch(&format!("{twice},{}", deep(10_000))), 400, "invalid_event", "2 of 2").await;
    assert!(body["items"][0]["reason"].as_str().unwrap().contains("repeated key"), "{body}");
    assert!(body["items"][1]["reason"].as_str().unwrap().contains("recursion limit"), "{body}");
    refused(batch(&"[".repeat(10_000)), 400, "malformed_body", "no JSON array").await;
    let data = ingress.binary().body("{\"a\": 1, \"a\": 2}");
    refused(data, 400, "invalid_event", "repeated key \"a\"").await;
    refused(structured("\u{0}".into()), 400, "invalid_event", "event must be JSON").await;
    refused(ingress.post("application/cloudevents+json", b"\xff{}".to_vec()), 400, "invalid_event", "JSON").await;
}

#[tokio::test]
async fn headers_that_say_two_things_or_are_no_text_are_refused() {
    let ingress = ingress("").await;
    refused(ingress.binary().header("ce-id", "8"), 400, "invalid_event", "id must stand once").await;
    refused(
        ingress.binary().header("content-type", "text/plain"),
        400,
        "invalid_event",
        "Content-Type must stand once",
    )
    .await;
    refused(ingress.binary().header("ce-subject", "%ff"), 400, "invalid_event", "percent-escapes").await;
    refused(ingress.binary().header("ce-subject", "x".repeat(10_240)), 400, "invalid_event", "at most 2048").await;
    let head = "POST /events HTTP/1.1\r\nhost: spine\r\nconnection: close\r\ncontent-length: 0\r\n";
    let latin = ingress.raw([head.as_bytes(), b"ce-subject: caf\xe9\r\n\r\n"].concat()).await;
    assert!(latin.starts_with("HTTP/1.1 400") && latin.contains("printable ASCII"), "{latin}");
    let many: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many = ingress.raw(format!("{head}{many}\r\n")).await;
    assert!(many.starts_with("HTTP/1.1 431") && many.contains("\"too_many_headers\""), "{many}");
    let more: String = (0..300).map(|n| format!("x-{n}: 1\r\n")).collect();
    assert!(ingress.raw(format!("{head}{more}\r\n")).await.starts_with("HTTP/1.1 431"));
    let long = ingress.raw(format!("{head}ce-subject: {}\r\n\r\n", "x".repeat(1 << 20))).await;
    assert!(long.is_empty() || long.starts_with("HTTP/1.1 431"), "{long}");
    assert_eq!(answer(ingress.binary()).await.0, 202, "others are served");
}

#[tokio::test]
async fn compressed_bodies_are_refused_by_name() {
    let ingress = ingress("").await;
    let response = ingress.binary().header("content-encoding", "gzip").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["accept-encoding"]),
        (415, &"identity".parse().unwrap())
    );
    let gzip = ingress.binary().header("content-encoding", "gzip");
    refused(gzip, 415, "unsupported_encoding", "gzip").await;
    let two = ingress.binary().header("content-encoding", "identity").header("content-encoding", "br");
    refused(two, 415, "unsupported_encoding", "br").await;
    assert_eq!(answer(ingress.binary().header("content-encoding", "Identity")).await.0, 202);
}

#[tokio::test]
async fn wrong_paths_and_methods_are_told_what_is_right() {
    let ingress = ingress("").await;
    let client = reqwest::Client::new();
    refused(client.post(ingress.url("/event")), 404, "no_such_path", "\"/event\"").await;
    refused(client.get(ingress.url("/")), 404, "no_such_path", "\"/\"").await;
    refused(client.post(ingress.url("/hooks/")), 404, "no_such_path", "\"/hooks/\"").await;
    refused(client.post(ingress.url("/hooks/a/b")), 404, "no_such_path", "\"/hooks/a/b\"").await;
    refused(client.post(ingress.url("/hooks/a%2fb%00")), 404, "no_such_hook", "a/b").await;
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "BREW"] {
        let request = client.request(method.parse().unwrap(), ingress.url("/events"));
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"POST".parse().unwrap()),
            "{method}"
        );
    }
    let document = client.head(ingress.url("/openapi.json")).send().await.unwrap();
    assert_eq!(document.status().as_u16(), 200);
    let deleted = client.delete(ingress.url("/openapi.json")).send().await.unwrap();
    assert_eq!((deleted.status().as_u16(), &deleted.headers()["allow"]), (405, &"GET,HEAD".parse().unwrap()));
    let metrics = &ingress.door.metrics.ingress.requests;
    assert_eq!((metrics.get(Request::NotFound), metrics.get(Request::Unsupported)), (5, 8));
    assert!(ingress.raw("NONSENSE\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}
