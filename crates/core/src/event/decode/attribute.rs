//! The rules for each context attribute (CloudEvents 1.0.2, section 3).

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::{EventError, Known, Problem};
use super::kind;
use crate::event::{Data, Event, MAX_ATTRIBUTE_BYTES, MAX_ID_BYTES};

const NAME: &str = "be 1 to 20 characters of a-z and 0-9 (section 3, \"Naming conventions\")";
const TYPE: &str = "be tokens of A-Z, a-z, 0-9, _ and -, joined by dots, because it is part of a subject";
const REQUIRED: &str = "be a non-empty string (section 3.1, \"Required attributes\")";
const TEXT: &str = "have no control characters (section 3, \"Type system\")";
const URI_REFERENCE: &str = "be a URI-reference, RFC 3986 (section 3, \"Type system\")";

/// Whether `text` can be an event's type, and so part of a subject.
pub fn check_type(text: &str) -> Result<(), EventError> {
    type_rule(text).map_err(|rule| EventError::new("type", format_args!("{text:?}"), rule))
}

/// Whether `text` can be the name of a context attribute (section 3, "Naming conventions").
pub fn check_attribute_name(text: &str) -> Result<(), EventError> {
    if is_attribute_name(text) { Ok(()) } else { Err(EventError::new("name", format_args!("{text:?}"), NAME)) }
}

/// Whether data of this media type is JSON (CloudEvents JSON format 1.0.2, section 3.1).
pub(super) fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence.split_once('/').is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

/// Whether data of this media type is text that claims no encoding other than UTF-8.
pub(super) fn is_utf8_text(media_type: &str) -> bool {
    let lower = media_type.to_ascii_lowercase();
    let charset = lower.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("charset="));
    lower.trim_start().starts_with("text/")
        && charset.is_none_or(|charset| matches!(charset.trim_matches('"'), "utf-8" | "us-ascii"))
}

/// Attributes on their way into an event, and what was found wrong with them.
pub(super) struct Attributes {
    map: Map<String, Value>,
    problems: Vec<Problem>,
    known: Known,
}

impl Attributes {
    /// All attributes but data. A null stands for an attribute that is not set (JSON format, section 2.1).
    pub(super) fn from_map(mut map: Map<String, Value>) -> Self {
        map.retain(|_, value| !value.is_null());
        let text = |name: &str| map.get(name).and_then(Value::as_str).map(str::to_owned);
        let known = Known { source: text("source"), id: text("id"), event_type: text("type") };
        Self { map, problems: Vec::new(), known }
    }

    pub(super) fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The event without its data; worthless if a problem was found.
    pub(super) fn event(&mut self) -> Event {
        self.version();
        Event {
            id: self.required("id", MAX_ID_BYTES, |_| Ok(())),
            source: self.required("source", MAX_ATTRIBUTE_BYTES, uri_reference_rule),
            event_type: self.required("type", MAX_ATTRIBUTE_BYTES, type_rule),
            subject: self.optional("subject", MAX_ATTRIBUTE_BYTES, |_| Ok(())),
            time: self.optional("time", MAX_ATTRIBUTE_BYTES, time_rule),
            datacontenttype: self.optional("datacontenttype", MAX_ATTRIBUTE_BYTES, media_type_rule),
            dataschema: self.optional("dataschema", MAX_ATTRIBUTE_BYTES, uri_rule),
            extensions: self.extensions(),
            data: Data::None,
        }
    }

    /// The event if nothing was refused.
    pub(super) fn finish(self, event: Event) -> Result<Event, EventError> {
        if self.problems.is_empty() { Ok(event) } else { Err(EventError::of(self.problems, self.known)) }
    }

    fn version(&mut self) {
        let rule = "be the string \"1.0\" (section 3.1, \"specversion\")";
        match self.map.remove("specversion") {
            Some(Value::String(version)) if version == "1.0" => {}
            Some(other) => self.problem("specversion", other, rule),
            None => self.problem("specversion", "none", rule),
        }
    }

    fn required(&mut self, name: &str, limit: usize, rule: fn(&str) -> Result<(), &'static str>) -> String {
        if self.map.contains_key(name) {
            return self.optional(name, limit, rule).unwrap_or_default();
        }
        self.problem(name, "none", REQUIRED);
        String::new()
    }

    fn optional(&mut self, name: &str, limit: usize, rule: fn(&str) -> Result<(), &'static str>) -> Option<String> {
        let text = match self.map.remove(name)? {
            Value::String(text) => text,
            other => {
                self.problem(name, kind(&other), "be a string (section 3)");
                return None;
            }
        };
        if text.is_empty() {
            self.problem(name, "an empty string", "be a non-empty string (section 3)");
        } else if text.len() > limit {
            let rule = format!("have at most {limit} bytes");
            self.problems.push(Problem::new(name, format_args!("{} bytes", text.len()), rule));
        } else if !is_clean(&text) {
            self.problem(name, format_args!("{text:?}"), TEXT);
        } else if let Err(rule) = rule(&text) {
            self.problem(name, format_args!("{text:?}"), rule);
        }
        Some(text)
    }

    fn extensions(&mut self) -> BTreeMap<String, Value> {
        let map = std::mem::take(&mut self.map);
        for (name, value) in &map {
            if !is_attribute_name(name) || name == "data" {
                self.problem("name", format_args!("{name:?}"), NAME);
            } else if let Some(rule) = extension_problem(value) {
                self.problem(name, value, rule);
            }
        }
        map.into_iter().collect()
    }

    fn problem(&mut self, attribute: &str, seen: impl Display, rule: &'static str) {
        self.problems.push(Problem::new(attribute, seen, rule));
    }
}

fn extension_problem(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) => (!is_clean(text)).then_some(TEXT),
        Value::Bool(_) => None,
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => None,
        _ => Some("be a string, a boolean or a 32-bit integer (section 3, \"Type system\")"),
    }
}

fn is_attribute_name(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_clean(text: &str) -> bool {
    let noncharacter = |c: char| matches!(u32::from(c), 0xFDD0..=0xFDEF) || u32::from(c) & 0xFFFE == 0xFFFE;
    !text.chars().any(|c| c.is_control() || noncharacter(c))
}

fn type_rule(text: &str) -> Result<(), &'static str> {
    let is_token = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    if text.len() <= MAX_ATTRIBUTE_BYTES && text.split('.').all(is_token) { Ok(()) } else { Err(TYPE) }
}

fn time_rule(text: &str) -> Result<(), &'static str> {
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(_) => Ok(()),
        Err(_) => Err("be a timestamp, RFC 3339 (section 3, \"Type system\")"),
    }
}

fn media_type_rule(text: &str) -> Result<(), &'static str> {
    let is_token = |token: &str| {
        !token.is_empty()
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*'|~`%".contains(&byte))
    };
    match essence(text).split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => Ok(()),
        _ => Err("be a media type, RFC 2046 (section 3.1, \"datacontenttype\")"),
    }
}

fn uri_rule(text: &str) -> Result<(), &'static str> {
    let has_scheme = text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    if has_scheme && is_uri_reference(text) {
        Ok(())
    } else {
        Err("be an absolute URI, RFC 3986 (section 3.1, \"dataschema\")")
    }
}

fn uri_reference_rule(text: &str) -> Result<(), &'static str> {
    if is_uri_reference(text) { Ok(()) } else { Err(URI_REFERENCE) }
}

/// The characters of RFC 3986, whole percent-escapes and at most one fragment.
fn is_uri_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let is_hex = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_hexdigit);
    let whole_escapes = bytes.iter().enumerate().all(|(i, byte)| *byte != b'%' || (is_hex(i + 1) && is_hex(i + 2)));
    bytes.iter().all(|byte| allowed(*byte)) && whole_escapes && text.matches('#').count() <= 1
}

fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
