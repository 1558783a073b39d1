//! `spine runs cancel` and `spine runs retry`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use spine_core::names;
use spine_core::run::{RunInput, RunStatus, RunTrigger};
use spine_core::words;
use spine_store::{Retried, RetryFrom, RunRow, RunSummary, Store};
use temporalio_client::errors::{WorkflowInteractionError, WorkflowStartError};
use temporalio_client::{
    Client, WorkflowCancelOptions, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{PayloadConverter, RawValue};

use super::find;
use crate::args::Global;
use crate::args::runs::{Cancel, Retry};
use crate::commands::apply::author;
use crate::connect;

/// How long the workflow of a run that has ended may take to close: a worker that is alive closes it at once.
const CLOSING: Duration = Duration::from_secs(10);
/// How soon it is looked again whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// Asks a run to end: what it did is undone, newest first, and then it is cancelled.
pub(crate) async fn cancel(global: &Global, options: &Cancel) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let store = connect::store(&config).await?;
    let RunSummary { id, status, .. } = find::one(&store, &options.run).await?;
    if status != RunStatus::Running {
        bail!("run {id} has ended: it is {}", status.as_str());
    }
    let client = connect::temporal(&config).await?;
    let reason = WorkflowCancelOptions::builder().reason(&options.reason).build();
    match client.get_workflow_handle::<UntypedWorkflow>(&id).cancel(reason).await {
        Ok(()) => println!("{id}: asked to cancel; what it did is undone first"),
        Err(WorkflowInteractionError::NotFound(_)) => bail!("Temporal runs no workflow {id}, or none any more"),
        Err(error) => return Err(anyhow!(error)).with_context(|| format!("cancel run {id}")),
    }
    Ok(())
}

/// Has a run that failed or was cancelled go on, and starts it. Calling it again starts nothing twice.
pub(crate) async fn retry(global: &Global, options: &Retry) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let store = connect::store(&config).await?;
    let id = find::one(&store, &options.run).await?.id;
    let client = connect::temporal(&config).await?;
    let from = if options.from_start { RetryFrom::Start } else { RetryFrom::Done };
    let Retried { run, called } = store.retry_run(&id, from, &author()).await?;
    let again = format!("`spine runs retry {id}` tries it again");
    if !begin(&store, &client, &run).await.with_context(|| format!("start run {id}; {again}"))? {
        bail!("the last execution of run {id} has not closed within {}; {again}", words::span(CLOSING));
    }
    println!("{id}: goes on, retry {}", run.retries);
    for called in called {
        println!("{called}: was called by it, and goes on as well");
    }
    Ok(())
}

/// Starts the run; false if its last execution does not close. A run ends in its rows a moment before Temporal closes
/// its workflow, and an execution that has not closed may still take the retry itself.
async fn begin(store: &Store, client: &Client, run: &RunRow) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        if start(client, run).await? || store.load_run(&run.id).await?.is_none_or(|run| run.temporal_run_id.is_some()) {
            return Ok(true);
        }
        if begun.elapsed() >= CLOSING {
            return Ok(false);
        }
        if !std::mem::replace(&mut told, true) {
            eprintln!("{}: waiting for its last execution to close", run.id);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether Temporal started it now; else there is an execution already.
async fn start(client: &Client, run: &RunRow) -> anyhow::Result<bool> {
    let trigger = RunTrigger::Event { revision: run.revision, event: Box::new(run.event.clone()) };
    let input = RunInput { activity: run.activity.clone(), trigger };
    let input = RawValue::from_value(&input, &PayloadConverter::default());
    let options = WorkflowStartOptions::new(names::TASK_QUEUE, &run.id)
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicateFailedOnly)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .static_summary(format!("{} {} (retry {})", run.event.event_type, run.event.id, run.retries))
        .build();
    match client.start_workflow(UntypedWorkflow::new(names::RUN_WORKFLOW), input, options).await {
        Ok(_) => Ok(true),
        Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
