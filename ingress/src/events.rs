//! `POST /events`: one event, or a batch.

mod batch;

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use spine_nats::wire::Mode;

pub use batch::split;

use crate::Shared;
use crate::access::Sender;
use crate::http::{self, Form};
use crate::listen::Peer;
use crate::problem::{Code, Problem};
use crate::publication;
use crate::rate::Asker;

pub(crate) async fn accept(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    answer(&shared, &peer, request).await.unwrap_or_else(Problem::into_response)
}

/// Who sends it is known before anything of the body is read.
async fn answer(shared: &Shared, peer: &Peer, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let sender = shared.sender(&head.headers, peer)?;
    let form = http::form(&head.headers)?;
    let body = shared.body(&head.headers, body).await?;
    match form {
        Form::Event(mode) => single(shared, sender, mode, &head.headers, &body).await,
        Form::Batch => batch::accept(shared, sender, &body).await,
    }
}

async fn single(
    shared: &Shared,
    sender: Sender<'_>,
    mode: Mode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Problem> {
    let event = http::parse(mode, headers, body).map_err(Problem::from);
    let event = event.and_then(|event| sender.may_send(&event).map(|()| event));
    publication::one(shared, event.inspect_err(|_| shared.rejected(1))?, mode).await
}

impl Shared {
    /// Who sends a request, if they are let in and do not ask too often.
    fn sender(&self, headers: &HeaderMap, peer: &Peer) -> Result<Sender<'_>, Problem> {
        let sender = self.access.authenticate(headers, peer).map_err(|problem| self.refuse_stranger(peer, problem))?;
        let asker = match sender {
            Sender::Known(name, _) => Asker::Client(name.to_owned()),
            Sender::Anyone => Asker::at(peer.address),
        };
        self.take(asker, Instant::now())?;
        Ok(sender)
    }

    /// Counts a request of somebody who has not said who they are, or not truly, so that guessing is slow. Those who
    /// have are counted by name, and lose nothing to a stranger behind the same address.
    pub(crate) fn refuse_stranger(&self, peer: &Peer, problem: Problem) -> Problem {
        match self.take(Asker::at(peer.address), Instant::now()) {
            Ok(()) => problem,
            Err(too_often) => too_often,
        }
    }

    pub(crate) fn take(&self, asker: Asker, now: Instant) -> Result<(), Problem> {
        self.rate.take(asker, now).map_err(|wait| {
            let detail =
                format!("more than {} requests a second, for longer than a moment", self.limits.requests_per_second);
            Problem { retry_after: Some(wait.as_secs() + 1), ..Problem::new(Code::RateLimited, detail) }
        })
    }
}
