//! Folds events, and decides what each of them asks for.

use std::collections::BTreeMap;

use serde_json::Value;
use spine_core::activity::{Activity, Each};
use spine_core::planning::{self, Decided, Instance, Outcome, Progress, Step};
use spine_core::run::{Failure, TaskStatus};
use spine_store::{Fold, InstanceEvent, StoreError, TaskRow};

use super::{Asked, Loaded, MOST_PERFORMED, MOST_WAITING, Then, cancelled_by, undecided};
use crate::progress::Position;
use crate::scopes::Seen;
use crate::writer::{Origin, Writer, is_waiting};

pub(super) type Decision = Result<(Then, Option<Outcome>), Failure>;

/// Decides by what has ended, then folds at most `limit` events and decides after each.
pub(super) async fn decide(
    asked: &Asked<'_>,
    loaded: &mut Loaded,
    position: &mut Position,
    writer: &mut Writer<'_>,
    limit: u32,
) -> Result<Decision, StoreError> {
    let mut folding = Folding { asked, before: loaded.row.folded, states: Vec::new(), last: loaded.last };
    if let Err(failure) = folding.revisit(loaded, position, writer) {
        return Ok(Err(failure));
    }
    let events = match limit {
        0 => Vec::new(),
        limit => asked.engine.store.events_to_fold(&asked.run.id, limit).await?,
    };
    let decision = folding.all(&events, limit, loaded, position, writer);
    let cancelled_by = match &decision {
        Ok((_, Some(Outcome::Cancelled(_)))) => folding.last_key(&events),
        _ => None,
    };
    if !folding.states.is_empty() {
        writer.record.fold = Some(Fold { before: folding.before, states: folding.states, cancelled_by });
    }
    let settled = position.events.iter().filter(|(_, progress)| planning::is_settled(asked.definition, progress));
    writer.record.settled = settled.map(|(ordinal, _)| *ordinal).collect();
    Ok(decision)
}

struct Folding<'a> {
    asked: &'a Asked<'a>,
    before: u32,
    states: Vec<Value>,
    last: Option<u32>,
}

impl Folding<'_> {
    /// Decides what the tasks that have ended let be decided.
    fn revisit(&self, loaded: &Loaded, position: &mut Position, writer: &mut Writer<'_>) -> Result<(), Failure> {
        for ordinal in &loaded.unsettled {
            for_event(self.asked.definition, (*ordinal, loaded.scopes.seen(Some(*ordinal))), position, writer)?;
        }
        match self.last {
            Some(last) => once(self.asked.definition, (last, loaded.scopes.seen(self.last)), position, writer),
            None => Ok(()),
        }
    }

    fn all(
        &mut self,
        events: &[InstanceEvent],
        limit: u32,
        loaded: &mut Loaded,
        position: &mut Position,
        writer: &mut Writer<'_>,
    ) -> Decision {
        let open = Open::of(&loaded.rows, writer);
        let mut state = loaded.row.state.clone().unwrap_or_else(|| planning::initial_state(self.asked.stateful));
        for event in events {
            if self.is_complete(loaded, position)? {
                break;
            }
            if open.with_decided(writer).is_full() || position.failure(self.asked.definition).is_some() {
                return Ok((Then::Wait, None));
            }
            state = self.one(event, &state, loaded, position, writer)?;
            if event.cancels {
                return Ok((Then::Wait, Some(Outcome::Cancelled(cancelled_by(event.event.key().as_str())))));
            }
        }
        if !self.is_complete(loaded, position)? {
            let more = limit > 0 && events.len() == limit as usize;
            return Ok((if more { Then::More } else { Then::Wait }, None));
        }
        if position.is_pending() || position.failure(self.asked.definition).is_some() {
            return Ok((Then::Wait, None));
        }
        for task in undecided(self.asked.definition, &position.progress) {
            writer.skip_one(&task.id, 0, None, "the instance completed without it");
        }
        Ok((Then::Wait, Some(Outcome::Completed)))
    }

    /// Folds one event, and decides what it asks for. Returns the state after it.
    fn one(
        &mut self,
        event: &InstanceEvent,
        state: &Value,
        loaded: &mut Loaded,
        position: &mut Position,
        writer: &mut Writer<'_>,
    ) -> Result<Value, Failure> {
        let Asked { definition, stateful, base, .. } = self.asked;
        let seen = base.clone().with("event", event.event.to_json());
        let state = planning::fold(stateful, state, &seen)?;
        self.states.push(state.clone());
        self.last = Some(event.ordinal);
        loaded.scopes.add(event, &state);
        position.events.entry(event.ordinal).or_default();
        if !event.cancels {
            let seen = (event.ordinal, loaded.scopes.seen(self.last));
            for_event(definition, seen, position, writer)?;
            once(definition, seen, position, writer)?;
        }
        Ok(state)
    }

    /// Whether the instance has done its work, by the last event that was folded.
    fn is_complete(&self, loaded: &Loaded, position: &Position) -> Result<bool, Failure> {
        let Asked { definition, stateful, .. } = self.asked;
        match self.last {
            None => Ok(false),
            last => planning::is_complete(definition, stateful, loaded.scopes.of(last), &position.progress),
        }
    }

    fn last_key(&self, events: &[InstanceEvent]) -> Option<String> {
        let last = events.iter().find(|event| Some(event.ordinal) == self.last)?;
        Some(last.event.key().as_str().to_owned())
    }
}

/// Decides the tasks that run for this event, until there is nothing left that can be decided now.
fn for_event(
    definition: &Activity,
    (ordinal, seen): (u32, &Seen),
    position: &mut Position,
    writer: &mut Writer<'_>,
) -> Result<(), Failure> {
    let Position { events, kept, .. } = position;
    let progress = events.entry(ordinal).or_default();
    let plan = |progress: &Progress| planning::for_event(definition, &seen.scope, progress);
    all(definition, (ordinal, seen.hops), plan, (progress, kept), writer)
}

/// Decides the tasks that run once an instance and that this event lets be decided.
fn once(
    definition: &Activity,
    (ordinal, seen): (u32, &Seen),
    position: &mut Position,
    writer: &mut Writer<'_>,
) -> Result<(), Failure> {
    let Position { progress, kept, .. } = position;
    let plan = |progress: &Progress| planning::once(definition, &seen.scope, progress);
    all(definition, (ordinal, seen.hops), plan, (progress, kept), writer)
}

/// What has come of tasks, and what a retry has kept of some.
type Standing<'a> = (&'a mut Progress, &'a mut BTreeMap<(String, u32), Value>);

/// Carries out what is planned, and plans again, until nothing more follows.
fn all(
    definition: &Activity,
    event: (u32, u64),
    plan: impl Fn(&Progress) -> Result<Step, Failure>,
    (progress, kept): Standing<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), Failure> {
    loop {
        let step = plan(progress)?;
        if !carry_out(definition, &step, event, (progress, kept), writer)? {
            return Ok(());
        }
    }
}

/// Writes what was decided; says whether something ended with that, so that what needs it can follow.
fn carry_out(
    definition: &Activity,
    step: &Step,
    (ordinal, hops): (u32, u64),
    (progress, kept): Standing<'_>,
    writer: &mut Writer<'_>,
) -> Result<bool, Failure> {
    planning::record(progress, step);
    let task = |id: &str| definition.tasks.iter().find(|task| task.id == id);
    let first = |id: &str| task(id).map_or(Ok(0), |task| planning::first_index(task, ordinal));
    let mut emitted = false;
    for decided in &step.decided {
        let placed = Decided { index: first(&decided.task)? + decided.index, ..decided.clone() };
        let for_event = task(&decided.task).is_some_and(|task| task.each == Each::Event);
        let origin = Origin { ordinal: Some(ordinal), hops: Some(hops), for_event, retry: None };
        let before = kept.remove(&(placed.task.clone(), placed.index));
        if let Some(output) = before.or_else(|| writer.create(&placed, origin)) {
            planning::settle(progress, &decided.task, decided.index, Instance::Completed(output));
            emitted = true;
        }
    }
    for (task, reason) in &step.skipped {
        writer.skip_one(task, first(task)?, Some(ordinal), reason);
    }
    Ok(emitted)
}

/// How many task instances are not over.
#[derive(Clone, Copy)]
struct Open {
    performed: usize,
    waiting: usize,
}

impl Open {
    /// Those of the rows without what has ended since.
    fn of(rows: &[TaskRow], writer: &Writer<'_>) -> Self {
        let ended = |row: &TaskRow| writer.record.results.iter().any(|one| row.is(&one.task, one.index));
        let open = rows.iter().filter(|row| row.status == TaskStatus::Created && !row.is_undecided() && !ended(row));
        Self { performed: 0, waiting: 0 }.with(open.map(|row| row.uses.as_deref().unwrap_or_default()))
    }

    /// The same with what this step has decided so far.
    fn with_decided(self, writer: &Writer<'_>) -> Self {
        let open = writer.record.created.iter().filter(|one| one.status == TaskStatus::Created);
        self.with(open.map(|one| one.uses.as_str()))
    }

    fn with<'a>(self, kinds: impl Iterator<Item = &'a str>) -> Self {
        kinds.fold(self, |open, uses| match is_waiting(uses) {
            true => Self { waiting: open.waiting + 1, ..open },
            false => Self { performed: open.performed + 1, ..open },
        })
    }

    /// Whether that is so much that no event is folded.
    fn is_full(self) -> bool {
        self.performed > MOST_PERFORMED || self.waiting > MOST_WAITING
    }
}
