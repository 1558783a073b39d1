//! What only Temporal knows: how often a foreign worker tried.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use spine_core::run::Failure;
use spine_store::{AttemptRow, TaskRow};
use temporalio_client::{Client, WorkflowFetchHistoryOptions};
use temporalio_common::UntypedWorkflow;
use temporalio_common::protos::temporal::api::failure::v1::{Failure as Proto, failure::FailureInfo};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use time::OffsetDateTime;

/// The last attempt of an activity, as Temporal keeps it once that has ended.
struct Last {
    attempt: u32,
    started_at: OffsetDateTime,
    /// Why the one before it failed.
    failure: Option<Failure>,
}

/// The last attempt of each foreign task; its count and the failure before it are filled in in the task. Without
/// Temporal's answer there are none, and a warning says why.
pub(crate) async fn attempts_of(client: &Client, run: &str, tasks: &mut [TaskRow]) -> Vec<AttemptRow> {
    let mut last = last_attempts(client, run).await.unwrap_or_else(|error| {
        tracing::warn!(run, "the attempts of foreign tasks are not known: {error:#}");
        BTreeMap::new()
    });
    let foreign = tasks.iter_mut().filter(|task| task.uses.as_deref() == Some("worker"));
    let row = |task: &mut TaskRow| {
        let Last { attempt, started_at, failure } = last.remove(&format!("{}/{}", task.task, task.index))?;
        task.attempts = attempt;
        task.last_error = failure;
        Some(AttemptRow {
            task: task.task.clone(),
            index: task.index,
            retry: 0,
            attempt,
            started_at,
            ended_at: None,
            error: None,
        })
    };
    foreign.filter_map(row).collect()
}

/// The last attempt of each activity, by activity id.
async fn last_attempts(client: &Client, run: &str) -> anyhow::Result<BTreeMap<String, Last>> {
    let handle = client.get_workflow_handle::<UntypedWorkflow>(run);
    let mut history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    let (mut scheduled, mut attempts) = (BTreeMap::new(), BTreeMap::new());
    while let Some(event) = history.try_next().await? {
        match event.attributes {
            Some(Attributes::ActivityTaskScheduledEventAttributes(attributes)) => {
                scheduled.insert(event.event_id, attributes.activity_id);
            }
            Some(Attributes::ActivityTaskStartedEventAttributes(attributes)) => {
                let at = event.event_time.and_then(|at| {
                    OffsetDateTime::from_unix_timestamp(at.seconds)
                        .ok()
                        .map(|whole| whole + time::Duration::nanoseconds(at.nanos.into()))
                });
                if let (Some(id), Some(started_at)) = (scheduled.get(&attributes.scheduled_event_id), at) {
                    let attempt = u32::try_from(attributes.attempt).unwrap_or_default();
                    let failure = attributes.last_failure.map(failure);
                    attempts.insert(id.clone(), Last { attempt, started_at, failure });
                }
            }
            _ => {}
        }
    }
    Ok(attempts)
}

fn failure(proto: Proto) -> Failure {
    let kind = match proto.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => info.r#type,
        Some(FailureInfo::TimeoutFailureInfo(_)) => "Timeout".into(),
        _ => "ActivityFailure".into(),
    };
    Failure::new(kind, proto.message)
}
