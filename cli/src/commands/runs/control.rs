//! `spine runs cancel` and `spine runs retry`.

use anyhow::{Context as _, anyhow, bail};
use spine_core::names;
use spine_core::run::{RunInput, RunStatus, RunTrigger};
use spine_store::{RetryFrom, RunRow, RunSummary};
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
    let run = store.retry_run(&id, from, &author()).await?;
    let again = format!("`spine runs retry {id}` tries it again");
    if !start(&client, &run).await.with_context(|| format!("start run {id}; {again}"))?
        && store.load_run(&id).await?.is_some_and(|run| run.temporal_run_id.is_none())
    {
        bail!("the last execution of run {id} has not closed yet; {again}");
    }
    println!("{id}: goes on, retry {}", run.retries);
    Ok(())
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
