//! `POST /hooks/{source}`.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use spine_nats::wire::Mode;

use super::Hook;
use crate::Shared;
use crate::listen::Peer;
use crate::problem::{Code, Problem};
use crate::publication;
use crate::rate::Asker;

pub(crate) async fn accept(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    answer(&shared, &peer, &name, request).await.unwrap_or_else(Problem::into_response)
}

async fn answer(shared: &Shared, peer: &Peer, name: &str, request: Request) -> Result<Response, Problem> {
    let unknown = || Problem::new(Code::NoSuchHook, format!("no [ingress.hooks.{name}] is configured"));
    let hook = shared.hooks.get(name).ok_or_else(unknown)?;
    let (head, body) = request.into_parts();
    let body = signed(shared, peer, name, hook, &head.headers, body).await?;
    shared.take(Asker::Hook(name.to_owned()), Instant::now())?;
    let event = hook.event(&head.headers, &body).inspect_err(|_| shared.rejected(1))?;
    publication::one(shared, event, Mode::Binary).await
}

/// The body, if its signature is right. Whose it is, is not known before all of it is there.
async fn signed(
    shared: &Shared,
    peer: &Peer,
    name: &str,
    hook: &Hook,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, Problem> {
    let Ok(_slot) = shared.unsigned.try_acquire() else {
        return Err(Problem::new(Code::Overloaded, "half of all requests in hand are webhooks that are still to come"));
    };
    let body = shared.body(headers, body).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    hook.verify(headers, &body, now).map_err(|problem| {
        tracing::debug!(hook = name, address = %peer.address, reason = problem.detail, "a webhook is refused");
        shared.refuse_stranger(peer, problem)
    })?;
    Ok(body)
}
