//! The messages of `nats` tasks. Who carries them is the composition root's business: this crate knows no NATS.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::StatusCode;
use serde_json::{Value, json};
use spine_core::activity::Exchange;
use spine_core::names::{IDEMPOTENCY_HEADER, MSG_ID_HEADER};
use spine_core::run::Failure;

use crate::http::{Attempt, fatal, may_pass, too_large};
use crate::payload::{self, MAX_ANSWER_BYTES};

/// The headers of a service's answer that is an error (NATS ADR-32).
const SERVICE_ERROR: &str = "Nats-Service-Error";
const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";

/// Carries messages.
pub trait Messages: Send + Sync {
    /// Publishes, and waits at most `timeout` until a stream has it.
    fn publish(&self, message: Message, timeout: Duration) -> BoxFuture<'_, Result<Stored, Undelivered>>;

    /// Sends, and waits at most `timeout` for the first answer.
    fn request(&self, message: Message, timeout: Duration) -> BoxFuture<'_, Result<Reply, Undelivered>>;
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it goes.
    pub subject: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Where a stream keeps a message.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The stream.
    pub stream: String,
    /// The place in it.
    pub sequence: u64,
    /// Whether it was there before.
    pub duplicate: bool,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Why a message did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// No stream holds the subject, or its leader is away.
    #[error("no stream holds the subject")]
    NoStream,
    /// Nobody listens.
    #[error("nobody listens there")]
    NoResponders,
    /// There was no answer in time. Whether the message arrived is not known.
    #[error("there was no answer in {0:?}")]
    TimedOut(Duration),
    /// The server takes no message that large.
    #[error("the message is too large: {0}")]
    TooLarge(String),
    /// The server does not permit it.
    #[error("NATS does not permit it: {0}")]
    NotPermitted(String),
    /// The stream refuses it, and would refuse it again.
    #[error("the stream refuses it: {0}")]
    Refused(String),
    /// It is no message.
    #[error("it is no message: {0}")]
    Invalid(String),
    /// NATS or the stream can't be reached.
    #[error("NATS can't be reached: {0}")]
    Unavailable(String),
}

impl Undelivered {
    /// The failure's type, and whether another attempt may do better.
    fn kind(&self) -> (&'static str, bool) {
        match self {
            Undelivered::NoStream => ("NoStream", true),
            Undelivered::NoResponders => ("NoResponders", true),
            Undelivered::TimedOut(_) => ("Timeout", true),
            Undelivered::Unavailable(_) => ("NatsUnavailable", true),
            Undelivered::TooLarge(_) => ("MessageTooLarge", false),
            Undelivered::NotPermitted(_) => ("NotPermitted", false),
            Undelivered::Refused(_) => ("StreamRefused", false),
            Undelivered::Invalid(_) => ("InvalidRequest", false),
        }
    }
}

/// A rendered `nats` task.
pub(crate) struct Sending<'a> {
    pub(crate) exchange: Exchange,
    pub(crate) subject: &'a str,
    pub(crate) headers: &'a BTreeMap<String, String>,
    pub(crate) body: Option<&'a Value>,
    pub(crate) schema: Option<&'a Value>,
    pub(crate) idempotency_key: &'a str,
    pub(crate) timeout: Duration,
}

/// Performs a `nats` task. What a stream says of a message is its output, or what was answered.
pub(crate) async fn send(messages: &dyn Messages, sending: Sending<'_>) -> Result<Value, Attempt> {
    let what = format!("{} {}", sending.exchange.as_str(), sending.subject);
    let message = message(&sending)?;
    match sending.exchange {
        Exchange::Publish => {
            let stored = messages.publish(message, sending.timeout).await.map_err(|error| failed(&what, &error))?;
            Ok(json!({"stream": stored.stream, "sequence": stored.sequence, "duplicate": stored.duplicate}))
        }
        Exchange::Request => {
            let reply = messages.request(message, sending.timeout).await.map_err(|error| failed(&what, &error))?;
            answer(&reply, sending.schema, &what)
        }
    }
}

/// The message. Both its ids are the same for every attempt: a stream drops one that it has, a service can.
fn message(sending: &Sending<'_>) -> Result<Message, Attempt> {
    let mut headers = sending.headers.clone();
    let content_type = payload::header(&headers, "content-type");
    let payload = match sending.body {
        Some(body) => payload::encode(body, content_type)?,
        None => Vec::new(),
    };
    if sending.body.is_some() && content_type.is_none() {
        headers.insert("Content-Type".into(), payload::JSON.into());
    }
    for name in [MSG_ID_HEADER, IDEMPOTENCY_HEADER] {
        headers.insert(name.into(), sending.idempotency_key.to_owned());
    }
    Ok(Message { subject: sending.subject.to_owned(), headers, payload })
}

/// An answer as a value. Few services name a type: what then is JSON, is taken as such.
fn answer(reply: &Reply, schema: Option<&Value>, what: &str) -> Result<Value, Attempt> {
    refuse_error(reply, what)?;
    if reply.payload.len() > MAX_ANSWER_BYTES {
        return Err(too_large(what, MAX_ANSWER_BYTES));
    }
    let named = payload::header(&reply.headers, "content-type");
    let is_json = named.is_none() && serde_json::from_slice::<Value>(&reply.payload).is_ok();
    let content_type = if is_json { Some(payload::JSON) } else { named };
    if schema.is_some() {
        payload::check_type(&reply.payload, content_type, what)?;
    }
    let value = payload::decode(&reply.payload, content_type, what)?;
    if let Some(schema) = schema {
        payload::check(schema, &value, what)?;
    }
    Ok(value)
}

/// Codes of services' errors are those of HTTP where they mean anything.
fn refuse_error(reply: &Reply, what: &str) -> Result<(), Attempt> {
    let Some(code) = payload::header(&reply.headers, SERVICE_ERROR_CODE) else { return Ok(()) };
    let text: String = payload::header(&reply.headers, SERVICE_ERROR).unwrap_or_default().chars().take(200).collect();
    let status = code.parse::<u16>().ok().and_then(|code| StatusCode::from_u16(code).ok());
    let failure = Failure::new("ServiceError", format!("{what} answered error {code:?}: {text}"));
    Err(Attempt { failure, retryable: status.is_some_and(may_pass) })
}

fn failed(what: &str, error: &Undelivered) -> Attempt {
    let (kind, retryable) = error.kind();
    let message = format!("{what}: {error}");
    if retryable { Attempt { failure: Failure::new(kind, message), retryable } } else { fatal(kind, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(headers: &[(&str, &str)], payload: &[u8]) -> Reply {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Reply { headers: headers.iter().map(own).collect(), payload: payload.to_vec() }
    }

    fn check(reply: &Reply, schema: Option<Value>, expected: Result<Value, (&str, bool)>) {
        let answer = answer(reply, schema.as_ref(), "request x");
        let answer = answer.map_err(|attempt| (attempt.failure.kind, attempt.retryable));
        assert_eq!(answer, expected.map_err(|(kind, retryable)| (kind.to_owned(), retryable)), "{reply:?}");
    }

    #[test]
    fn an_answer_is_json_where_it_can_be() {
        let json_type = [("content-type", "application/json")];
        check(&reply(&[], b""), None, Ok(Value::Null));
        check(&reply(&[], br#"{"a": 1}"#), None, Ok(json!({"a": 1})));
        check(&reply(&[], b"fine"), None, Ok(json!("fine")));
        check(&reply(&[("Content-Type", "text/plain")], b"7"), None, Ok(json!("7")));
        check(&reply(&json_type, b"fine"), None, Err(("InvalidAnswer", false)));
        check(&reply(&[], &vec![b'x'; MAX_ANSWER_BYTES + 1]), None, Err(("AnswerTooLarge", false)));
        let object = Some(json!({"type": "object"}));
        check(&reply(&[], b"{}"), object.clone(), Ok(json!({})));
        check(&reply(&[], b"[]"), object.clone(), Err(("SchemaViolation", false)));
        check(&reply(&[], b"fine"), object, Err(("WrongContentType", false)));
    }

    #[test]
    fn a_services_error_is_a_failure() {
        let error = |code| reply(&[("Nats-Service-Error", "no"), ("Nats-Service-Error-Code", code)], b"{}");
        check(&error("400"), None, Err(("ServiceError", false)));
        check(&error("503"), None, Err(("ServiceError", true)));
        check(&error("SKU"), None, Err(("ServiceError", false)));
    }
}
