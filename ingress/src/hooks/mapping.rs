//! From a webhook's request to an event.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use spine_core::event::Event;
use spine_runtime::config::{HookStyle, IngressHook};

use crate::problem::{Code, Problem};

/// What each attribute of the event is made of.
#[derive(Debug)]
pub(super) struct Mapping {
    source: String,
    event_type: Vec<Part>,
    id: Place,
    subject: Option<Place>,
}

/// A part of a type: text, or what stands at a place.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

/// Where a value is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Header(HeaderName),
    /// A JSON Pointer (RFC 6901) into the body.
    Pointer(String),
    /// The SHA-256 of the body.
    Body,
}

impl Mapping {
    pub(super) fn new(config: &IngressHook) -> Result<Self, (&'static str, String)> {
        let id = match (&config.id, config.style) {
            (Some(text), _) => {
                place(text).ok_or(("id", "wanted header:NAME, a JSON Pointer such as /id, or body".to_owned()))?
            }
            (None, HookStyle::Github) => Place::Header(HeaderName::from_static("x-github-delivery")),
            (None, HookStyle::Stripe) => Place::Pointer("/id".to_owned()),
            (None, HookStyle::Hmac) => Place::Body,
        };
        let wanted = || ("subject", "wanted a JSON Pointer such as /repository/full_name".to_owned());
        let subject = config.subject.as_deref().map(|text| match place(text) {
            Some(pointer @ Place::Pointer(_)) => Ok(pointer),
            _ => Err(wanted()),
        });
        let mapping = Self {
            source: config.source.clone(),
            event_type: template(&config.event_type, config.style)?,
            id,
            subject: subject.transpose()?,
        };
        mapping.check_source()?;
        Ok(mapping)
    }

    /// Everything is checked as it is for any other event.
    pub(super) fn event(&self, headers: &HeaderMap, content_type: Option<&str>, body: &[u8]) -> Result<Event, Problem> {
        let request = Request { headers, body, json: self.json(body)? };
        let mut attributes = self.attributes();
        attributes.insert("id".to_owned(), request.value("id", &self.id)?);
        let parts = self.event_type.iter().map(|part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Place(place) => request.value("type", place),
        });
        attributes.insert("type".to_owned(), parts.collect::<Result<String, Problem>>()?);
        // Not every event of a sender is about such a thing: those that are not have no subject.
        if let Some(Ok(subject)) = self.subject.as_ref().map(|place| request.value("subject", place)) {
            attributes.insert("subject".to_owned(), subject);
        }
        Ok(Event::from_parts(attributes, content_type.map(str::to_owned), body)?)
    }

    fn attributes(&self) -> BTreeMap<String, String> {
        [("specversion", "1.0"), ("source", self.source.as_str())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// The body, if anything is taken out of it. That no key stands twice is checked with the event's data.
    fn json(&self, body: &[u8]) -> Result<Value, Problem> {
        let places = self.event_type.iter().filter_map(|part| match part {
            Part::Place(place) => Some(place),
            Part::Text(_) => None,
        });
        if !places.chain([&self.id]).chain(&self.subject).any(|place| matches!(place, Place::Pointer(_))) {
            return Ok(Value::Null);
        }
        let malformed = |error| Problem::new(Code::MalformedBody, format!("the body is no JSON: {error}"));
        serde_json::from_slice(body).map_err(malformed)
    }

    fn check_source(&self) -> Result<(), (&'static str, String)> {
        let mut attributes = self.attributes();
        attributes.extend([("id", "1"), ("type", "t")].map(|(name, value)| (name.to_owned(), value.to_owned())));
        Event::from_parts(attributes, None, b"").map(drop).map_err(|error| ("source", error.to_string()))
    }
}

/// A request, and its body as JSON if that is needed.
struct Request<'a> {
    headers: &'a HeaderMap,
    body: &'a [u8],
    json: Value,
}

impl Request<'_> {
    /// The text, number or truth at a place, as text.
    fn value(&self, attribute: &str, place: &Place) -> Result<String, Problem> {
        let missing = |what: String| Problem::new(Code::HookMapping, format!("{attribute} is to be {what}"));
        match place {
            Place::Body => Ok(Sha256::digest(self.body).iter().map(|byte| format!("{byte:02x}")).collect()),
            Place::Header(name) => {
                let mut values = self.headers.get_all(name).iter();
                match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
                    (Some(text), None) if !text.is_empty() => Ok(text.to_owned()),
                    _ => Err(missing(format!("the header {name}, which the request does not have once"))),
                }
            }
            Place::Pointer(pointer) => match self.json.pointer(pointer) {
                Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
                _ => Err(missing(format!("the text at {pointer} of the body, which has none there"))),
            },
        }
    }
}

fn place(text: &str) -> Option<Place> {
    match text.strip_prefix("header:") {
        Some(name) => name.parse().ok().map(Place::Header),
        None if text == "body" => Some(Place::Body),
        None => text.starts_with('/').then(|| Place::Pointer(text.to_owned())),
    }
}

/// The parts of a type. A placeholder is `{header:NAME}`, `{/json/pointer}`, or a word that the style knows.
fn template(text: &str, style: HookStyle) -> Result<Vec<Part>, (&'static str, String)> {
    let wrong = |what: &str| ("type", format!("{what}; wanted a type with {{header:NAME}} or {{/json/pointer}} in it"));
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or_else(|| wrong("a { has no }"))?;
        parts.push(Part::Text(before.to_owned()));
        let found = word(inside, style).or_else(|| place(inside).filter(|place| *place != Place::Body));
        parts.push(Part::Place(found.ok_or_else(|| wrong(&format!("{{{inside}}} is not known")))?));
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    let sample: String =
        parts.iter().map(|part| if let Part::Text(text) = part { text.as_str() } else { "x" }).collect();
    spine_core::event::check_type(&sample).map_err(|error| ("type", error.to_string()))?;
    Ok(parts)
}

fn word(name: &str, style: HookStyle) -> Option<Place> {
    match (name, style) {
        ("event", HookStyle::Github) => Some(Place::Header(HeaderName::from_static("x-github-event"))),
        ("action", HookStyle::Github) | ("type", HookStyle::Stripe) => Some(Place::Pointer(format!("/{name}"))),
        _ => None,
    }
}
