//! How much is taken, how fast, and from how many at once.

use std::time::Duration;

use spine_runtime::metrics::labels::Request;
use spine_testkit::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Ingress, PATIENCE, answer, ingress, refused};

/// The head of an event whose body is still to come.
fn head(length: &str) -> String {
    format!(
        "POST /events HTTP/1.1\r\nhost: spine\r\nconnection: close\r\nce-specversion: 1.0\r\nce-id: 1\r\n\
         ce-source: /shop\r\nce-type: com.shop.order\r\ncontent-type: text/plain\r\n{length}\r\n\r\n"
    )
}

/// A request in hand: its body does not come.
async fn held(ingress: &Ingress) -> TcpStream {
    let before = ingress.door.metrics.ingress.in_flight.get();
    let mut stream = TcpStream::connect(ingress.door.address).await.unwrap();
    stream.write_all(head("content-length: 5").as_bytes()).await.unwrap();
    let in_flight = || ingress.door.metrics.ingress.in_flight.get();
    wait::until("the request is in hand", PATIENCE, async || (in_flight() > before).then_some(())).await;
    stream
}

#[tokio::test]
async fn a_body_has_a_bound_also_where_its_length_is_not_said() {
    let ingress = ingress("[ingress]\nmax_body_bytes = 10000\n").await;
    refused(ingress.binary().body("x".repeat(10_001)), 413, "too_large", "10000 bytes").await;
    // No bytes follow a length that is too much: it is refused before.
    let declared = ingress.raw(head("content-length: 10001")).await;
    assert!(declared.starts_with("HTTP/1.1 413") && declared.contains("\"too_large\""), "{declared}");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let chunked = ingress.raw(head("transfer-encoding: chunked") + &chunk.repeat(3)).await;
    assert!(chunked.starts_with("HTTP/1.1 413") && chunked.contains("ingress.max_body_bytes"), "{chunked}");
    let whole = ingress.raw(head("transfer-encoding: chunked") + &chunk.repeat(2) + "0\r\n\r\n").await;
    assert!(whole.starts_with("HTTP/1.1 202"), "{whole}");
    assert_eq!(ingress.door.metrics.ingress.requests.get(Request::TooLarge), 3);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let ingress = ingress("[ingress]\nbody_timeout_seconds = 1\n").await;
    let answer = ingress.raw(head("content-length: 5") + "1234").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"body_timeout\""), "{answer}");
    assert_eq!(ingress.door.metrics.ingress.requests.get(Request::TimedOut), 1);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let ingress = ingress(
        "[ingress]\nrequests_per_second = 1\n[secrets]\na = \"0123456789abcdef-a\"\nb = \"0123456789abcdef-b\"\n\
         [ingress.clients.a]\ntokens = [\"a\"]\nsources = [\"*\"]\ntypes = [\"*\"]\n\
         [ingress.clients.b]\ntokens = [\"b\"]\nsources = [\"*\"]\ntypes = [\"*\"]\n",
    )
    .await;
    let send = |token: &str| ingress.binary().header("authorization", format!("Bearer 0123456789abcdef-{token}"));
    let response = wait::until("a's bucket is empty", PATIENCE, async || {
        let response = send("a").send().await.unwrap();
        (response.status().as_u16() == 429).then_some(response)
    })
    .await;
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert_eq!(answer(send("b")).await.0, 202, "b has a bucket of its own");
    // Strangers share their address's bucket, which a guess at tokens empties; b loses nothing by it.
    let guess = wait::until("guessing is slow", PATIENCE, async || {
        let (status, body) = answer(send("guess")).await;
        (status != 401).then_some((status, body))
    });
    let (status, body) = guess.await;
    assert_eq!((status, body["code"].as_str()), (429, Some("rate_limited")), "{body}");
    assert_eq!(answer(send("b")).await.0, 202);
    assert!(ingress.door.metrics.ingress.requests.get(Request::RateLimited) >= 2);
}

#[tokio::test]
async fn requests_at_once_have_a_bound_and_one_that_ends_makes_room() {
    let ingress = ingress("[ingress]\nmax_requests = 1\n").await;
    let mut first = held(&ingress).await;
    let response = ingress.binary().send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    refused(ingress.binary(), 503, "overloaded", "ingress.max_requests").await;
    first.write_all(b"12345").await.unwrap();
    let mut answered = String::new();
    first.read_to_string(&mut answered).await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 202"), "{answered}");
    assert_eq!(answer(ingress.binary()).await.0, 202);
}

#[tokio::test]
async fn webhooks_that_come_slowly_leave_room_for_others() {
    let hook = "[ingress.hooks.github]\nstyle = \"github\"\nsecrets = [\"key\"]\nsource = \"/github\"\ntype = \"x\"\n";
    let ingress = ingress(&format!("[ingress]\nmax_requests = 2\n[secrets]\nkey = \"key\"\n{hook}")).await;
    let mut slow = TcpStream::connect(ingress.door.address).await.unwrap();
    slow.write_all(b"POST /hooks/github HTTP/1.1\r\nhost: spine\r\ncontent-length: 5\r\n\r\n").await.unwrap();
    let in_flight = || ingress.door.metrics.ingress.in_flight.get();
    wait::until("the webhook is in hand", PATIENCE, async || (in_flight() == 1).then_some(())).await;
    let another = reqwest::Client::new().post(ingress.url("/hooks/github")).body("{}");
    refused(another, 503, "overloaded", "webhooks that are still to come").await;
    assert_eq!(answer(ingress.binary()).await.0, 202);
}

#[tokio::test]
async fn connections_at_once_have_a_bound_and_the_next_one_waits_for_its_turn() {
    let ingress = ingress("[ingress]\nmax_connections = 1\n").await;
    let first = held(&ingress).await;
    let second = tokio::spawn(ingress.binary().send());
    let early = tokio::time::timeout(Duration::from_millis(300), ingress.binary().send()).await;
    assert!(early.is_err(), "a second connection is served beside the only one");
    assert_eq!(ingress.door.metrics.ingress.connections.get(), 1);
    drop(first);
    assert_eq!(second.await.unwrap().unwrap().status().as_u16(), 202);
}

#[tokio::test]
async fn a_request_in_hand_is_answered_before_the_ingress_stops() {
    let ingress = ingress("").await;
    let mut first = held(&ingress).await;
    ingress.door.shutdown.request();
    wait::until("no more connections are taken", PATIENCE, async || {
        TcpStream::connect(ingress.door.address).await.is_err().then_some(())
    })
    .await;
    first.write_all(b"12345").await.unwrap();
    let mut answered = String::new();
    first.read_to_string(&mut answered).await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 202"), "{answered}");
    ingress.door.task.await.unwrap().unwrap();
}
