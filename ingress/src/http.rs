//! The HTTP binding (CloudEvents HTTP protocol binding 1.0.2): a request becomes an event.

use axum::http::{HeaderMap, StatusCode, header};
use spine_core::event::{Event, EventError};
use spine_nats::wire::{self, Mode};

/// Why a request is no event: the status to answer with, and what is wrong.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: EventError,
}

/// The event of a request, and the mode it came in.
pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<(Event, Mode), Refusal> {
    let content_type = content_type(headers).map_err(invalid)?;
    let unsupported = |error| Refusal { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, error };
    let mode = wire::content_mode(content_type).map_err(unsupported)?;
    let event = match mode {
        Mode::Structured => Event::from_json(body),
        Mode::Binary => binary(headers, content_type, body),
    };
    Ok((event.map_err(invalid)?, mode))
}

fn invalid(error: EventError) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, error }
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

fn content_type(headers: &HeaderMap) -> Result<Option<&str>, EventError> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let first = values.next().map(|value| text(wire::CONTENT_TYPE, value)).transpose()?;
    match values.next() {
        Some(_) => Err(EventError::new(wire::CONTENT_TYPE, "two of them", "stand once")),
        None => Ok(first),
    }
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
        let (event, mode) = parse(&headers, b"{\"n\": 1}").unwrap();
        assert_eq!(mode, Mode::Binary);
        assert_eq!(event.datacontenttype.as_deref(), Some("application/json"));
        assert_eq!(event.subject.as_deref(), Some("a b"));
        assert_eq!(event.data, Data::Json(json!({"n": 1})));
    }

    #[test]
    fn structured_mode_takes_all_from_the_body() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/CloudEvents+json; charset=utf-8".parse().unwrap());
        let body = json!({"specversion": "1.0", "id": "7", "source": "/shop", "type": "t", "data": 1});
        let (event, mode) = parse(&headers, body.to_string().as_bytes()).unwrap();
        assert_eq!((mode, event.to_json()), (Mode::Structured, body));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let check = |extra: &[(&'static str, &'static str)], status: u16, at_fault: &str| {
            let refusal = parse(&request(extra), b"x").unwrap_err();
            assert_eq!(refusal.status.as_u16(), status, "{extra:?}");
            assert_eq!(refusal.error.at_fault().next(), Some(at_fault), "{extra:?}");
        };
        check(&[("content-type", "application/cloudevents-batch+json")], 415, "Content-Type");
        check(&[("content-type", "application/cloudevents+xml")], 415, "Content-Type");
        check(&[("content-type", "text/plain"), ("content-type", "text/html")], 400, "Content-Type");
        check(&[("content-type", "application/json")], 400, "data");
        check(&[("ce-datacontenttype", "text/plain")], 400, "datacontenttype");
        check(&[("ce-id", "8")], 400, "id");
        check(&[("ce-time", "now")], 400, "time");
        assert_eq!(parse(&HeaderMap::new(), b"{}").unwrap_err().status.as_u16(), 400);
    }
}
