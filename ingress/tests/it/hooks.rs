//! Signed webhooks.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use sha2::Sha256;
use spine_core::event::Data;
use spine_runtime::metrics::labels::Request;

use crate::support::{Ingress, answer, ingress, refused};

const HOOKS: &str = r#"
[secrets]
github-old = "old secret"
github-new = "new secret"
stripe = "whsec_1"
[ingress.hooks.github]
style = "github"
secrets = ["github-old", "github-new"]
source = "https://github.com/acme"
type = "com.github.{event}"
subject = "/repository/full_name"
[ingress.hooks.stripe]
style = "stripe"
secrets = ["stripe"]
source = "https://stripe.com"
type = "com.stripe.{type}"
tolerance_seconds = 60
# A hook lets its own sender in, whoever else may send.
[ingress.clients.nobody]
tokens = ["github-new-token"]
sources = ["/none"]
types = ["none"]
"#;

async fn hooks() -> Ingress {
    ingress(&HOOKS.replace("stripe = \"whsec_1\"", "stripe = \"whsec_1\"\ngithub-new-token = \"0123456789abcdef\""))
        .await
}

fn sign(secret: &str, text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(text);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn github(ingress: &Ingress, secret: &str, body: &str) -> RequestBuilder {
    Client::new()
        .post(ingress.url("/hooks/github"))
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", "72d3162e")
        .header("x-hub-signature-256", format!("sha256={}", sign(secret, body)))
        .body(body.to_owned())
}

fn stripe(ingress: &Ingress, seconds_ago: u64, body: &str) -> RequestBuilder {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - seconds_ago;
    Client::new()
        .post(ingress.url("/hooks/stripe"))
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", format!("t={at},v1={}", sign("whsec_1", &format!("{at}.{body}"))))
        .body(body.to_owned())
}

#[tokio::test]
async fn a_signed_webhook_becomes_an_event_and_its_redelivery_is_kept_once() {
    let ingress = hooks().await;
    let body = r#"{"repository": {"full_name": "acme/shop"}, "ref": "refs/heads/main"}"#;
    let (status, first) = answer(github(&ingress, "new secret", body)).await;
    assert_eq!((status, &first["id"], &first["duplicate"]), (202, &json!("72d3162e"), &json!(false)));
    let event = ingress.stored(1).await.unwrap();
    assert_eq!((event.event_type.as_str(), event.subject.as_deref()), ("com.github.push", Some("acme/shop")));
    assert_eq!(event.source, "https://github.com/acme");
    assert_eq!(event.data, Data::Json(serde_json::from_str(body).unwrap()));
    let (status, again) = answer(github(&ingress, "old secret", body)).await;
    assert_eq!((status, &again["duplicate"]), (202, &json!(true)), "the other secret is valid too");

    let (status, paid) = answer(stripe(&ingress, 0, r#"{"id": "evt_1", "type": "charge.succeeded"}"#)).await;
    assert_eq!((status, &paid["id"]), (202, &json!("evt_1")));
    assert_eq!(ingress.stored(2).await.unwrap().event_type, "com.stripe.charge.succeeded");
}

#[tokio::test]
async fn a_webhook_that_is_not_well_signed_is_refused_and_nothing_of_it_is_read() {
    let ingress = hooks().await;
    let wrong = github(&ingress, "another secret", "{");
    let body = refused(wrong, 401, "invalid_signature", "x-hub-signature-256").await;
    assert!(!body.to_string().contains("github-old") && !body.to_string().contains("secret\""), "{body}");
    let unsigned = Client::new().post(ingress.url("/hooks/github")).body("{}");
    refused(unsigned, 401, "missing_signature", "x-hub-signature-256").await;
    let changed = github(&ingress, "new secret", "{}").body("{ }");
    refused(changed, 401, "invalid_signature", "not that of this body").await;
    let replayed = stripe(&ingress, 120, "{}");
    refused(replayed, 401, "expired_signature", "s ago, 60 s may be").await;
    refused(github(&ingress, "new secret", "{"), 400, "malformed_body", "no JSON").await;
    let elsewhere = Client::new().post(ingress.url("/hooks/gitlab")).body("{}");
    refused(elsewhere, 404, "no_such_hook", "[ingress.hooks.gitlab]").await;
    assert_eq!(ingress.door.metrics.ingress.requests.get(Request::Unauthenticated), 4);
    assert_eq!(ingress.count().await, 0);
}
