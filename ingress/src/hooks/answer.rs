//! `POST /hooks/{source}`.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use spine_nats::wire::Mode;

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
    let body = shared.body(&head.headers, body).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Err(problem) = hook.verify(&head.headers, &body, now) {
        tracing::debug!(hook = name, address = %peer.address, reason = problem.detail, "a webhook is refused");
        return Err(shared.refuse_stranger(peer, problem));
    }
    shared.take(Asker::Hook(name.to_owned()), Instant::now())?;
    let event = hook.event(&head.headers, &body).inspect_err(|_| shared.rejected(1))?;
    publication::one(shared, event, Mode::Binary).await
}
