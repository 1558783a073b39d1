//! What holds for every request: how many there are at once, how many headers each has, and what is counted.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use spine_runtime::metrics::IntGauge;
use spine_runtime::metrics::labels::Request as Label;

use crate::Shared;
use crate::problem::{Code, Problem};

/// The most headers of a request: an event has 8 attributes, some extensions, and proxies add a dozen.
const MAX_HEADERS: usize = 100;

/// Answers, and counts the answer by what it carries as its label.
pub(crate) async fn observe(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let response = answer(&shared, request, next).await;
    if let Some(label) = response.extensions().get::<Label>() {
        shared.metrics.ingress.requests.inc(*label);
        shared.metrics.ingress.request_seconds.observe(began.elapsed().as_secs_f64());
    }
    response
}

async fn answer(shared: &Shared, request: Request, next: Next) -> Response {
    let Ok(_slot) = shared.slots.try_acquire() else {
        let detail = format!("{} requests are in hand, see ingress.max_requests", shared.limits.requests);
        return Problem::new(Code::Overloaded, detail).into_response();
    };
    let _in_hand = InHand::new(&shared.metrics.ingress.in_flight);
    let headers = request.headers().len();
    if headers > MAX_HEADERS {
        let detail = format!("{headers} headers in a request that may have {MAX_HEADERS}");
        return Problem::new(Code::TooManyHeaders, detail).into_response();
    }
    next.run(request).await
}

/// Counts a request as in hand for as long as it lives, also through a panic.
struct InHand<'a>(&'a IntGauge);

impl<'a> InHand<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
