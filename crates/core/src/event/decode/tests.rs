use std::collections::BTreeMap;

use serde_json::json;

use super::super::{Data, Event};
use super::EventError;

fn decode(text: &str) -> Result<Event, EventError> {
    Event::from_json(text.as_bytes())
}

fn with(name: &str, value: serde_json::Value) -> Result<Event, EventError> {
    let mut event = json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "com.shop.order"});
    event[name] = value;
    decode(&event.to_string())
}

#[test]
fn attributes_are_refused_by_name() {
    let refused = [
        ("specversion", json!("0.3")),
        ("specversion", json!(1.0)),
        ("specversion", json!(null)),
        ("id", json!("")),
        ("id", json!(7)),
        ("id", json!("x".repeat(1025))),
        ("id", json!("a\u{0}b")),
        ("id", json!("a\u{85}b")),
        ("source", json!("")),
        ("source", json!("a b")),
        ("source", json!("/ä")),
        ("source", json!("/%2")),
        ("source", json!("a#b#c")),
        ("type", json!("a..b")),
        ("type", json!(".a")),
        ("type", json!("a.*")),
        ("type", json!("a b")),
        ("type", json!("ä")),
        ("type", json!("a.>")),
        ("subject", json!("")),
        ("time", json!("yesterday")),
        ("time", json!("2026-02-30T00:00:00Z")),
        ("datacontenttype", json!("json")),
        ("dataschema", json!("/relative")),
        ("trace", json!(1.5)),
        ("trace", json!(2_147_483_648_i64)),
        ("trace", json!({"a": 1})),
        ("trace", json!("a\nb")),
    ];
    for (name, value) in refused {
        let error = with(name, value.clone()).expect_err(&format!("{name} = {value}"));
        assert_eq!(error.at_fault().next(), Some(name), "{error}");
        assert!(error.to_string().chars().count() < 400, "{error}");
    }
    for name in ["Trace", "a_b", "", "abcdefghijklmnopqrstu"] {
        assert_eq!(with(name, json!("x")).unwrap_err().at_fault().next(), Some("name"));
    }
}

#[test]
fn attributes_are_kept_as_sent() {
    let accepted = [
        ("id", json!("order 1 ✓")),
        ("source", json!("urn:shop:%C3%A4?x=1#y")),
        ("type", json!("A-1.b_2")),
        ("time", json!("2026-11-24T00:00:00.123456789+01:00")),
        ("datacontenttype", json!("Application/Vnd.X+JSON; charset=utf-8")),
        ("dataschema", json!("https://shop.example/order#1")),
        ("trace", json!("")),
        ("trace", json!(true)),
        ("trace", json!(-2_147_483_648_i64)),
    ];
    for (name, value) in accepted {
        let event = with(name, value.clone()).unwrap();
        assert_eq!(event.to_json()[name], value);
    }
    assert!(with("trace", json!(null)).unwrap().extensions.is_empty(), "null is unset");
}

#[test]
fn what_can_be_read_is_told_and_all_problems_are_listed() {
    let error = decode(r#"{"specversion": "2", "id": "7", "source": "/s", "type": "a b"}"#).unwrap_err();
    assert_eq!(error.event_id(), Some("7"));
    assert_eq!(error.event_source(), Some("/s"));
    assert_eq!(
        error.to_string(),
        "not a CloudEvent: specversion must be the string \"1.0\" (section 3.1, \"specversion\"), saw \"2\"; \
         type must be tokens of A-Z, a-z, 0-9, _ and -, joined by dots, because it is part of a subject, saw \"a b\""
    );
}

#[test]
fn json_that_says_two_things_or_none_is_refused() {
    let start = r#""specversion": "1.0", "id": "1", "source": "/s", "type": "t""#;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for text in [
        "",
        "null",
        "[]",
        "7",
        "{",
        "\"x\"",
        &format!(r#"{{{start}, "id": "2"}}"#),
        &format!(r#"{{{start}, "data": {{"a": [{{"b": 1, "b": 2}}]}}}}"#),
        &format!(r#"{{{start}}} x"#),
        &format!(r#"{{{start}, "data": {deep}}}"#),
        &format!(r#"{{{start}, "data": 1, "data_base64": "AA=="}}"#),
        &format!(r#"{{{start}, "data_base64": "A"}}"#),
        &format!(r#"{{{start}, "data_base64": 7}}"#),
        &format!(r#"{{{start}, "datacontenttype": "text/plain", "data": 7}}"#),
    ] {
        assert!(decode(text).is_err(), "{text}");
    }
}

#[test]
fn data_of_the_json_format() {
    let check = |rest: serde_json::Value, expected: Data| {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let decoded = decode(&event.to_string()).unwrap();
        assert_eq!(decoded.data, expected, "{rest}");
        assert_eq!(Event::from_json(decoded.to_json().to_string().as_bytes()).unwrap(), decoded, "{rest}");
    };
    check(json!({}), Data::None);
    check(json!({"data": null}), Data::Json(json!(null)));
    check(json!({"data": "x"}), Data::Json(json!("x")));
    check(json!({"data": [1.5], "datacontenttype": "application/x+json"}), Data::Json(json!([1.5])));
    check(json!({"data": "x", "datacontenttype": "text/plain"}), Data::Text("x".into()));
    check(json!({"data_base64": "AP8="}), Data::Binary(vec![0, 255]));
    check(json!({"data_base64": "WzFd", "datacontenttype": "application/json"}), Data::Json(json!([1])));
}

#[test]
fn data_of_the_binary_mode() {
    let parts = |media_type: Option<&str>, data: &[u8]| {
        let required = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")];
        let attributes: BTreeMap<_, _> = required.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        Event::from_parts(attributes, media_type.map(str::to_owned), data)
    };
    let check = |media_type, data: &[u8], expected| assert_eq!(parts(media_type, data).unwrap().data, expected);
    check(None, b"", Data::None);
    check(Some("application/json"), b"", Data::None);
    check(Some("application/json"), b"[1]", Data::Json(json!([1])));
    check(None, b"[1]", Data::Binary(b"[1]".to_vec()));
    check(Some("text/plain; charset=UTF-8"), b"x", Data::Text("x".into()));
    check(Some("text/plain; charset=latin1"), b"x", Data::Binary(b"x".to_vec()));
    check(Some("text/plain"), b"\xff", Data::Binary(vec![255]));
    check(Some("application/xml"), b"<a/>", Data::Binary(b"<a/>".to_vec()));
    let error = parts(Some("application/json"), br#"{"a": 1, "a": 2}"#).unwrap_err();
    assert_eq!(error.at_fault().next(), Some("data"));
    assert_eq!(error.event_id(), Some("1"));
}
