//! Starts the runs that an event asks for.

use std::time::Instant;

use spine_core::event::Event;
use spine_core::names;
use spine_core::run::{RunInput, RunTrigger};
use spine_runtime::metrics::labels::{Dependency, Start};
use temporalio_client::errors::WorkflowStartError;
use temporalio_client::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{PayloadConverter, RawValue};

use crate::Shared;
use crate::patience::Attempt;

/// How a start ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// The run is new.
    New,
    /// There is, or was, a run with this id.
    Already,
    /// Temporal will never start it.
    Refused(String),
}

/// Starts one run; doing it again starts nothing. `sequence` is where the event stands in the stream, `received` when
/// the delivery arrived.
pub(crate) async fn start(
    shared: &Shared,
    activity: &str,
    revision: u32,
    event: &Event,
    sequence: u64,
    received: Instant,
) -> Attempt<Started> {
    let id = names::run_id(activity, &event.key());
    let input = RunInput {
        activity: activity.to_owned(),
        trigger: RunTrigger::Event { revision, event: Box::new(event.clone()), sequence: Some(sequence) },
    };
    let input = RawValue::from_value(&input, &PayloadConverter::default());
    let options = WorkflowStartOptions::new(names::TASK_QUEUE, id)
        .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .enable_eager_workflow_start(true)
        .static_summary(format!("{} {}", event.event_type, event.id))
        .build();
    shared.metrics.router.start_issue_seconds.observe(received.elapsed().as_secs_f64());
    let result = shared.temporal.start_workflow(UntypedWorkflow::new(names::RUN_WORKFLOW), input, options).await;
    let (label, attempt) = classify(result.map(drop));
    shared.metrics.router.starts.inc(label);
    attempt
}

fn classify(result: Result<(), WorkflowStartError>) -> (Start, Attempt<Started>) {
    match result {
        Ok(()) => (Start::Started, Attempt::Ended(Started::New)),
        Err(WorkflowStartError::AlreadyStarted { .. }) => (Start::AlreadyStarted, Attempt::Ended(Started::Already)),
        Err(WorkflowStartError::PayloadConversion(error)) => {
            (Start::Failed, Attempt::Ended(Started::Refused(error.to_string())))
        }
        // What is wrong with the request stays wrong; everything else is about the server or its set-up, which an operator mends.
        Err(WorkflowStartError::Rpc(status)) if status.code() == tonic::Code::InvalidArgument => {
            (Start::Failed, Attempt::Ended(Started::Refused(status.message().to_owned())))
        }
        Err(error) => (Start::Failed, Attempt::Away(Dependency::Temporal, error.to_string())),
    }
}
