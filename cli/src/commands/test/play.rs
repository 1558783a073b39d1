//! Plays one case: from the event to what would come of it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use spine_core::activity::{ActivityTest, Case, EventGiven};
use spine_core::rehearsal::RehearsedTask;
use spine_core::words;

use crate::commands::files;
use crate::explain::definitions::Definitions;
use crate::explain::{self, Prediction};
use crate::failure::invalid;

/// What the cases of one test have in common.
pub(super) struct Stage {
    folder: PathBuf,
    activity: String,
    definitions: Definitions,
}

impl Stage {
    /// Reads the definitions. Fails if the tested activity is not among them.
    pub(super) fn set(file: &Path, test: &ActivityTest) -> anyhow::Result<Self> {
        let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let paths = match test.definitions.as_slice() {
            [] => vec![folder.clone()],
            named => named.iter().map(|path| folder.join(path)).collect(),
        };
        let definitions = Definitions::of(files::all(&paths)?)?;
        if definitions.activity(&test.activity).is_none() {
            let (pos, known) = (test.activity_pos, definitions.names());
            return Err(invalid(format!(
                "{}:{}:{}: spec.activity: there is no activity `{}` in the definitions; {}",
                file.display(),
                pos.line,
                pos.column,
                test.activity,
                words::suggest(&test.activity, &known)
            )));
        }
        Ok(Self { folder, activity: test.activity.clone(), definitions })
    }

    /// What would come of the case's event.
    pub(super) fn play(&self, case: &Case) -> anyhow::Result<Value> {
        let event = self.event(case)?;
        let prediction = explain::predict(&self.definitions, event.to_string().as_bytes(), &case.given);
        Ok(self.result(&prediction))
    }

    /// The event, with what may be left out of it.
    fn event(&self, case: &Case) -> anyhow::Result<Value> {
        let value = match &case.event {
            EventGiven::Inline(value) => value.clone(),
            EventGiven::File(name) => {
                let path = self.folder.join(name);
                let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?
            }
        };
        let Value::Object(mut event) = value else { return Ok(value) };
        for (name, default) in [("specversion", "1.0"), ("id", "test"), ("source", "/test")] {
            event.entry(name).or_insert_with(|| Value::from(default));
        }
        Ok(Value::Object(event))
    }

    fn result(&self, prediction: &Prediction) -> Value {
        let mut result = Map::new();
        result.insert("decision".into(), prediction.decision.into());
        if let Some(refusal) = &prediction.rejected {
            result.insert("reason".into(), refusal.reason.into());
            result.insert("detail".into(), refusal.detail.clone().into());
            return Value::Object(result);
        }
        let own = prediction.verdicts.iter().find(|verdict| verdict.activity == self.activity);
        result.insert("matched".into(), own.is_some_and(|verdict| verdict.matched).into());
        let because = own.map_or("the activity does not listen to this type", |verdict| verdict.because.as_str());
        result.insert("because".into(), because.into());
        let others = prediction.verdicts.iter().filter(|verdict| verdict.matched && verdict.activity != self.activity);
        let others: Vec<&str> = others.map(|verdict| verdict.activity.as_str()).collect();
        if !others.is_empty() {
            result.insert("alsoMatched".into(), json!(others));
        }
        if let Some(run) = prediction.runs.iter().find(|run| run.activity == self.activity)
            && let Value::Object(mut rehearsal) = json!(run.rehearsal)
        {
            if !run.rehearsal.tasks.is_empty() {
                rehearsal.insert("tasks".into(), tasks(&run.rehearsal.tasks));
            }
            result.extend(rehearsal);
        }
        Value::Object(result)
    }
}

/// The tasks by id; those with `forEach` as lists.
fn tasks(tasks: &[RehearsedTask]) -> Value {
    let mut by_id = Map::new();
    for task in tasks {
        let mut one = json!(task);
        if let Some(one) = one.as_object_mut() {
            one.remove("task");
            one.remove("index");
        }
        match task.index {
            None => drop(by_id.insert(task.task.clone(), one)),
            Some(_) => {
                let list = by_id.entry(task.task.clone()).or_insert_with(|| json!([]));
                list.as_array_mut().map(|list| list.push(one)).unwrap_or_default();
            }
        }
    }
    Value::Object(by_id)
}
