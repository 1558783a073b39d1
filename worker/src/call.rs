//! A task that is a run of another activity: how it is called, how it opens, and what it gives.

use serde_json::{Map, Value, json};
use spine_core::activity::Activity;
use spine_core::admission::MAX_HOPS;
use spine_core::event::Event;
use spine_core::names;
use spine_core::notice::RunFacts;
use spine_core::planning::Request;
use spine_core::run::Failure;
use spine_store::{NewRun, RunRow, StoreError, TaskRow, Trigger};

use crate::definitions::NotCurrent;
use crate::engine::Engine;
use crate::progress;
use crate::protocol::Next;

/// The event that a call stands for. Deterministic: the same task calls the same run, however often it is started.
/// `hops` are those of the event that decided the task.
pub(crate) fn event(run: &RunRow, task: &str, index: u32, retry: u32, hops: u64, data: Option<Value>) -> Event {
    let now = run.started_at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    let facts = RunFacts { run: &run.id, activity: &run.activity, revision: run.revision, hops, retry, now: &now };
    facts.called(task, index, data)
}

/// The run of the revision that is current now, if the activity is there and enabled.
pub(crate) async fn open(
    engine: &Engine,
    id: &str,
    execution: &str,
    activity: &str,
    event: &Event,
) -> Result<Result<NewRun, Next>, StoreError> {
    let refused = |kind: &str, message: String| Ok(Err(Next::Failed { failure: Failure::new(kind, message) }));
    if event.hops() > MAX_HOPS {
        let message = format!("{} runs stand between this call and the outside world, {MAX_HOPS} may", event.hops());
        return refused("TooManyHops", message);
    }
    let (revision, definition) = match engine.definitions.current(&engine.store, activity).await? {
        Ok(current) => current,
        Err(NotCurrent::Unknown) => {
            let message = format!("there is no activity {activity}; apply it, then retry this run");
            return refused("UnknownActivity", message);
        }
        Err(NotCurrent::Disabled) => return refused("ActivityDisabled", format!("activity {activity} is disabled")),
        Err(NotCurrent::Unusable(failure)) => return Ok(Err(Next::Failed { failure })),
    };
    if definition.instance.is_some() {
        return refused("StatefulActivity", format!("activity {activity} is stateful, and a call has no key"));
    }
    Ok(Ok(NewRun {
        id: id.to_owned(),
        temporal_run_id: Some(execution.to_owned()),
        activity: activity.to_owned(),
        revision,
        trigger: Trigger::Call,
        event: event.clone(),
        replay: 0,
        key: None,
        sequence: None,
    }))
}

/// What a completed call gives: the run, and what each of its tasks gave. `said` names the run where it is not the
/// one that the call stands for.
pub(crate) async fn output(engine: &Engine, run: &RunRow, row: &TaskRow, said: &Value) -> Result<Value, StoreError> {
    let request = row.request.clone().and_then(|request| serde_json::from_value(request).ok());
    let Some(Request::Activity { name, data }) = request else { return Ok(Value::Null) };
    let own = || names::run_id(&name, &event(run, &row.task, row.index, row.retry, 0, data).key());
    let id = said.as_str().map_or_else(own, str::to_owned);
    let Some(called) = engine.store.load_run_within(&id, 0).await? else { return Ok(json!({"run": id, "tasks": {}})) };
    let tasks = match engine.definitions.get(&engine.store, &called.activity, called.revision).await? {
        Ok(definition) => outputs(&definition, &engine.store.tasks_of(&id).await?),
        Err(_) => Map::new(),
    };
    Ok(json!({"run": id, "tasks": tasks}))
}

fn outputs(definition: &Activity, rows: &[TaskRow]) -> Map<String, Value> {
    let progress = progress::of(definition, rows, &[]).progress;
    progress.iter().map(|(task, progress)| (task.clone(), progress.output())).collect()
}
