//! The outside data that a run decides on: looked up once, then taken from its row.
//!
//! Most contexts are small, so lookups begin with little room. Where an answer turns out larger, all is looked up
//! again with room for the largest: who already holds something never waits for more.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Map, Value};
use spine_core::activity::{ContextSource, Lookup, Response};
use spine_core::expression::{EvalError, Scope, Template};
use spine_core::run::Failure;
use spine_store::{QueryError, RunRow, StoreError};

use crate::engine::Engine;
use crate::http::{Attempt, Outbound};
use crate::payload::TOO_LARGE;
use crate::room::{self, Place};

/// How often a lookup that may pass is tried before its default stands in or the run fails.
const ATTEMPTS: u32 = 3;
/// The most bytes of a whole context, as JSON. It stands in the run's row and never in Temporal's history, so what
/// bounds it is the memory of the worker, which holds it while a run is decided.
pub(crate) const MAX_CONTEXT_BYTES: usize = 8 * 1024 * 1024;
/// The most bytes that one source may give. A database is held to the same.
const MAX_SOURCE_BYTES: usize = spine_store::MAX_BYTES;

/// How much may be read.
#[derive(Clone, Copy)]
struct Bounds {
    source: usize,
    whole: usize,
}

const SMALL: Bounds = Bounds { source: room::SMALL_BYTES, whole: room::SMALL_BYTES };
const LARGE: Bounds = Bounds { source: MAX_SOURCE_BYTES, whole: MAX_CONTEXT_BYTES };

/// Why there is no context.
enum Refused {
    /// It is larger than the bounds, which might be wider.
    Beyond,
    Failed(Failure),
}

/// A context with the room that it takes.
pub(crate) struct Held {
    pub(crate) context: Value,
    pub(crate) hash: String,
    pub(crate) place: Place,
}

/// The context that a run's row has, if it has one.
pub(crate) async fn stored(engine: &Engine, run: &RunRow) -> Result<Option<Held>, StoreError> {
    let Some(hash) = run.context_hash.clone() else { return Ok(None) };
    if let Some(context) = &run.context {
        return Ok(Some(Held { context: context.clone(), hash, place: Place::default() }));
    }
    let place = engine.room.take(engine.store.context_bytes(&run.id).await?).await;
    let run = engine.store.load_run(&run.id).await?.ok_or_else(|| StoreError::UnknownRun(run.id.clone()))?;
    Ok(Some(Held { context: run.context.unwrap_or_default(), hash, place }))
}

/// All sources, looked up at once. Fails with the first source by name that failed and has no default.
pub(crate) async fn resolve(
    engine: &Engine,
    sources: &BTreeMap<String, ContextSource>,
    scope: &Scope,
) -> Result<(Value, Place), Failure> {
    match look_up_all(engine, sources, scope, SMALL).await {
        Ok((context, _)) => return Ok((context, Place::default())),
        Err(Refused::Failed(failure)) => return Err(failure),
        Err(Refused::Beyond) => {}
    }
    let mut place = engine.room.take(MAX_CONTEXT_BYTES).await;
    match look_up_all(engine, sources, scope, LARGE).await {
        Ok((context, bytes)) => {
            place.shrink(bytes);
            Ok((context, place))
        }
        Err(Refused::Failed(failure)) => Err(failure),
        Err(Refused::Beyond) => {
            let message = format!("the context has more than {MAX_CONTEXT_BYTES} bytes, which are allowed in all");
            Err(Failure::new("ContextTooLarge", message))
        }
    }
}

/// The values, and how many bytes of JSON they have.
async fn look_up_all(
    engine: &Engine,
    sources: &BTreeMap<String, ContextSource>,
    scope: &Scope,
    bounds: Bounds,
) -> Result<(Value, usize), Refused> {
    let mut lookups: FuturesUnordered<_> = sources
        .iter()
        .map(|(name, source)| async move { (name, value_of(engine, name, source, scope, bounds).await) })
        .collect();
    let (mut values, mut bytes) = (BTreeMap::new(), 0);
    while let Some((name, value)) = lookups.next().await {
        bytes += value.as_ref().map_or(0, |value| value.to_string().len());
        // At once, and the lookups that go on are dropped: what they would bring is not waited for.
        if bytes > bounds.whole || matches!(value, Err(Refused::Beyond)) {
            return Err(Refused::Beyond);
        }
        values.insert(name.clone(), value);
    }
    let values = values.into_iter().map(|(name, value)| Ok((name, value?))).collect::<Result<Map<_, _>, _>>()?;
    Ok((Value::Object(values), bytes))
}

/// What a source gives, or what stands in for it.
async fn value_of(
    engine: &Engine,
    name: &str,
    source: &ContextSource,
    scope: &Scope,
    bounds: Bounds,
) -> Result<Value, Refused> {
    match (look_up(engine, source, scope, bounds.source).await, &source.default) {
        (Ok(value), _) => Ok(value),
        (Err(failure), _) if failure.kind == TOO_LARGE && bounds.source < LARGE.source => Err(Refused::Beyond),
        (Err(failure), Some(default)) => {
            tracing::warn!(context = name, error = failure.message, "the lookup failed; its default stands in");
            Ok(default.clone())
        }
        (Err(failure), None) => {
            Err(Refused::Failed(Failure::new("ContextFailed", format!("context {name}: {}", failure.message))))
        }
    }
}

async fn look_up(engine: &Engine, source: &ContextSource, scope: &Scope, most: usize) -> Result<Value, Failure> {
    let mut pause = Duration::from_millis(200);
    let mut attempt = 1;
    loop {
        match try_once(engine, source, scope, most).await {
            Err(Attempt { retryable: true, .. }) if attempt < ATTEMPTS => {
                tokio::time::sleep(pause).await;
                pause *= 4;
                attempt += 1;
            }
            result => return result.map_err(|attempt| attempt.failure),
        }
    }
}

async fn try_once(engine: &Engine, source: &ContextSource, scope: &Scope, most: usize) -> Result<Value, Attempt> {
    let secrets = engine.secrets.reveal(source.lookup.secrets()).await?;
    let scope = scope.clone().with_secrets(secrets.values());
    secrets.hide_from(ask(engine, source, &scope, most).await)
}

async fn ask(engine: &Engine, source: &ContextSource, scope: &Scope, most: usize) -> Result<Value, Attempt> {
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
                max_bytes: most,
            };
            engine.http.send(request).await
        }
        Lookup::Sql { query, args, database } => {
            let args = args.iter().map(|arg| arg.render(scope)).collect::<Result<Vec<_>, _>>().map_err(unusable)?;
            let known = engine.database(database)?;
            known.query(query, &args, source.timeout, most).await.map_err(|error| sql_failed(database, &error))
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
        QueryError::TooManyRows | QueryError::TooManyBytes(_) => TOO_LARGE,
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
