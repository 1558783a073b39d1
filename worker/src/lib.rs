//! Runs activities on Temporal. Effects leave through the outbox, or through a task with an idempotency key.
//!
//! The workflow `RunActivity` holds no data and decides nothing: it asks the local activity `AdvanceRun`
//! what comes next, starts that, and asks again. `AdvanceRun` loads the pinned revision, resolves the
//! context, lets `core::planning` decide, and writes rows, audit and outbox in one transaction. So a run
//! without tasks of its own kind costs one local activity, and history holds no payload but those that
//! foreign workers need.
//!
//! Invariants: every activity here may run twice and leaves the same state; the workflow reads no clock,
//! no configuration and no row; nothing here knows NATS: messages of tasks leave by a trait of `messages`.

mod advance;
mod call;
mod context;
mod definitions;
mod engine;
mod flight;
mod follow;
mod heartbeat;
mod http;
mod instance;
mod leaving;
mod messages;
mod payload;
mod people;
mod progress;
mod protocol;
mod replay;
mod room;
mod scopes;
mod secrets;
mod starting;
mod task;
mod tick;
mod waits;
mod waker;
mod watch;
mod workflow;
mod writer;

use std::sync::Arc;

use spine_core::names;
use spine_runtime::shutdown::Shutdown;
use temporalio_client::Client;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder, WorkerTuner};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use thiserror::Error;

pub use engine::Resources;
pub use http::TlsFiles;
pub use messages::{Message, Messages, Reply, Stored, Undelivered};
pub use replay::{ReplayError, replay};
pub use secrets::Secrets;

use engine::Engine;

/// How many runs may be decided at once. They wait for the database and for lookups: 100 keep those busy, and the
/// memory for them small.
const MAX_STEPS: usize = 100;

/// Why the worker stopped other than by being told to.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// It could not start.
    #[error("failed to start the Temporal worker on task queue {queue}: {0}", queue = names::TASK_QUEUE)]
    Start(String),
    /// It broke while running.
    #[error("the Temporal worker on task queue {queue} broke: {0}", queue = names::TASK_QUEUE)]
    Run(String),
    /// Its thread could not be had, or panicked.
    #[error("the thread of the Temporal worker failed: {0}")]
    Thread(String),
}

/// Runs the worker until `shutdown` is requested; then lets tasks in flight end, for a few seconds.
/// The connection of `client` may be shared with a router in the same process: Temporal then hands
/// the first workflow task over with the start.
pub async fn run(client: Client, resources: Resources, shutdown: Shutdown) -> Result<(), WorkerError> {
    let handle = tokio::runtime::Handle::current();
    let (done, ended) = tokio::sync::oneshot::channel();
    // The SDK's worker is not `Send`: it gets a thread of its own, and this future owns that thread's end.
    let thread = std::thread::Builder::new().name("spine-worker".into()).spawn(move || {
        let result = handle.block_on(serve(client, resources, shutdown));
        if done.send(result).is_err() {
            tracing::debug!("the worker's owner left before it ended");
        }
    });
    thread.map_err(|error| WorkerError::Thread(error.to_string()))?;
    ended.await.map_err(|_| WorkerError::Thread("it panicked".into()))?
}

async fn serve(client: Client, resources: Resources, shutdown: Shutdown) -> Result<(), WorkerError> {
    let start = |error: &dyn std::fmt::Display| WorkerError::Start(error.to_string());
    let runtime = Runtime::from_current_tokio(Default::default()).map_err(|error| start(&error))?;
    let component = resources.health.register("worker");
    let (store, database) = (resources.store.clone(), resources.health.register("database"));
    let max_tasks = resources.max_tasks;
    let over = Shutdown::new();
    let activities = task::Activities { engine: Arc::new(Engine::new(resources, over.clone())) };
    let options = WorkerOptions::new(names::TASK_QUEUE)
        .register_workflow::<workflow::RunActivity>()
        .map_err(|error| start(&error))?
        .register_workflow::<workflow::ActivityInstance>()
        .map_err(|error| start(&error))?
        .register_activities(activities)
        .graceful_shutdown_period(leaving::GRACE)
        .max_heartbeat_throttle_interval(heartbeat::BEAT)
        .tuner(slots(max_tasks))
        .build();
    tracing::debug!(max_tasks, "worker starts");
    let mut worker = Worker::new(&runtime, client.clone(), options).map_err(|error| start(&error))?;
    let stop = worker.shutdown_handle();
    component.up();
    let running = worker.run();
    tokio::pin!(running);
    let result = tokio::select! {
        result = &mut running => result,
        () = watch::watch(&store, &database) => unreachable!("it watches for ever"),
        () = waker::wake(&store, &client) => unreachable!("it wakes for ever"),
        () = shutdown.requested() => {
            stop();
            tokio::select! {
                result = running => result,
                () = leaving::announce(&over) => {
                    tracing::warn!("steps of runs wait for something that is away; other workers take them");
                    Ok(())
                }
            }
        }
    };
    component.down("it has stopped");
    result.map_err(|error| WorkerError::Run(error.to_string()))
}

fn slots(max_tasks: usize) -> WorkerTuner {
    let slots = TunerHolder::builder()
        .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(MAX_STEPS))
        .activity_task_slot_supplier(FixedSizeSlotSupplier::new(max_tasks))
        .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(MAX_STEPS))
        // We have no Nexus operations, and no slots for them is not allowed.
        .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1));
    slots.build().into()
}
