//! Looks up the outside data that a run decides on.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Map, Value};
use spine_core::activity::{ContextSource, Lookup};
use spine_core::expression::{EvalError, Scope, Template};
use spine_core::run::Failure;
use spine_store::QueryError;

use crate::engine::Engine;
use crate::http::{Attempt, Outbound};

/// How often a lookup that may pass is tried before its default stands in or the run fails.
const ATTEMPTS: u32 = 3;
/// The most bytes of a whole context, as JSON.
const MAX_CONTEXT_BYTES: usize = 256 * 1024;

/// All sources, looked up at once. Fails with the first source by name that failed and has no default.
pub(crate) async fn resolve(
    engine: &Engine,
    sources: &BTreeMap<String, ContextSource>,
    scope: &Scope,
) -> Result<Value, Failure> {
    let lookups = sources
        .iter()
        .map(|(name, source)| async move { (name, look_up(engine, source, scope).await, &source.default) });
    let mut context = Map::new();
    for (name, result, default) in join_all(lookups).await {
        let value = match (result, default) {
            (Ok(value), _) => value,
            (Err(failure), Some(default)) => {
                tracing::warn!(context = name, error = failure.message, "the lookup failed; its default stands in");
                default.clone()
            }
            (Err(failure), None) => {
                return Err(Failure::new("ContextFailed", format!("context {name}: {}", failure.message)));
            }
        };
        context.insert(name.clone(), value);
    }
    let context = Value::Object(context);
    match context.to_string().len() {
        bytes if bytes > MAX_CONTEXT_BYTES => Err(Failure::new(
            "ContextTooLarge",
            format!("the context has {bytes} bytes; at most {MAX_CONTEXT_BYTES} are allowed"),
        )),
        _ => Ok(context),
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
        Lookup::Http { url, headers } => {
            let url = url.render_url(scope).map_err(unusable)?;
            let headers = render_headers(headers, scope).map_err(unusable)?;
            let request = Outbound {
                method: "GET",
                url: &url,
                headers: &headers,
                body: None,
                idempotency_key: None,
                timeout: source.timeout,
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
    Attempt { retryable: error.is_transient(), failure: Failure::new("SqlFailed", message) }
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
