//! What a run would do: the same decisions as a run makes, with nothing performed.
//!
//! What the outside world would answer is given. A task whose answer is not given stays open, and what
//! needs it undecided. A context source whose value is not given has its default; where a run would look it up,
//! it is marked as assumed, and so is how the run ends. Nothing else is guessed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::activity::{Activity, Lookup};
use crate::event::Event;
use crate::expression::{EvalError, Scope};
use crate::notice::{self, RunFacts};
use crate::planning::{self, Decided, Instance, Outcome, Progress, Request};
use crate::run::{self, Failure};
use crate::{canonical, names};

/// What stands in for the outside world.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The operator's plain values: `config`.
    pub config: Value,
    /// The values of context sources, by name.
    pub context: BTreeMap<String, Value>,
    /// How task instances end, by task id and in the order of their index.
    pub tasks: BTreeMap<String, Vec<GivenResult>>,
    /// What is known of context sources whose values are not given.
    pub not_given: NotGiven,
}

/// What is known of a context source whose value is not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotGiven {
    /// Its lookup failed, so that its default is what a run has: so tests say it.
    #[default]
    Failed,
    /// Nothing: a run would look it up. Its default is assumed, and what is decided with it said to rest on that.
    Unknown,
}

/// How one task instance ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GivenResult {
    /// Well, with this output.
    Output(Value),
    /// It fails for good.
    Error(Failure),
}

/// What a run would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsal {
    /// Each context source, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, RehearsedLookup>,
    /// Every task instance, in the order decided, and every task that was skipped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<RehearsedTask>,
    /// Ids of the tasks whose results are not given, in the order of their names: what needs them is not decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// How the run ends, if that can be told.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Ending {
    /// So.
    Certain(Outcome),
    /// So, if every lookup gives what is assumed of it.
    #[serde(rename_all = "camelCase")]
    Assumed {
        /// How.
        outcome_if_assumed: Outcome,
    },
}

/// One context source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RehearsedLookup {
    /// The lookup, with every expression evaluated.
    pub lookup: Value,
    /// What it gives; `None` if that is not given and there is no default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Whether that is the default, and a run would look it up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub assumed: bool,
}

/// One task instance, or a task that was skipped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RehearsedTask {
    /// The task's id.
    pub task: String,
    /// Which instance it is, of a task with `forEach`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Why it was not decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The word after `uses:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<&'static str>,
    /// The rendered work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<Value>,
}

/// What a run of `activity` would do that `event` starts. Nothing but `given` is asked.
pub fn rehearse(activity: &Activity, revision: u32, event: &Event, given: &Given) -> Rehearsal {
    let id = names::run_id(&activity.name, &event.key());
    let scope = Scope::new()
        .with("event", event.to_json())
        .with("config", given.config.clone())
        .with("run", run::variable(&id, &activity.name, revision));
    let mut rehearsal = Rehearsal::default();
    let scope = match begun(activity, scope) {
        Ok(scope) => scope,
        Err(failure) => {
            rehearsal.end(Outcome::Failed(failure));
            return rehearsal;
        }
    };
    match look_up(activity, &scope, given) {
        Ok(context) => rehearsal.context = context,
        Err((name, error)) => {
            let failure = Failure::new("ContextFailed", format!("context {name}: {error}"));
            rehearsal.end(Outcome::Failed(failure));
            return rehearsal;
        }
    }
    let known: Option<Map<String, Value>> =
        rehearsal.context.iter().map(|(name, one)| Some((name.clone(), one.value.clone()?))).collect();
    let Some(context) = known else { return rehearsal };
    let run =
        Run { activity, id: &id, revision, hops: event.hops(), scope: scope.with("context", Value::Object(context)) };
    run.play(given, &mut rehearsal);
    rehearsal
}

/// Of a stateful activity, adds the state after the event, as if it were the first of its instance.
fn begun(activity: &Activity, scope: Scope) -> Result<Scope, Failure> {
    let Some(instance) = &activity.instance else { return Ok(scope) };
    let state = planning::fold(instance, &planning::initial_state(instance), &scope)?;
    Ok(scope.with("state", state))
}

impl Rehearsal {
    /// The context sources whose defaults stand in for what a run would look up. What is decided rests on them.
    pub fn assumed(&self) -> Vec<&str> {
        self.context.iter().filter(|(_, one)| one.assumed).map(|(name, _)| name.as_str()).collect()
    }

    /// The hash that the audit of such a run would hold of its context.
    pub fn context_hash(&self) -> String {
        let values = self.context.iter().map(|(name, one)| (name.clone(), one.value.clone().unwrap_or_default()));
        canonical::hash(&Value::Object(values.collect()))
    }

    fn end(&mut self, outcome: Outcome) {
        let certain = self.assumed().is_empty();
        self.ending =
            Some(if certain { Ending::Certain(outcome) } else { Ending::Assumed { outcome_if_assumed: outcome } });
    }
}

struct Run<'a> {
    activity: &'a Activity,
    id: &'a str,
    revision: u32,
    hops: u64,
    scope: Scope,
}

impl Run<'_> {
    /// Decides, lets every decided instance end as given, and decides again, until nothing changes.
    fn play(&self, given: &Given, rehearsal: &mut Rehearsal) {
        let mut progress = Progress::new();
        loop {
            let step = match planning::advance(self.activity, &self.scope, &progress) {
                Ok(step) => step,
                Err(failure) => {
                    rehearsal.end(Outcome::Failed(failure));
                    return;
                }
            };
            planning::record(&mut progress, &step);
            rehearsal.tasks.extend(step.skipped.iter().map(|(task, reason)| RehearsedTask::skipped(task, reason)));
            rehearsal.tasks.extend(step.decided.iter().map(RehearsedTask::decided));
            let mut ended = false;
            for decided in &step.decided {
                match self.result(decided, given) {
                    Some(result) => {
                        planning::settle(&mut progress, &decided.task, decided.index, result);
                        ended = true;
                    }
                    None => rehearsal.waits_for.push(decided.task.clone()),
                }
            }
            if let Some(outcome) = step.outcome {
                rehearsal.end(outcome);
            }
            if !ended {
                rehearsal.waits_for.sort();
                rehearsal.waits_for.dedup();
                return;
            }
        }
    }

    fn result(&self, decided: &Decided, given: &Given) -> Option<Instance> {
        let results = given.tasks.get(&decided.task);
        match (results.and_then(|results| results.get(decided.index as usize)), &decided.work) {
            (Some(GivenResult::Output(output)), _) => Some(Instance::Completed(output.clone())),
            (Some(GivenResult::Error(failure)), _) => Some(Instance::Failed(failure.clone())),
            (None, Request::Emit { event_type, subject, data }) => {
                let facts = RunFacts {
                    run: self.id,
                    activity: &self.activity.name,
                    revision: self.revision,
                    hops: self.hops,
                    retry: 0,
                    now: "",
                };
                let event = facts.emitted(&decided.task, decided.index, event_type, subject.clone(), data.clone());
                Some(Instance::Completed(notice::emitted_output(&event)))
            }
            (None, _) => None,
        }
    }
}

impl RehearsedTask {
    fn skipped(task: &str, reason: &str) -> Self {
        Self { task: task.to_owned(), index: None, skipped: Some(reason.to_owned()), uses: None, with: None }
    }

    fn decided(decided: &Decided) -> Self {
        Self {
            task: decided.task.clone(),
            index: decided.each.then_some(decided.index),
            skipped: None,
            uses: Some(decided.work.kind()),
            with: Some(decided.work.with()),
        }
    }
}

/// Every lookup as it would be made, with the value that is given, or the default, assumed or not.
fn look_up(
    activity: &Activity,
    scope: &Scope,
    given: &Given,
) -> Result<BTreeMap<String, RehearsedLookup>, (String, EvalError)> {
    let source = |(name, source): (&String, &crate::activity::ContextSource)| {
        let lookup = lookup(&source.lookup, scope).map_err(|error| (name.clone(), error))?;
        let known = given.context.get(name);
        let value = known.or(source.default.as_ref()).cloned();
        let assumed = known.is_none() && value.is_some() && given.not_given == NotGiven::Unknown;
        Ok((name.clone(), RehearsedLookup { lookup, value, assumed }))
    };
    activity.context.iter().map(source).collect()
}

fn lookup(lookup: &Lookup, scope: &Scope) -> Result<Value, EvalError> {
    let scope = &scope.clone().with_redacted(lookup.secrets());
    Ok(match lookup {
        Lookup::Http { address, headers, tls } => {
            let headers =
                headers.iter().map(|(name, value)| Ok((name.clone(), Value::from(value.render_text(scope)?))));
            let headers: Map<String, Value> = headers.collect::<Result<_, EvalError>>()?;
            let mut http = Map::from_iter([("url".to_owned(), Value::from(address.render(scope)?))]);
            http.extend((!headers.is_empty()).then(|| ("headers".to_owned(), headers.into())));
            http.extend(tls.iter().map(|tls| ("tls".to_owned(), Value::from(tls.as_str()))));
            json!({"http": http})
        }
        Lookup::Sql { query, args, database } => {
            let args: Vec<Value> = args.iter().map(|arg| arg.render(scope)).collect::<Result<_, EvalError>>()?;
            json!({"sql": {"query": query, "args": args, "database": database}})
        }
    })
}
