//! Signatures and mappings, with the vectors that senders publish.

use std::time::Duration;

use spine_core::event::Data;
use spine_runtime::config::Encoding;

use super::*;

const NOW: u64 = 1_700_000_000;

fn config(style: HookStyle, event_type: &str) -> IngressHook {
    IngressHook {
        style,
        secrets: Vec::new(),
        source: "https://sender.example".into(),
        event_type: event_type.into(),
        id: None,
        subject: None,
        signature_header: (style == HookStyle::Hmac).then(|| "X-Signature".into()),
        encoding: None,
        timestamp_header: None,
        tolerance: None,
    }
}

fn hook(config: &IngressHook, secrets: &[&str]) -> Hook {
    Hook::new(config, secrets.iter().map(|secret| Secret::new(*secret)).collect()).unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().unwrap());
    }
    map
}

/// HMAC-SHA256 in hex, not made by the library that the code uses.
fn sign(secret: &str, text: &str) -> String {
    let mac = reference::hmac_sha256(secret.as_bytes(), text.as_bytes());
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC as RFC 2104 writes it, for keys of up to 64 bytes.
mod reference {
    use sha2::{Digest as _, Sha256};

    pub(super) fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
        let mut block = [0_u8; 64];
        block[..key.len()].copy_from_slice(key);
        let pad = |byte: u8| block.map(|k| k ^ byte);
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
        Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
    }
}

fn code(result: Result<(), Problem>) -> Option<Code> {
    result.err().map(|problem| problem.code)
}

#[test]
fn github_signs_as_its_documentation_says() {
    // docs.github.com, "Validating webhook deliveries", section "Testing the webhook payload validation".
    let vector = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let hook = hook(&config(HookStyle::Github, "com.github.{event}"), &["old", "It's a Secret to Everybody"]);
    let check = |pairs: &[(&'static str, &str)], body: &str, expected: Option<Code>| {
        assert_eq!(code(hook.verify(&headers(pairs), body.as_bytes(), NOW)), expected, "{pairs:?}");
    };
    let name = "x-hub-signature-256";
    check(&[(name, vector)], "Hello, World!", None);
    check(&[(name, &vector.replace("sha256=", ""))], "Hello, World!", None);
    check(&[(name, vector)], "Hello, World", Some(Code::InvalidSignature));
    check(&[(name, &vector.replace('7', "8"))], "Hello, World!", Some(Code::InvalidSignature));
    check(&[(name, "sha256=75")], "Hello, World!", Some(Code::InvalidSignature));
    check(&[(name, "sha256=zz")], "Hello, World!", Some(Code::InvalidSignature));
    check(&[(name, "")], "Hello, World!", Some(Code::InvalidSignature));
    check(&[(name, vector), (name, vector)], "Hello, World!", Some(Code::InvalidSignature));
    check(&[], "Hello, World!", Some(Code::MissingSignature));
}

#[test]
fn stripe_signs_the_time_too_and_both_secrets_hold() {
    let hook = hook(&config(HookStyle::Stripe, "com.stripe.{type}"), &["whsec_old", "whsec_new"]);
    let body = "{\"id\":\"evt_1\"}";
    let signature = |secret: &str, at: u64| format!("t={at},v1={},v0=ignored", sign(secret, &format!("{at}.{body}")));
    let check = |signature: &str, expected: Option<Code>| {
        let result = hook.verify(&headers(&[("stripe-signature", signature)]), body.as_bytes(), NOW);
        assert_eq!(code(result), expected, "{signature}");
    };
    check(&signature("whsec_old", NOW), None);
    check(&signature("whsec_new", NOW - 300), None);
    check(&signature("whsec_new", NOW + 300), None);
    check(&signature("whsec_new", NOW - 301), Some(Code::ExpiredSignature));
    check(&signature("whsec_new", NOW + 301), Some(Code::ExpiredSignature));
    check(&signature("whsec_else", NOW), Some(Code::InvalidSignature));
    check(&signature("whsec_new", NOW).replace("t=1700000000", "t=1700000001"), Some(Code::InvalidSignature));
    check(&format!("v1={}", "0".repeat(64)), Some(Code::InvalidSignature));
    check(&format!("t={NOW}"), Some(Code::InvalidSignature));
    check(&format!("t={NOW},t={NOW},v1={}", "0".repeat(64)), Some(Code::InvalidSignature));
    let many = vec![format!("v1={}", sign("whsec_new", &format!("{NOW}.{body}"))); 9].join(",");
    check(&format!("t={NOW},{many}"), Some(Code::InvalidSignature));
    check("nonsense", Some(Code::InvalidSignature));
}

#[test]
fn an_own_style_names_header_encoding_and_time() {
    let base = config(HookStyle::Hmac, "com.bank.payment");
    let own = IngressHook {
        encoding: Some(Encoding::Base64),
        timestamp_header: Some("X-Time".into()),
        tolerance: Some(Duration::from_secs(60)),
        ..base.clone()
    };
    let hook = hook(&own, &["key"]);
    let encoded = |at: u64| {
        use base64::Engine as _;
        let mac = reference::hmac_sha256(b"key", format!("{at}.body").as_bytes());
        base64::engine::general_purpose::STANDARD.encode(mac)
    };
    let check = |signature: &str, time: Option<&str>, expected: Option<Code>| {
        let time = time.map(|time| ("x-time", time));
        let pairs: Vec<_> = [("x-signature", signature)].into_iter().chain(time).collect();
        assert_eq!(code(hook.verify(&headers(&pairs), b"body", NOW)), expected, "{pairs:?}");
    };
    let now = NOW.to_string();
    check(&encoded(NOW), Some(&now), None);
    check(&encoded(NOW - 61), Some(&(NOW - 61).to_string()), Some(Code::ExpiredSignature));
    check(&encoded(NOW), None, Some(Code::MissingSignature));
    check(&encoded(NOW), Some("today"), Some(Code::InvalidSignature));
    check(&sign("key", "body"), Some(&now), Some(Code::InvalidSignature));
    let plain = super::tests::hook(&base, &["key"]);
    assert_eq!(code(plain.verify(&headers(&[("x-signature", &sign("key", "body"))]), b"body", NOW)), None);
}

#[test]
fn a_request_becomes_the_event_that_the_mapping_says() {
    let github = IngressHook {
        subject: Some("/repository/full_name".into()),
        ..config(HookStyle::Github, "com.github.{event}.{action}")
    };
    let hook = hook(&github, &["key"]);
    let sent = [("content-type", "application/json"), ("x-github-event", "issues"), ("x-github-delivery", "d-1")];
    let body = br#"{"action": "opened", "repository": {"full_name": "acme/shop"}}"#;
    let event = hook.event(&headers(&sent), body).unwrap();
    assert_eq!((event.event_type.as_str(), event.id.as_str()), ("com.github.issues.opened", "d-1"));
    assert_eq!((event.source.as_str(), event.subject.as_deref()), ("https://sender.example", Some("acme/shop")));
    assert!(matches!(event.data, Data::Json(_)));
    let no_subject = hook.event(&headers(&sent), br#"{"action": "opened", "repository": {}}"#).unwrap();
    assert_eq!(no_subject.subject, None);

    let check = |pairs: &[(&'static str, &str)], body: &[u8], expected: Code, word: &str| {
        let problem = hook.event(&headers(pairs), body).unwrap_err();
        assert_eq!(problem.code, expected, "{problem:?}");
        assert!(problem.detail.contains(word), "{problem:?}");
    };
    check(&sent, b"{}", Code::HookMapping, "/action");
    check(&sent[..2], body, Code::HookMapping, "x-github-delivery");
    check(&sent, br#"{"action": "a b"}"#, Code::InvalidEvent, "type must be tokens");
    check(&sent, br#"{"action": ["x"]}"#, Code::HookMapping, "/action");
    check(&sent, br#"{"action": "x", "action": "y"}"#, Code::InvalidEvent, "repeated key");
    check(&sent, b"payload=%7B%7D", Code::MalformedBody, "no JSON");
    check(&sent, "[".repeat(10_000).as_bytes(), Code::MalformedBody, "recursion limit");
    let form = [("content-type", "application/x-www-form-urlencoded"), sent[1], sent[2]];
    check(&form, b"payload=%7B%7D", Code::UnsupportedMediaType, "application/json");

    let stripe = super::tests::hook(&config(HookStyle::Stripe, "com.stripe.{type}"), &["key"]);
    let json = headers(&[("content-type", "application/json; charset=utf-8")]);
    let event = stripe.event(&json, br#"{"id": "evt_1", "type": "charge.succeeded"}"#).unwrap();
    assert_eq!((event.event_type.as_str(), event.id.as_str()), ("com.stripe.charge.succeeded", "evt_1"));

    let own = super::tests::hook(&config(HookStyle::Hmac, "com.bank.{header:X-Kind}"), &["key"]);
    let event = own.event(&headers(&[("x-kind", "payment")]), b"\xff\x00").unwrap();
    assert_eq!((event.id.len(), event.data), (64, Data::Binary(vec![0xff, 0])));
}

#[test]
fn a_wrong_hook_is_refused_by_its_key() {
    let check = |change: fn(&mut IngressHook), style: HookStyle, key: &str| {
        let mut config = config(style, "com.x.{/kind}");
        change(&mut config);
        let refused = Hook::new(&config, vec![Secret::new("key")]).map(drop).map_err(|(key, _)| key);
        assert_eq!(refused, Err(key), "{config:?}");
    };
    check(|hook| hook.event_type = "com.{nothing}".into(), HookStyle::Hmac, "type");
    check(|hook| hook.event_type = "com.{/open".into(), HookStyle::Hmac, "type");
    check(|hook| hook.event_type = "com..x".into(), HookStyle::Hmac, "type");
    check(|hook| hook.event_type = "com.{body}".into(), HookStyle::Hmac, "type");
    check(|hook| hook.event_type = "com.{event}".into(), HookStyle::Stripe, "type");
    check(|hook| hook.source = "a b".into(), HookStyle::Github, "source");
    check(|hook| hook.id = Some("id".into()), HookStyle::Github, "id");
    check(|hook| hook.subject = Some("header:X".into()), HookStyle::Github, "subject");
    check(|hook| hook.signature_header = None, HookStyle::Hmac, "signature_header");
    check(|hook| hook.signature_header = Some("a b".into()), HookStyle::Hmac, "signature_header");
    check(|hook| hook.tolerance = Some(Duration::from_secs(1)), HookStyle::Hmac, "tolerance_seconds");
    check(|hook| hook.tolerance = Some(Duration::from_secs(1)), HookStyle::Github, "tolerance_seconds");
    check(|hook| hook.encoding = Some(Encoding::Hex), HookStyle::Stripe, "encoding");
    assert_eq!(
        Hook::new(&config(HookStyle::Github, "t"), vec![Secret::new("")]).map(drop).map_err(|(key, _)| key),
        Err("secrets")
    );
}
