//! What is asked of Temporal about schedules.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use futures::TryStreamExt as _;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::schedules::ListSchedulesOptions;
use temporalio_client::{Client, NamespacedClient as _};
use temporalio_common::protos::temporal::api::enums::v1::ScheduleOverlapPolicy;
use temporalio_common::protos::temporal::api::schedule::v1::{
    BackfillRequest, Schedule, SchedulePatch, TriggerImmediatelyRequest,
};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    CreateScheduleRequest, DeleteScheduleRequest, DescribeScheduleRequest, DescribeScheduleResponse,
    PatchScheduleRequest, UpdateScheduleRequest,
};
use tonic::{Code, IntoRequest as _, Status};

/// What a list of schedules says of one.
pub(super) struct Listed {
    pub(super) note: String,
    pub(super) paused: bool,
}

/// Every schedule of ours, by id. What was done a moment ago may not be in it yet.
pub(super) async fn list(client: &Client) -> anyhow::Result<BTreeMap<String, Listed>> {
    let mut all = BTreeMap::new();
    let mut schedules = client.list_schedules(ListSchedulesOptions::default());
    while let Some(schedule) = schedules.try_next().await.context("list Temporal schedules")? {
        if schedule.schedule_id().starts_with("spine/") {
            let listed = Listed { note: schedule.note().unwrap_or_default().to_owned(), paused: schedule.paused() };
            all.insert(schedule.schedule_id().to_owned(), listed);
        }
    }
    Ok(all)
}

/// All about one schedule, or `None` if there is none.
pub(super) async fn describe(client: &Client, id: &str) -> anyhow::Result<Option<DescribeScheduleResponse>> {
    let request = DescribeScheduleRequest { namespace: client.namespace(), schedule_id: id.to_owned() };
    let answer = WorkflowService::describe_schedule(&mut client.clone(), request.into_request()).await;
    unless(Code::NotFound, answer).with_context(|| format!("describe schedule {id}"))
}

/// Makes one; false if it is there already.
pub(super) async fn create(client: &Client, id: &str, schedule: Schedule) -> anyhow::Result<bool> {
    let request = CreateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: id.to_owned(),
        schedule: Some(schedule),
        identity: client.identity(),
        request_id: request_id(),
        ..Default::default()
    };
    let answer = WorkflowService::create_schedule(&mut client.clone(), request.into_request()).await;
    Ok(unless(Code::AlreadyExists, answer).with_context(|| format!("create schedule {id}"))?.is_some())
}

/// Changes one, if it is still as it was described with `token`.
pub(super) async fn update(client: &Client, id: &str, schedule: Schedule, token: Vec<u8>) -> anyhow::Result<()> {
    let request = UpdateScheduleRequest {
        namespace: client.namespace(),
        schedule_id: id.to_owned(),
        schedule: Some(schedule),
        conflict_token: token,
        identity: client.identity(),
        request_id: request_id(),
        ..Default::default()
    };
    let answer = WorkflowService::update_schedule(&mut client.clone(), request.into_request()).await;
    answer.map(drop).with_context(|| format!("update schedule {id}"))
}

/// Deletes one, if it is there.
pub(super) async fn delete(client: &Client, id: &str) -> anyhow::Result<()> {
    let request = DeleteScheduleRequest {
        namespace: client.namespace(),
        schedule_id: id.to_owned(),
        identity: client.identity(),
    };
    let answer = WorkflowService::delete_schedule(&mut client.clone(), request.into_request()).await;
    unless(Code::NotFound, answer).map(drop).with_context(|| format!("delete schedule {id}"))
}

/// Starts the tick of this time now, whatever else runs.
pub(crate) async fn trigger(client: &Client, id: &str, at: SystemTime) -> anyhow::Result<()> {
    let request = TriggerImmediatelyRequest {
        overlap_policy: ScheduleOverlapPolicy::AllowAll.into(),
        scheduled_time: Some(at.into()),
    };
    patch(client, id, SchedulePatch { trigger_immediately: Some(request), ..Default::default() }).await
}

/// Starts every tick from `from` to `to` now: all at once, or one after another.
pub(crate) async fn backfill(
    client: &Client,
    id: &str,
    from: SystemTime,
    to: SystemTime,
    at_once: bool,
) -> anyhow::Result<()> {
    let overlap = if at_once { ScheduleOverlapPolicy::AllowAll } else { ScheduleOverlapPolicy::BufferAll };
    let request = BackfillRequest {
        // Temporal counts from after the start.
        start_time: Some((from - Duration::from_secs(1)).into()),
        end_time: Some(to.into()),
        overlap_policy: overlap.into(),
    };
    patch(client, id, SchedulePatch { backfill_request: vec![request], ..Default::default() }).await
}

async fn patch(client: &Client, id: &str, patch: SchedulePatch) -> anyhow::Result<()> {
    let request = PatchScheduleRequest {
        namespace: client.namespace(),
        schedule_id: id.to_owned(),
        patch: Some(patch),
        identity: client.identity(),
        request_id: request_id(),
    };
    let answer = WorkflowService::patch_schedule(&mut client.clone(), request.into_request()).await;
    answer.map(drop).with_context(|| format!("change schedule {id}; `spine provision` makes it if it is not there"))
}

fn unless<T>(code: Code, answer: Result<tonic::Response<T>, Status>) -> Result<Option<T>, Status> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == code => Ok(None),
        Err(status) => Err(status),
    }
}

/// Tells two requests apart; a repeated attempt of the client carries the same.
fn request_id() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("spine-{}-{}", std::process::id(), now.as_nanos())
}
