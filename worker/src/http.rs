//! Outbound HTTP: bounded in time and size, no redirects, failures named and typed.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use spine_core::run::Failure;

/// The most bytes of a task's answer that are read: what an expression's result may have.
pub(crate) const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// A failed attempt, and whether another one may do better.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) failure: Failure,
    pub(crate) retryable: bool,
}

/// A request with nothing left to fill in.
pub(crate) struct Outbound<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a BTreeMap<String, String>,
    pub(crate) body: Option<&'a Value>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) timeout: Duration,
    /// The most bytes of the answer that are read.
    pub(crate) max_bytes: usize,
}

/// The one client of the process: it keeps connections.
pub(crate) struct HttpClient(Result<reqwest::Client, String>);

impl HttpClient {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .user_agent(concat!("spine/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Self(client.map_err(|error| error.to_string()))
    }

    /// Sends the request. A 2xx answer gives its JSON, its text, or null if it is empty.
    pub(crate) async fn send(&self, request: Outbound<'_>) -> Result<Value, Attempt> {
        let client = self.0.as_ref().map_err(|error| fatal("HttpClient", error.clone()))?;
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|error| fatal("InvalidRequest", error.to_string()))?;
        let what = format!("{method} {}", without_query(request.url));
        let mut builder = client.request(method, request.url).timeout(request.timeout).headers(headers(&request)?);
        if let Some(body) = request.body {
            builder = builder.json(body);
        }
        let response = builder.send().await.map_err(|error| transport(&what, &error, request.timeout))?;
        answer(response, &what, request.timeout, request.max_bytes).await
    }
}

fn headers(request: &Outbound<'_>) -> Result<HeaderMap, Attempt> {
    let mut map = HeaderMap::new();
    let key = request.idempotency_key.iter().map(|key| (spine_core::names::IDEMPOTENCY_HEADER, key));
    for (name, value) in request.headers.iter().map(|(name, value)| (name.as_str(), value)).chain(key) {
        let invalid = |what: &str| fatal("InvalidRequest", format!("header {name:?} has an invalid {what}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("name"))?;
        map.insert(name, HeaderValue::from_str(value).map_err(|_| invalid("value"))?);
    }
    Ok(map)
}

async fn answer(mut response: Response, what: &str, timeout: Duration, max_bytes: usize) -> Result<Value, Attempt> {
    let status = response.status();
    if !status.is_success() {
        let failure = Failure::new("HttpStatus", format!("{what} answered {status}"));
        return Err(Attempt { failure, retryable: may_pass(status) });
    }
    let json = response.headers().get("content-type").and_then(|value| value.to_str().ok()).is_some_and(is_json);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(what, &error, timeout))? {
        if body.len() + chunk.len() > max_bytes {
            return Err(fatal("AnswerTooLarge", format!("{what} answered more than {max_bytes} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    match (body.is_empty(), json) {
        (true, _) => Ok(Value::Null),
        (false, true) => serde_json::from_slice(&body)
            .map_err(|error| fatal("InvalidAnswer", format!("{what} answered invalid JSON: {error}"))),
        (false, false) => String::from_utf8(body)
            .map(Value::from)
            .map_err(|_| fatal("InvalidAnswer", format!("{what} answered neither JSON nor UTF-8 text"))),
    }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

/// Whether a later attempt may be answered otherwise (RFC 9110, section 15: the server's own errors,
/// and the two client errors that are about time).
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn transport(what: &str, error: &reqwest::Error, timeout: Duration) -> Attempt {
    if error.is_builder() {
        return fatal("InvalidRequest", format!("{what}: the address is not valid"));
    }
    let failure = if error.is_timeout() {
        Failure::new("Timeout", format!("{what} gave no answer in {timeout:?}"))
    } else {
        Failure::new("HttpTransport", format!("{what}: {}", innermost(error)))
    };
    Attempt { failure, retryable: true }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    source.to_string()
}

fn fatal(kind: &str, message: impl Into<String>) -> Attempt {
    Attempt { failure: Failure::new(kind, message), retryable: false }
}

/// Query strings carry tokens: they stay out of messages.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}
