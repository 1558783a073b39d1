//! Looks up the outside data that a run decides on.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Map, Value};
use spine_core::activity::{ContextSource, Lookup, Response};
use spine_core::expression::{EvalError, Scope, Template};
use spine_core::run::Failure;
use spine_store::QueryError;

use crate::engine::Engine;
use crate::http::{Attempt, Outbound};

/// How often a lookup that may pass is tried before its default stands in or the run fails.
const ATTEMPTS: u32 = 3;
/// The most bytes of a whole context, as JSON. It stands in the run's row and never in Temporal's history, so what
/// bounds it is the memory of the worker, which holds it while a run is decided.
const MAX_CONTEXT_BYTES: usize = 8 * 1024 * 1024;
/// The most bytes that one source may give. A database is held to the same.
const MAX_SOURCE_BYTES: usize = spine_store::MAX_BYTES;

/// All sources, looked up at once. Fails with the first source by name that failed and has no default.
pub(crate) async fn resolve(
    engine: &Engine,
    sources: &BTreeMap<String, ContextSource>,
    scope: &Scope,
) -> Result<Value, Failure> {
    let mut lookups: FuturesUnordered<_> = sources
        .iter()
        .map(|(name, source)| async move { (name, value_of(engine, name, source, scope).await) })
        .collect();
    let (mut values, mut bytes) = (BTreeMap::new(), 0);
    while let Some((name, value)) = lookups.next().await {
        bytes += value.as_ref().map_or(0, |value| value.to_string().len());
        // At once, and the lookups that go on are dropped: what they would bring is not waited for.
        if bytes > MAX_CONTEXT_BYTES {
            let message = format!("the context has more than {MAX_CONTEXT_BYTES} bytes, which are allowed in all");
            return Err(Failure::new("ContextTooLarge", message));
        }
        values.insert(name.clone(), value);
    }
    values.into_iter().map(|(name, value)| Ok((name, value?))).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

/// What a source gives, or what stands in for it.
async fn value_of(engine: &Engine, name: &str, source: &ContextSource, scope: &Scope) -> Result<Value, Failure> {
    match (look_up(engine, source, scope).await, &source.default) {
        (Ok(value), _) => Ok(value),
        (Err(failure), Some(default)) => {
            tracing::warn!(context = name, error = failure.message, "the lookup failed; its default stands in");
            Ok(default.clone())
        }
        (Err(failure), None) => Err(Failure::new("ContextFailed", format!("context {name}: {}", failure.message))),
    }
}

async fn look_up(engine: &Engine, source: &ContextSource, scope: &Scope) -> Result<Value, Failure> {
    let mut pause = Duration::from_millis(200);
    let mut attempt = 1;
    loop {
        match try_once(engine, source, scope).await {
            Err(Attempt { retryable: true, .. }) if attempt < ATTEMPTS => {
                tokio::time::sleep(pause).await;
                pause *= 4;
                attempt += 1;
            }
            result => return result.map_err(|attempt| attempt.failure),
        }
    }
}

async fn try_once(engine: &Engine, source: &ContextSource, scope: &Scope) -> Result<Value, Attempt> {
    let secrets = engine.secrets.reveal(source.lookup.secrets()).await?;
    let scope = scope.clone().with_secrets(secrets.values());
    secrets.hide_from(ask(engine, source, &scope).await)
}

async fn ask(engine: &Engine, source: &ContextSource, scope: &Scope) -> Result<Value, Attempt> {
    match &source.lookup {
        Lookup::Http { address, headers, tls } => {
            let url = address.render(scope).map_err(unusable)?;
            let headers = render_headers(headers, scope).map_err(unusable)?;
            let request = Outbound {
                method: "GET",
                url: &url,
                headers: &headers,
                body: None,
                tls: tls.as_deref(),
                response: &Response::default(),
                idempotency_key: None,
                timeout: source.timeout,
                max_bytes: MAX_SOURCE_BYTES,
            };
            engine.http.send(request).await
        }
        Lookup::Sql { query, args, database } => {
            let args = args.iter().map(|arg| arg.render(scope)).collect::<Result<Vec<_>, _>>().map_err(unusable)?;
            let known = engine.database(database)?;
            known.query(query, &args, source.timeout).await.map_err(|error| sql_failed(database, &error))
        }
    }
}

fn render_headers(headers: &BTreeMap<String, Template>, scope: &Scope) -> Result<BTreeMap<String, String>, EvalError> {
    headers.iter().map(|(name, value)| Ok((name.clone(), value.render_text(scope)?))).collect()
}

/// Why a statement failed, for people, without its arguments.
pub(crate) fn sql_failed(database: &str, error: &QueryError) -> Attempt {
    let message = format!("database {database}: {}", chain(error));
    let kind = match error {
        QueryError::TooManyRows | QueryError::TooManyBytes(_) => "AnswerTooLarge",
        _ => "SqlFailed",
    };
    Attempt { retryable: error.is_transient(), failure: Failure::new(kind, message) }
}

/// An error with all that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn unusable(error: EvalError) -> Attempt {
    Attempt { failure: Failure::new("ExpressionFailed", error.to_string()), retryable: false }
}
