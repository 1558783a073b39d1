//! A receiver over HTTP as receivers should be: what it is asked again under the same `Idempotency-Key`, it does not
//! do again. It counts what it did, and answers as its paths say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running receiver. Dropped, it takes no more connections.
pub(super) struct Sink {
    pub(super) url: String,
    state: Shared,
    server: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// How often it was asked under each key.
    asked: BTreeMap<String, u32>,
    /// What it did under each key.
    done: BTreeMap<String, String>,
    /// What was wrong with requests.
    wrong: Vec<String>,
    /// What it refused before is done from now on, by event.
    mended: BTreeSet<String>,
    /// Requests that wait for an answer that never comes.
    hanging: usize,
}

impl Sink {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Shared::default();
        let router = Router::new().fallback(answer).with_state(state.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state, server }
    }

    /// What it did, by idempotency key.
    pub(super) fn done(&self) -> BTreeMap<String, String> {
        let seen = self.state.seen();
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
        seen.done.clone()
    }

    /// How many requests it got that it had got before.
    pub(super) fn repeated(&self) -> u32 {
        self.state.seen().asked.values().map(|times| times - 1).sum()
    }

    /// How many requests wait now whose work is done and whose answer never comes.
    pub(super) fn hanging(&self) -> usize {
        self.state.seen().hanging
    }

    /// From now on does what it refused for this event.
    pub(super) fn mend(&self, event: &str) {
        self.state.seen().mended.insert(event.to_owned());
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }

    /// Does it, unless it was done. The same key for something else is what no receiver could make sense of.
    fn perform(&self, key: String, what: String) {
        let mut seen = self.seen();
        match seen.done.get(&key) {
            Some(before) if *before != what => {
                let wrong = format!("{key} stands for {before} and for {what}");
                seen.wrong.push(wrong);
            }
            _ => drop(seen.done.insert(key, what)),
        }
    }
}

/// Counts a request that hangs, for as long as its client waits.
struct Hanging(Shared);

impl Hanging {
    async fn for_ever(state: Shared) -> ! {
        state.seen().hanging += 1;
        let _counted = Self(state);
        std::future::pending().await
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.seen().hanging -= 1;
    }
}

/// Paths are `/<how>/<event>/<what>`. Of `flaky`, the first request of a key fails before anything is done; of
/// `held`, it is done, and its answer never comes; `silent` never answers; `refuse` never does anything, `mend` not before it is mended.
async fn answer(
    State(state): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let what = format!("{method} {}", uri.path());
    if uri.path().starts_with("/silent/") {
        Hanging::for_ever(state).await;
    }
    let Some(key) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned) else {
        state.seen().wrong.push(format!("{what} has no key"));
        return (StatusCode::BAD_REQUEST, Json(Value::Null));
    };
    let parts: Vec<&str> = uri.path().split('/').skip(1).collect();
    let times = {
        let mut seen = state.seen();
        let times = seen.asked.entry(key.clone()).or_default();
        *times += 1;
        *times
    };
    match parts[0] {
        "flaky" if times == 1 => return (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Null)),
        "refuse" => return (StatusCode::BAD_REQUEST, Json(Value::Null)),
        "mend" if !state.seen().mended.contains(parts[1]) => return (StatusCode::BAD_REQUEST, Json(Value::Null)),
        _ => state.perform(key, what),
    }
    if parts[0] == "held" && times == 1 {
        Hanging::for_ever(state).await;
    }
    (StatusCode::OK, Json(json!({"id": parts.last()})))
}
