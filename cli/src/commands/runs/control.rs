//! `spine runs cancel` and `spine runs retry`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use spine_core::names;
use spine_core::run::{RunInput, RunStatus, RunTrigger};
use spine_store::{Retried, RetryFrom, RunRow, RunSummary};
use temporalio_client::errors::{WorkflowInteractionError, WorkflowStartError};
use temporalio_client::{
    Client, WorkflowCancelOptions, WorkflowDescribeOptions, WorkflowExecutionStatus, WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{PayloadConverter, RawValue};

use super::find;
use crate::args::Global;
use crate::args::runs::{Cancel, Retry};
use crate::commands::apply::author;
use crate::connect;

/// How long it may take until a run that has ended is closed: the time after which Temporal gives the workflow task
/// of a dead worker to another, twice.
const CLOSES_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether it is.
const POLL: Duration = Duration::from_millis(100);

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
    let RunSummary { id, status, .. } = find::one(&store, &options.run).await?;
    let client = connect::temporal(&config).await?;
    if status != RunStatus::Running {
        await_close(&client, &id).await?;
    }
    let from = if options.from_start { RetryFrom::Start } else { RetryFrom::Done };
    let Retried { run, called } = store.retry_run(&id, from, &author()).await?;
    let again = format!("`spine runs retry {id}` tries it again");
    if !start(&client, &run).await.with_context(|| format!("start run {id}; {again}"))?
        && store.load_run(&id).await?.is_some_and(|run| run.temporal_run_id.is_none())
    {
        bail!("another execution of run {id} has begun and does not take the retry; {again}");
    }
    println!("{id}: goes on, retry {}", run.retries);
    for called in called {
        println!("{called}: was called by it, and goes on as well");
    }
    Ok(())
}

/// Waits until the last execution of a run has closed. One whose worker died when it had written how the run ends
/// has yet to be told so: it asks once more, and would take the retry for its own and answer it with what it knows.
async fn await_close(client: &Client, id: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + CLOSES_WITHIN;
    let mut told = false;
    loop {
        match client.get_workflow_handle::<UntypedWorkflow>(id).describe(WorkflowDescribeOptions::default()).await {
            Ok(described) if described.status() == WorkflowExecutionStatus::Running => {}
            Ok(_) | Err(WorkflowInteractionError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("look whether run {id} is closed")),
        }
        if Instant::now() >= deadline {
            bail!("Temporal still runs workflow {id}, so nothing was changed; does a worker run?");
        }
        if !std::mem::replace(&mut told, true) {
            eprintln!("{id}: waiting for its last execution to close");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether Temporal started it now; else there is an execution already.
async fn start(client: &Client, run: &RunRow) -> anyhow::Result<bool> {
    let (workflow, reuse, trigger) = match names::is_instance(&run.id) {
        // Somebody may have woken it in vain since it ended, which completes.
        true => (names::INSTANCE_WORKFLOW, WorkflowIdReusePolicy::AllowDuplicate, RunTrigger::Instance),
        false => {
            let event = Box::new(run.event.clone());
            let trigger = RunTrigger::Event { revision: run.revision, event, sequence: run.sequence };
            (names::RUN_WORKFLOW, WorkflowIdReusePolicy::AllowDuplicateFailedOnly, trigger)
        }
    };
    let input = RunInput { activity: run.activity.clone(), trigger };
    let input = RawValue::from_value(&input, &PayloadConverter::default());
    let options = WorkflowStartOptions::new(names::TASK_QUEUE, &run.id)
        .id_reuse_policy(reuse)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .static_summary(format!("{} {} (retry {})", run.event.event_type, run.event.id, run.retries))
        .build();
    match client.start_workflow(UntypedWorkflow::new(workflow), input, options).await {
        Ok(_) => Ok(true),
        Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
