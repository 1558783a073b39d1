//! The risk team's Temporal worker: it knows nothing of Spine.

use serde_json::{Value, json};
use temporalio_client::Client;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio_util::sync::CancellationToken;

struct Risk;

#[activities]
impl Risk {
    /// An order of 1,000 or more by somebody who has never ordered is risky.
    #[activity(name = "ScoreOrder")]
    async fn score(_ctx: ActivityContext, order: Value) -> Result<Value, ActivityError> {
        let total = order["total"].as_f64().unwrap_or_default();
        let known = order["orders"].as_i64().unwrap_or_default() > 0;
        let risk = if total < 1000.0 {
            0.1
        } else if known {
            0.5
        } else {
            0.9
        };
        Ok(json!({"risk": risk}))
    }
}

/// Runs the worker on a thread of its own, as it is not `Send`, until `stop`.
pub(super) fn spawn(
    client: Client,
    stop: CancellationToken,
) -> std::io::Result<std::thread::JoinHandle<Result<(), String>>> {
    let handle = tokio::runtime::Handle::current();
    std::thread::Builder::new().name("shop-risk".into()).spawn(move || handle.block_on(work(client, stop)))
}

async fn work(client: Client, stop: CancellationToken) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let runtime = Runtime::from_current_tokio(Default::default()).map_err(|error| text(&error))?;
    let options = WorkerOptions::new("risk").register_activities(Risk).build();
    let mut worker = Worker::new(&runtime, client, options).map_err(|error| text(&error))?;
    let shut_down = worker.shutdown_handle();
    let running = worker.run();
    tokio::pin!(running);
    let result = tokio::select! {
        result = &mut running => result,
        () = stop.cancelled() => {
            shut_down();
            running.await
        }
    };
    result.map_err(|error| text(&error))
}
