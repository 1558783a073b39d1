use cloudevents::AttributesReader as _;
use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::json;
use spine_core::signature::PrivateKey;

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    pairs.iter().for_each(|(name, value)| map.append(*name, *value));
    map
}

const BINARY: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("CE-Id", "7"), ("Ce-source", "/shop%20x"), ("ce-type", "com.shop.order")];

#[test]
fn the_mode_follows_the_content_type() {
    let check = |content_type, expected| assert_eq!(content_mode(content_type).ok(), expected, "{content_type:?}");
    check(None, Some(Mode::Binary));
    check(Some("application/json"), Some(Mode::Binary));
    check(Some("Application/CloudEvents+JSON; charset=utf-8"), Some(Mode::Structured));
    check(Some("application/cloudevents"), None);
    check(Some("application/cloudevents+xml"), None);
    check(Some("application/cloudevents-batch+json"), None);
}

#[test]
fn binary_headers_are_read_in_any_case_and_unescaped() {
    let mut map = headers(&BINARY);
    map.insert("source", "x");
    map.insert("ce-subject", "%C3%A9%25 \"x\"");
    map.insert("ce-trace", "\"a\\\"b\"");
    let error = decode(&headers(&[("ce-source", "/a b")]), b"").unwrap_err();
    assert_eq!(error.event_source(), Some("/a b"));
    map.insert("ce-source", "/shop%2520x");
    map.insert("Ce-source", "/other");
    assert_eq!(decode(&map, b"").unwrap_err().at_fault().next(), Some("source"), "stands twice in two cases");
    let map = headers(
        &[
            &BINARY[..2],
            &[("ce-source", "/shop"), ("ce-type", "t"), ("ce-subject", "%C3%A9%25 \"x\""), ("ce-trace", "\"a\\\"b\"")],
        ]
        .concat(),
    );
    let event = decode(&map, b"").unwrap();
    assert_eq!(event.subject.as_deref(), Some("é% \"x\""));
    assert_eq!(event.extensions["trace"], json!("a\"b"));
}

#[test]
fn what_does_not_say_one_thing_is_refused() {
    for (extra, at_fault) in [
        (("ce-id", "8"), "id"),
        (("ce-subject", "%zz"), "subject"),
        (("ce-subject", "%ff"), "subject"),
        (("ce-data", "x"), "name"),
        (("ce-", "x"), "name"),
    ] {
        let pairs = [&BINARY[..2], &[("ce-source", "/s"), ("ce-type", "t"), extra]].concat();
        let error = decode(&headers(&pairs), b"").unwrap_err();
        assert_eq!(error.at_fault().next(), Some(at_fault), "{extra:?}: {error}");
    }
    let none = decode(&HeaderMap::new(), br#"{"specversion": "1.0"}"#).unwrap_err();
    assert!(none.to_string().contains("no ce- header"), "{none}");
}

#[test]
fn a_media_type_is_taken_from_either_header() {
    let pairs = [&BINARY[..2], &[("ce-source", "/s"), ("ce-type", "t"), ("content-type", "application/json")]].concat();
    assert_eq!(decode(&headers(&pairs), b"[1]").unwrap().data, Data::Json(json!([1])));
    let both = [&pairs[..], &[("ce-datacontenttype", "text/plain")]].concat();
    assert_eq!(decode(&headers(&both), b"[1]").unwrap().data, Data::Text("[1]".into()));
}

fn data() -> impl Strategy<Value = (Option<String>, Data)> {
    let json = prop_oneof![
        any::<bool>().prop_map(|b| json!({"b": b})),
        any::<i64>().prop_map(|n| json!([n])),
        "\\PC{0,20}".prop_map(|text| json!(text)),
    ];
    prop_oneof![
        Just((None, Data::None)),
        json.prop_map(|value| (Some("application/json".to_owned()), Data::Json(value))),
        "\\PC{1,20}".prop_map(|text| (Some("text/plain".to_owned()), Data::Text(text))),
        prop::collection::vec(any::<u8>(), 1..20).prop_map(|bytes| (None, Data::Binary(bytes))),
    ]
}

prop_compose! {
    fn event()(
        id in "[^\\p{C}\\p{Z}]{1,20}( \\p{L}{1,5})?",
        source in "[a-z]{1,5}://[a-z0-9./%]{0,2}[a-z0-9./]{1,10}".prop_filter("whole escapes", |text| !text.contains('%')),
        event_type in "[A-Za-z0-9_-]{1,5}(\\.[A-Za-z0-9_-]{1,5}){0,3}",
        subject in prop::option::of("[^\\p{C}\\p{Z}]([^\\p{C}]{0,10}[^\\p{C}\\p{Z}])?"),
        extensions in btree_map("x[a-z0-9]{0,10}", "[^\\p{C}\\p{Z}]{0,10}", 0..4),
        (datacontenttype, data) in data(),
    ) -> Event {
        let extensions = extensions.into_iter().map(|(name, text)| (name, json!(text))).collect();
        Event { subject, extensions, datacontenttype, data, ..Event::new(event_type, source, id) }
    }
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(event in event()) {
        for mode in [Mode::Structured, Mode::Binary] {
            let (headers, payload) = encode(&event, mode).unwrap();
            let key = event.key();
            prop_assert_eq!(headers.get(MSG_ID_HEADER).unwrap().as_str(), key.as_str());
            let decoded = decode(&headers, &payload);
            prop_assert_eq!(decoded.as_ref(), Ok(&event), "{:?}", mode);
        }
    }

    #[test]
    fn an_independent_reader_sees_the_same_event(event in event()) {
        let (_, payload) = encode(&event, Mode::Structured).unwrap();
        let read: cloudevents::Event = serde_json::from_slice(&payload).unwrap();
        prop_assert_eq!(read.id(), &event.id);
        prop_assert_eq!(read.source().as_str(), &event.source);
        prop_assert_eq!(read.ty(), &event.event_type);
        prop_assert_eq!(read.subject(), event.subject.as_deref());
        prop_assert_eq!(read.iter_extensions().count(), event.extensions.len());
    }

    #[test]
    fn no_message_makes_decoding_panic(
        pairs in prop::collection::vec(("(ce-)?[a-zA-Z0-9-]{1,20}", "[^\\r\\n]{0,30}"), 0..8),
        payload in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let mut map = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| map.append(name.as_str(), value.as_str()));
        let _ = decode(&map, &payload);
    }
}

#[test]
fn a_signature_holds_in_both_modes() {
    let key = PrivateKey::from_seed(&[7; 32]).unwrap();
    for data in [Data::None, Data::Json(json!({"b": [1, 2.50], "a": "\u{e9}"})), Data::Binary(vec![0, 255])] {
        let mut event = Event::new("com.shop.order", "/till", "1");
        event.subject = Some("K\u{e4}se \"x\"".into());
        event.extensions.insert("priority".into(), json!(7));
        event.extensions.insert("urgent".into(), json!(true));
        event.data = data;
        key.sign(&mut event, "till");
        for mode in [Mode::Structured, Mode::Binary] {
            let (headers, payload) = encode(&event, mode).unwrap();
            assert!(key.public_key().verifies(&decode(&headers, &payload).unwrap()), "{mode:?} {event:?}");
        }
    }
}
