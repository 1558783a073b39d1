//! `AdvanceRun` of an instance of a stateful activity: folds the events that its rows hold, in order, decides what
//! each of them asks for, and writes all of it in one transaction, as for any other run.
//!
//! Invariant: an event is folded once, under the run's lock, on the state that the one before it left.

mod folding;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use spine_core::activity::{Activity, Each, Instance as Stateful, Retry, Task};
use spine_core::expression::Scope;
use spine_core::names;
use spine_core::planning::{self, Outcome, Progress};
use spine_core::run::{Failure, FailureClass, TaskStatus};
use spine_core::words;
use spine_store::{InstanceEvent, InstanceRow, RunRow, StoreError, TaskRow};

use crate::advance::{complete_results, count, fail, give_up_waiting, resolve, wind_up};
use crate::context::Held;
use crate::engine::{Engine, RunView};
use crate::people;
use crate::progress::{self, Position};
use crate::protocol::{AdvanceInput, Limits, Next, Pause, RunRef, Start};
use crate::scopes::Scopes;
use crate::starting;
use crate::waits;
use crate::writer::{Writer, is_waiting};

/// The most events that one transaction folds: it holds the run's lock for as long as it takes.
const FOLDED_AT_ONCE: u32 = 100;
/// The most transactions of one question: the workflow hears of nothing meanwhile.
const STEPS_AT_ONCE: usize = 10;
/// While more task instances than this are performed, no event is folded: Temporal takes 2,000 at once.
const MOST_PERFORMED: usize = 500;
/// And while more than this wait for people, time and events: each step loads them, and an execution that takes over
/// is told of all of them at once.
const MOST_WAITING: usize = 1000;
/// The flight that ends when the instance expires. No task is called so.
const LIFETIME: &str = "instance.lifetime";

/// An instance that is asked what comes next.
struct Asked<'a> {
    engine: &'a Engine,
    run: &'a RunRow,
    definition: &'a Arc<Activity>,
    stateful: &'a Stateful,
    /// What all its expressions see: `context`, `config` and `run`.
    base: Scope,
    context_hash: String,
    each_event: Vec<&'a str>,
}

/// Answers what an instance does next.
pub(crate) async fn proceed(
    engine: &Engine,
    run: &RunRow,
    execution: &str,
    definition: &Arc<Activity>,
    stateful: &Stateful,
    mut question: AdvanceInput,
) -> Result<Next, StoreError> {
    let view = RunView { id: &run.id, activity: &run.activity, revision: run.revision };
    let first = engine.scope(&run.event, &view).with("state", planning::initial_state(stateful));
    // Its place is kept until all is decided.
    let Held { context, hash: context_hash, place: _place } = match resolve(engine, run, definition, &first).await? {
        Ok(resolved) => resolved,
        Err(failure) => return fail(engine, run, failure).await,
    };
    let each_event = each_event(definition);
    let base = first.with("context", context);
    let asked = Asked { engine, run, definition, stateful, base, context_hash, each_event };
    let mut over = Vec::new();
    for _ in 0..STEPS_AT_ONCE {
        let stepped = step(&asked, &mut question).await?;
        question.results.clear();
        question.started.retain(|one| !stepped.over.contains(one));
        over.extend(stepped.over);
        match stepped.then {
            Then::End(next) => return Ok(next),
            Then::More => {}
            Then::Wait => return wait(&asked, execution, &question, over, Ask::Later).await,
            Then::Stop => return wait(&asked, execution, &question, over, Ask::WhenStopped).await,
        }
    }
    wait(&asked, execution, &question, over, Ask::AtOnce).await
}

/// The tasks of an activity that run for each event; none unless it is stateful.
pub(crate) fn each_event(definition: &Activity) -> Vec<&str> {
    definition.tasks.iter().filter(|task| task.each == Each::Event).map(|task| task.id.as_str()).collect()
}

/// What one step of an instance leads to.
struct Stepped {
    then: Then,
    /// What the workflow waits for and that ended before this step.
    over: Vec<(String, u32)>,
}

enum Then {
    /// The instance has ended.
    End(Next),
    /// There are events left to fold.
    More,
    /// Something has to happen first.
    Wait,
    /// The same, and what is performed need not go on: the instance is made to end.
    Stop,
}

/// When the workflow is to ask again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Once something has ended.
    Later,
    /// The same, and it takes back what is under way.
    WhenStopped,
    /// Now: there is more to do.
    AtOnce,
}

async fn step(asked: &Asked<'_>, question: &mut AdvanceInput) -> Result<Stepped, StoreError> {
    let Asked { engine, run, definition, .. } = asked;
    let mut loaded = load(asked, question.cancelled.as_deref()).await?;
    let escalated =
        complete_results(engine, run, definition, &loaded.scopes, &loaded.rows, &mut question.results).await?;
    let mut position = progress::of(definition, &loaded.rows, &question.results);
    let mut writer = Writer::new(run, &loaded.rows, &question.results);
    writer.escalate(escalated);
    writer.ended.extend(people::answered(&loaded.rows, &question.started));
    let over = starting::over(&loaded.rows, &question.started);
    writer.record.waits = waits::not_started(&loaded.rows, &question.started);
    let mut then = Then::Wait;
    let mut outcome = loaded.outcome.take();
    let mut was_forced = outcome.is_some();
    if outcome.is_none() {
        let limit = if question.hold { 0 } else { FOLDED_AT_ONCE };
        let decided = folding::decide(asked, &mut loaded, &mut position, &mut writer, limit).await?;
        (then, outcome) = decided.unwrap_or_else(|failure| (Then::Wait, Some(Outcome::Failed(failure))));
        was_forced = matches!(outcome, Some(Outcome::Cancelled(_)));
    }
    match outcome.or_else(|| position.failure(definition).map(Outcome::Failed)) {
        Some(Outcome::Completed) => writer.end(Outcome::Completed, &[]),
        Some(outcome) => then = end(asked, &mut loaded, (outcome, was_forced), &mut position, &mut writer).await?,
        None => {}
    }
    writer.audit_decisions(run, &asked.context_hash);
    engine.store.commit_step(&writer.record).await?;
    count(engine, &writer);
    let then = match writer.record.outcome {
        Some(Outcome::Completed) => Then::End(Next::Completed),
        Some(Outcome::Failed(failure)) => Then::End(Next::Failed { failure }),
        Some(Outcome::Cancelled(failure)) => Then::End(Next::Cancelled { failure }),
        None if has_moved(asked, &position, &writer, &question.started).await? => Then::More,
        None => then,
    };
    Ok(Stepped { then, over })
}

/// Whether more can be decided at once after a step: waits may end while they are opened.
async fn has_moved(
    asked: &Asked<'_>,
    position: &Position,
    writer: &Writer<'_>,
    started: &[(String, u32)],
) -> Result<bool, StoreError> {
    let created = &writer.record.created;
    if writer.record.waits.is_empty() && !created.iter().any(|one| is_waiting(&one.uses)) {
        return Ok(false);
    }
    let ordinals: Vec<u32> = position.events.keys().copied().collect();
    let rows = asked.engine.store.tasks_of_instance(&asked.run.id, &asked.each_event, &ordinals).await?;
    let ended = waits::ended_meanwhile(asked.definition, &rows, position);
    waits::count(asked.engine, &ended, started);
    Ok(!ended.is_empty())
}

/// What a step begins with.
struct Loaded {
    row: InstanceRow,
    rows: Vec<TaskRow>,
    /// The last event that was folded.
    last: Option<u32>,
    unsettled: Vec<u32>,
    scopes: Scopes,
    /// How the instance ends, if that is certain already.
    outcome: Option<Outcome>,
}

async fn load(asked: &Asked<'_>, cancelled: Option<&str>) -> Result<Loaded, StoreError> {
    let Asked { engine, run, stateful, .. } = asked;
    let row = engine.store.instance(&run.id, stateful.expire_after).await?;
    let last = row.folded.checked_sub(1);
    let Open { rows, unsettled, events } = open(asked, last).await?;
    let scopes = Scopes::new(asked.base.clone(), run.event.hops()).with_events(&events);
    let outcome = forced(&row, stateful, cancelled);
    Ok(Loaded { row, rows, last, unsettled, scopes, outcome })
}

/// What is not over in an instance.
struct Open {
    rows: Vec<TaskRow>,
    unsettled: Vec<u32>,
    /// Those unsettled, and the others that decided one of the rows.
    events: Vec<InstanceEvent>,
}

/// Loads what is not over, and the `last` event.
async fn open(asked: &Asked<'_>, last: Option<u32>) -> Result<Open, StoreError> {
    let Asked { engine, run, .. } = asked;
    let mut events = engine.store.unsettled_events(&run.id).await?;
    let unsettled: Vec<u32> = events.iter().map(|event| event.ordinal).collect();
    let rows = engine.store.tasks_of_instance(&run.id, &asked.each_event, &unsettled).await?;
    let missing = missing_events(&rows, last, &unsettled);
    events.extend(engine.store.folded_events(&run.id, &missing).await?);
    Ok(Open { rows, unsettled, events })
}

/// The events besides the unsettled ones that expressions of `rows` may see.
fn missing_events(rows: &[TaskRow], last: Option<u32>, unsettled: &[u32]) -> Vec<u32> {
    let decided_by = rows.iter().filter_map(|row| row.ordinal).chain(last);
    let mut missing: Vec<u32> = decided_by.filter(|ordinal| unsettled.binary_search(ordinal).is_err()).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// How an instance ends that is made to.
fn forced(row: &InstanceRow, stateful: &Stateful, cancelled: Option<&str>) -> Option<Outcome> {
    if let Some(reason) = cancelled {
        return Some(Outcome::Cancelled(Failure::cancelled(reason)));
    }
    if let Some(event) = &row.cancelled_by {
        return Some(Outcome::Cancelled(cancelled_by(event)));
    }
    let span = stateful.expire_after.filter(|_| row.left == Some(Duration::ZERO))?;
    let message = format!("it has not completed within {}", words::span(span));
    Some(Outcome::Failed(Failure::new("Expired", message).of(FailureClass::TimedOut)))
}

fn cancelled_by(event: &str) -> Failure {
    Failure::cancelled(format!("event {event} cancelled it"))
}

/// Takes back what an instance has done that fails or is cancelled, once nothing is under way; then ends it.
async fn end(
    asked: &Asked<'_>,
    loaded: &mut Loaded,
    (outcome, was_forced): (Outcome, bool),
    position: &mut Position,
    writer: &mut Writer<'_>,
) -> Result<Then, StoreError> {
    let Asked { engine, run, definition, .. } = asked;
    if position.is_pending() {
        let why = if matches!(outcome, Outcome::Cancelled(_)) { "its run was cancelled" } else { "its run failed" };
        give_up_waiting(definition, &loaded.rows, why, position, writer);
    }
    if position.is_pending() {
        return Ok(if was_forced { Then::Stop } else { Then::Wait });
    }
    if !writer.record.created.is_empty() {
        // Its rows come first: the next step takes them back.
        return Ok(Then::More);
    }
    // What was done for events that are settled is taken back as well, where there is an undo.
    let stays = definition.tasks.iter().filter(|task| task.each == Each::Event && task.undo.is_none());
    let stays: Vec<&str> = stays.map(|task| task.id.as_str()).collect();
    let rows = engine.store.tasks_of_instance(&run.id, &stays, &loaded.unsettled).await?;
    let ordinals = missing_events(&rows, None, &[]);
    let events = engine.store.folded_events(&run.id, &ordinals).await?;
    loaded.scopes.extend(&events);
    *position = progress::of(definition, &rows, &writer.results());
    for task in undecided(definition, &position.progress) {
        writer.skip_one(&task.id, 0, None, "the instance ended before it was decided");
    }
    wind_up(definition, &loaded.scopes, outcome, &rows, position, writer);
    Ok(Then::Wait)
}

fn undecided<'a>(definition: &'a Activity, progress: &Progress) -> Vec<&'a Task> {
    let once = definition.tasks.iter().filter(|task| task.each == Each::Instance);
    once.filter(|task| !progress.contains_key(&task.id)).collect()
}

/// Whether somebody performs it now.
fn is_performed(row: &TaskRow) -> bool {
    row.status == TaskStatus::Created && !row.is_undecided() && !row.uses.as_deref().is_some_and(is_waiting)
}

/// Says what the workflow is to start and to wait for.
async fn wait(
    asked: &Asked<'_>,
    execution: &str,
    question: &AdvanceInput,
    mut ended: Vec<(String, u32)>,
    ask: Ask,
) -> Result<Next, StoreError> {
    let Asked { engine, run, definition, stateful, .. } = asked;
    let Open { rows, events, .. } = open(asked, None).await?;
    let escalations = people::escalations(engine, &run.id, definition).await?;
    let decided_by: BTreeMap<u32, u64> = events.iter().map(|one| (one.ordinal, one.event.hops())).collect();
    let hops = |row: &TaskRow| {
        let hops = row.ordinal.and_then(|ordinal| decided_by.get(&ordinal).copied());
        hops.unwrap_or_else(|| run.event.hops())
    };
    let mut start = starting::due(run, definition, &rows, &question.started, &escalations, &hops);
    ended.extend(starting::over(&rows, &question.started));
    let performed = rows.iter().any(is_performed);
    if question.hold && ask == Ask::Later {
        if !performed && start.iter().all(Start::is_pause) {
            engine.store.release_run(&run.id, execution).await?;
            return Ok(Next::Continue);
        }
        engine.store.hold_instance(&run.id).await?;
    }
    if !question.started.iter().any(|(task, _)| task == LIFETIME) {
        let left = engine.store.instance(&run.id, stateful.expire_after).await?.left;
        start.push(lifetime(run, left));
    }
    let awaited = definition.tasks.iter().map(|task| task.id.clone()).chain([LIFETIME.to_owned()]);
    let awaited = awaited.chain(definition.tasks.iter().map(|task| names::undo_id(&task.id))).collect();
    Ok(Next::Run { start, awaited, ended, again: ask == Ask::AtOnce, stop: ask == Ask::WhenStopped })
}

/// What keeps the workflow waiting, until the instance expires or for ever.
fn lifetime(run: &RunRow, left: Option<Duration>) -> Start {
    let retry = Retry::default();
    Start {
        task: LIFETIME.to_owned(),
        index: 0,
        foreign: None,
        child: None,
        pause: Some(Pause { after: left, completes: true }),
        run: RunRef {
            activity: run.activity.clone(),
            revision: run.revision,
            hops: run.event.hops(),
            retry: run.retries,
        },
        limits: Limits {
            max_attempts: 1,
            initial_interval: retry.initial_interval,
            backoff: retry.backoff,
            max_interval: retry.max_interval,
            non_retryable: Vec::new(),
            timeout: left.unwrap_or_default(),
            deadline: None,
        },
    }
}
