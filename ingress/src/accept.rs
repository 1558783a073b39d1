//! One request: parsed, checked, published, answered.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use spine_core::admission::{self, Delivery, Rejection};
use spine_core::event::Event;
use spine_core::names::event_subject;
use spine_nats::publish::{Ack, PublishError, publish};
use spine_runtime::metrics::labels::Request as Label;

use crate::Shared;
use crate::http;

/// How many seconds a client shall wait when JetStream is away.
const RETRY_AFTER: &str = "1";

/// `POST /events`.
pub(crate) async fn accept(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    let (label, response) = answer(&shared, request).await;
    shared.metrics.ingress.requests.inc(label);
    response
}

async fn answer(shared: &Shared, request: HttpRequest) -> (Label, Response) {
    let Ok(_slot) = shared.slots.try_acquire() else {
        return unavailable("too many requests at once; send it again");
    };
    let headers = request.headers().clone();
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return too_large(&rejection.body_text());
        }
        Err(rejection) => return refuse(Label::Invalid, StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    accept_body(shared, &headers, &body).await
}

async fn accept_body(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> (Label, Response) {
    let (event, mode) = match http::parse(headers, body) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            let is_mode = refusal.status == StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let label = if is_mode { Label::Unsupported } else { Label::Invalid };
            return refuse(label, refusal.status, &refusal.error.to_string());
        }
    };
    if let Err(rejection) = admit(&event, body.len()) {
        return refuse(Label::Invalid, StatusCode::BAD_REQUEST, &rejection.to_string());
    }
    match publish(&shared.jetstream, &event, mode).await {
        Ok(ack) => {
            shared.component.up();
            accepted(&event, &ack)
        }
        Err(error) => failed(shared, &event, &error),
    }
}

/// What the router would refuse without looking at schemas, its sender is told at once.
fn admit(event: &Event, bytes: usize) -> Result<(), Rejection> {
    let delivery = Delivery { subject: &event_subject(&event.event_type), bytes, deliveries: 1 };
    admission::after_decode(&delivery, event)
}

fn accepted(event: &Event, ack: &Ack) -> (Label, Response) {
    let body = json!({
        "id": event.id,
        "source": event.source,
        "key": event.key(),
        "stream": ack.stream,
        "sequence": ack.sequence,
        "duplicate": ack.duplicate,
    });
    let label = if ack.duplicate { Label::Duplicate } else { Label::Accepted };
    (label, (StatusCode::ACCEPTED, Json(body)).into_response())
}

fn failed(shared: &Shared, event: &Event, error: &PublishError) -> (Label, Response) {
    match error {
        PublishError::TooLarge { .. } => too_large(&error.to_string()),
        PublishError::Invalid(invalid) => refuse(Label::Invalid, StatusCode::BAD_REQUEST, &invalid.to_string()),
        PublishError::Refused { .. } | PublishError::Unavailable { .. } => {
            tracing::warn!(id = event.id, source = event.source, %error, "failed to publish");
            shared.component.down(error.to_string());
            unavailable("JetStream did not take the event; send it again")
        }
    }
}

fn too_large(error: &str) -> (Label, Response) {
    refuse(Label::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, error)
}

fn refuse(label: Label, status: StatusCode, error: &str) -> (Label, Response) {
    (label, (status, Json(json!({"error": error}))).into_response())
}

fn unavailable(error: &str) -> (Label, Response) {
    let (label, mut response) = refuse(Label::Unavailable, StatusCode::SERVICE_UNAVAILABLE, error);
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER));
    (label, response)
}
