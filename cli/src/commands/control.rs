//! `spine runs cancel` and `spine runs retry`.

use anyhow::{Context as _, anyhow, bail};
use spine_core::names;
use spine_core::run::{RunInput, RunStatus, RunTrigger};
use spine_runtime::config::Config;
use spine_store::{RetryFrom, RunRow, Store};
use temporalio_client::errors::{WorkflowInteractionError, WorkflowStartError};
use temporalio_client::{
    Client, WorkflowCancelOptions, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{PayloadConverter, RawValue};

use crate::connect;

/// Asks a run to end: what it did is undone, newest first, and then it is cancelled.
pub(crate) async fn cancel(config: &Config, store: &Store, id: &str, reason: &str) -> anyhow::Result<String> {
    let run = find(store, id).await?;
    if run.status != RunStatus::Running {
        bail!("run {id} has ended: it is {}", run.status.as_str());
    }
    let client = connect::temporal(config).await?;
    let options = WorkflowCancelOptions::builder().reason(reason).build();
    match client.get_workflow_handle::<UntypedWorkflow>(id).cancel(options).await {
        Ok(()) => Ok(format!("{id}: asked to cancel; what it did is undone first")),
        Err(WorkflowInteractionError::NotFound(_)) => {
            bail!("Temporal runs no workflow {id}; if it is gone for good, see `spine runs show {id}`")
        }
        Err(error) => Err(anyhow!(error)).with_context(|| format!("cancel run {id}")),
    }
}

/// Has a run that failed or was cancelled go on, and starts it. Calling it again starts nothing twice.
pub(crate) async fn retry(config: &Config, store: &Store, id: &str, from: RetryFrom) -> anyhow::Result<String> {
    let client = connect::temporal(config).await?;
    let run = store.retry_run(id, from, &super::apply::author()).await?;
    if !start(&client, &run).await.with_context(|| format!("start run {id}; `spine runs retry {id}` tries it again"))?
        && find(store, id).await?.temporal_run_id.is_none()
    {
        bail!("the last execution of run {id} has not closed yet; `spine runs retry {id}` tries it again");
    }
    Ok(format!("{id}: goes on, retry {}", run.retries))
}

async fn find(store: &Store, id: &str) -> anyhow::Result<RunRow> {
    store.load_run(id).await?.ok_or_else(|| anyhow!("there is no run {id:?}; `spine runs list` lists them"))
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
