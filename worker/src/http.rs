//! Outbound HTTP: bounded in time and size, no redirects, failures named and typed.

mod tls;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, Method, StatusCode};
use serde_json::{Map, Value, json};
use spine_core::activity::{Output, Response};
use spine_core::run::Failure;

use self::tls::TlsClients;
pub use self::tls::TlsFiles;
use crate::payload::{self, MAX_ANSWER_BYTES};

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
    pub(crate) tls: Option<&'a str>,
    pub(crate) response: &'a Response,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) timeout: Duration,
    /// The most bytes of the answer that are read.
    pub(crate) max_bytes: usize,
}

/// The clients of the process: they keep connections.
pub(crate) struct HttpClient {
    plain: Result<Client, String>,
    tls: TlsClients,
}

impl HttpClient {
    pub(crate) fn new(tls: BTreeMap<String, TlsFiles>) -> Self {
        let plain = builder().build().map_err(|error| error.to_string());
        Self { plain, tls: TlsClients::new(tls) }
    }

    /// Sends the request. An answer that counts as success gives its JSON, its text, or null if it is empty; or
    /// all of that, if the task wants it.
    pub(crate) async fn send(&self, request: Outbound<'_>) -> Result<Value, Attempt> {
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|error| fatal("InvalidRequest", error.to_string()))?;
        let what = format!("{method} {}", without_query(request.url));
        let client = self.client(&request).await?;
        let mut builder = client.request(method, request.url).timeout(request.timeout).headers(headers(&request)?);
        if let Some(body) = request.body {
            builder = builder.body(payload::encode(body, payload::header(request.headers, "content-type"))?);
        }
        let response = builder.send().await.map_err(|error| transport(&what, &error, request.timeout))?;
        answer(response, &what, &request).await
    }

    async fn client(&self, request: &Outbound<'_>) -> Result<Client, Attempt> {
        match request.tls {
            None => self.plain.clone().map_err(|error| fatal("HttpClient", error)),
            Some(_) if !request.url.starts_with("https://") => {
                let message = "the task has TLS options, and its address does not begin with https://";
                Err(fatal("InvalidRequest", message))
            }
            Some(name) => self.tls.get(name, builder()).await,
        }
    }
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("spine/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
}

fn headers(request: &Outbound<'_>) -> Result<HeaderMap, Attempt> {
    let mut map = HeaderMap::new();
    if request.body.is_some() {
        map.insert(CONTENT_TYPE, HeaderValue::from_static(payload::JSON));
    }
    let key = request.idempotency_key.iter().map(|key| (spine_core::names::IDEMPOTENCY_HEADER, key));
    for (name, value) in request.headers.iter().map(|(name, value)| (name.as_str(), value)).chain(key) {
        let invalid = |what: &str| fatal("InvalidRequest", format!("header {name:?} has an invalid {what}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("name"))?;
        map.insert(name, HeaderValue::from_str(value).map_err(|_| invalid("value"))?);
    }
    Ok(map)
}

async fn answer(mut response: reqwest::Response, what: &str, request: &Outbound<'_>) -> Result<Value, Attempt> {
    let status = response.status();
    if !request.response.accepts(status.as_u16()) {
        let failure = Failure::new("HttpStatus", format!("{what} answered {status}"));
        return Err(Attempt { failure, retryable: may_pass(status) });
    }
    let headers = std::mem::take(response.headers_mut());
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = read(response, what, request).await?;
    if request.response.schema.is_some() {
        payload::check_type(&body, content_type, what)?;
    }
    let body = payload::decode(&body, content_type, what)?;
    if let Some(schema) = &request.response.schema {
        payload::check(schema, &body, what)?;
    }
    match request.response.output {
        Output::Body => Ok(body),
        Output::Full => full(status, &headers, body, what),
    }
}

async fn read(mut response: reqwest::Response, what: &str, request: &Outbound<'_>) -> Result<Vec<u8>, Attempt> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(what, &error, request.timeout))? {
        if body.len() + chunk.len() > request.max_bytes {
            return Err(too_large(what, request.max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Status, headers and body. A header that comes more than once is joined by commas (RFC 9110, section 5.3).
fn full(status: StatusCode, headers: &HeaderMap, body: Value, what: &str) -> Result<Value, Attempt> {
    let joined = |name: &HeaderName| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    };
    let headers: Map<String, Value> = headers.keys().map(|name| (name.to_string(), joined(name).into())).collect();
    let output = json!({"status": status.as_u16(), "headers": headers, "body": body});
    if output.to_string().len() > MAX_ANSWER_BYTES { Err(too_large(what, MAX_ANSWER_BYTES)) } else { Ok(output) }
}

/// Whether a later attempt may be answered otherwise (RFC 9110, section 15: the server's own errors,
/// and the two client errors that are about time).
pub(crate) fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn transport(what: &str, error: &reqwest::Error, timeout: Duration) -> Attempt {
    if error.is_builder() {
        return fatal("InvalidRequest", format!("{what}: the address is not valid"));
    }
    let failure = if error.is_timeout() {
        Failure::new("Timeout", format!("{what} gave no answer in {timeout:?}"))
    } else if is_tls(error) {
        Failure::new("TlsFailed", format!("{what}: {}", innermost(error)))
    } else {
        Failure::new("HttpTransport", format!("{what}: {}", innermost(error)))
    };
    Attempt { failure, retryable: true }
}

/// Whether the two sides could not agree on whom they talk to.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // What an I/O error wraps is not its source: it has to be asked for.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|inner| inner as _).or_else(|| error.source());
    }
    false
}

fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    source.to_string()
}

/// The failure of an answer that is larger than may be read.
pub(crate) fn too_large(what: &str, max_bytes: usize) -> Attempt {
    fatal(payload::TOO_LARGE, format!("{what} answered more than {max_bytes} bytes"))
}

/// A failure that no other attempt would mend.
pub(crate) fn fatal(kind: &str, message: impl Into<String>) -> Attempt {
    Attempt { failure: Failure::new(kind, message), retryable: false }
}

/// Query strings carry tokens: they stay out of messages.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}
