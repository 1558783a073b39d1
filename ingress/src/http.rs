//! The HTTP binding (CloudEvents HTTP protocol binding 1.0.2): a request becomes an event.

use axum::http::{HeaderMap, header};
use spine_core::event::{Event, EventError};
use spine_nats::wire::{self, Mode};

use crate::problem::{Code, Problem};

/// The content type of a batch (JSON event format 1.0.2, section 4).
pub const BATCH_TYPE: &str = "application/cloudevents-batch+json";

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One event.
    Event(Mode),
    /// A list of events.
    Batch,
}

/// What a request with these headers carries.
pub fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let content_type = content_type(headers)?;
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(BATCH_TYPE) {
        return Ok(Form::Batch);
    }
    let unsupported = |error: EventError| Problem::new(Code::UnsupportedMediaType, error.to_string());
    wire::content_mode(content_type).map(Form::Event).map_err(unsupported)
}

/// The event of a request in this mode, checked by every rule.
pub fn parse(mode: Mode, headers: &HeaderMap, body: &[u8]) -> Result<Event, EventError> {
    match mode {
        Mode::Structured => Event::from_json(body),
        Mode::Binary => binary(headers, content_type(headers)?, body),
    }
}

/// The one content type of a request, as it was sent.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<Option<&str>, EventError> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let first = values.next().map(|value| text(wire::CONTENT_TYPE, value)).transpose()?;
    match values.next() {
        Some(_) => Err(EventError::new(wire::CONTENT_TYPE, "two of them", "stand once")),
        None => Ok(first),
    }
}

fn binary(headers: &HeaderMap, content_type: Option<&str>, body: &[u8]) -> Result<Event, EventError> {
    let mut pairs = Vec::new();
    for (name, value) in headers {
        if name.as_str().starts_with("ce-") {
            pairs.push((name.as_str(), text(name.as_str(), value)?));
        }
    }
    let attributes = wire::attributes_of(pairs.into_iter())?;
    if attributes.contains_key("datacontenttype") {
        let rule = "stand in Content-Type (HTTP binding, section 3.1.1)";
        return Err(EventError::new("datacontenttype", "ce-datacontenttype", rule));
    }
    Event::from_parts(attributes, content_type.map(str::to_owned), body)
}

fn text<'a>(name: &str, value: &'a header::HeaderValue) -> Result<&'a str, EventError> {
    let rule = "be printable ASCII, everything else percent-encoded (HTTP binding, section 3.1.3.2)";
    value.to_str().map_err(|_| EventError::new(name, format_args!("{value:?}"), rule))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spine_core::event::Data;

    use super::*;

    const BINARY: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/shop"), ("ce-type", "com.shop.order")];

    fn request(extra: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = BINARY.iter().chain(extra);
        pairs.map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap())).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn binary_mode_takes_the_media_type_from_the_content_type() {
        let headers = request(&[("content-type", "application/json"), ("ce-subject", "a%20b")]);
        assert_eq!(form(&headers).unwrap(), Form::Event(Mode::Binary));
        let event = parse(Mode::Binary, &headers, b"{\"n\": 1}").unwrap();
        assert_eq!(event.datacontenttype.as_deref(), Some("application/json"));
        assert_eq!(event.subject.as_deref(), Some("a b"));
        assert_eq!(event.data, Data::Json(json!({"n": 1})));
    }

    #[test]
    fn structured_mode_takes_all_from_the_body() {
        let body = json!({"specversion": "1.0", "id": "7", "source": "/shop", "type": "t", "data": 1});
        let event = parse(Mode::Structured, &HeaderMap::new(), body.to_string().as_bytes()).unwrap();
        assert_eq!(event.to_json(), body);
    }

    #[test]
    fn the_content_type_tells_the_form_in_any_case_and_with_parameters() {
        let check = |content_type: &'static str, expected: Result<Form, Code>| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]);
            assert_eq!(form(&headers).map_err(|problem| problem.code), expected, "{content_type}");
        };
        check("application/CloudEvents+JSON; charset=utf-8", Ok(Form::Event(Mode::Structured)));
        check("Application/CloudEvents-Batch+json;charset=\"utf-8\"", Ok(Form::Batch));
        check("text/plain", Ok(Form::Event(Mode::Binary)));
        check("application/cloudevents-batch+avro", Err(Code::UnsupportedMediaType));
        check("application/cloudevents+xml", Err(Code::UnsupportedMediaType));
        check("application/cloudevents", Err(Code::UnsupportedMediaType));
        let twice = request(&[("content-type", "text/plain"), ("content-type", "text/html")]);
        assert_eq!(form(&twice).map_err(|problem| problem.code), Err(Code::InvalidEvent));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let check = |extra: &[(&'static str, &'static str)], at_fault: &str| {
            let error = parse(Mode::Binary, &request(extra), b"x").unwrap_err();
            assert_eq!(error.at_fault().next(), Some(at_fault), "{extra:?}");
        };
        check(&[("content-type", "application/json")], "data");
        check(&[("ce-datacontenttype", "text/plain")], "datacontenttype");
        check(&[("ce-id", "8")], "id");
        check(&[("ce-time", "now")], "time");
        check(&[("ce-time", "10000-01-01T00:00:00Z")], "time");
        assert!(parse(Mode::Binary, &HeaderMap::new(), b"{}").is_err());
    }
}
