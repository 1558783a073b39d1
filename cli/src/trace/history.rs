//! What only Temporal knows: how often a foreign worker tried.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use spine_store::TaskRow;
use temporalio_client::{Client, WorkflowFetchHistoryOptions};
use temporalio_common::UntypedWorkflow;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

/// Fills in the attempts of foreign tasks. Without Temporal's answer they stay 0, and a warning says why.
pub(crate) async fn fill_attempts(client: &Client, run: &str, tasks: &mut [TaskRow]) {
    match attempts(client, run).await {
        Ok(attempts) => {
            for task in tasks.iter_mut().filter(|task| task.uses.as_deref() == Some("worker")) {
                task.attempts =
                    attempts.get(&format!("{}/{}", task.task, task.index)).copied().unwrap_or(task.attempts);
            }
        }
        Err(error) => tracing::warn!(run, "the attempts of foreign tasks are not known: {error:#}"),
    }
}

/// The last attempt of each activity, by activity id.
async fn attempts(client: &Client, run: &str) -> anyhow::Result<BTreeMap<String, u32>> {
    let handle = client.get_workflow_handle::<UntypedWorkflow>(run);
    let mut history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    let (mut scheduled, mut attempts) = (BTreeMap::new(), BTreeMap::new());
    while let Some(event) = history.try_next().await? {
        match event.attributes {
            Some(Attributes::ActivityTaskScheduledEventAttributes(attributes)) => {
                scheduled.insert(event.event_id, attributes.activity_id);
            }
            Some(Attributes::ActivityTaskStartedEventAttributes(attributes)) => {
                if let Some(id) = scheduled.get(&attributes.scheduled_event_id) {
                    attempts.insert(id.clone(), u32::try_from(attributes.attempt).unwrap_or_default());
                }
            }
            _ => {}
        }
    }
    Ok(attempts)
}
