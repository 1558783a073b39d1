//! Specs: what tasks wait for, each once however many revisions, runs and tasks share it.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::ForWait;
use crate::activity::{Activity, EventTrigger, TypePattern, Until, Work};
use crate::canonical;
use crate::event::Event;
use crate::expression::Expression;
use crate::matching::Moment;
use crate::pattern::Pattern;

/// The most bytes of a key that stands in a table as it is; of a longer one its hash does.
const MAX_KEY_BYTES: usize = 256;

/// What a task that waits wants an event to be, `equals` left out: that differs from run to run.
#[derive(Clone, Debug)]
pub struct WaitSpec {
    hash: String,
    content: Value,
    /// As in a trigger: type, source and pattern.
    trigger: EventTrigger,
    key: Option<Expression>,
}

/// A spec that does not stand for anything: whoever wrote the row was not this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read spec {content}: {reason}")]
pub struct SpecError {
    content: String,
    reason: String,
}

impl WaitSpec {
    /// A spec of checked parts. `pattern` is the pattern as it was written, and compiled.
    pub(crate) fn new(
        event_type: TypePattern,
        source: Option<String>,
        pattern: Option<(Value, Pattern)>,
        key: Option<Expression>,
    ) -> Self {
        let (written, pattern) = pattern.unzip();
        let content = json!({
            "event": event_type.to_string(),
            "source": source,
            "match": written,
            "key": key.as_ref().map(Expression::source),
        });
        let trigger = EventTrigger { event_type, source, pattern, when: None, starts: false, cancels: false };
        Self { hash: canonical::hash(&content), content, trigger, key }
    }

    /// Reads what [`WaitSpec::content`] wrote.
    pub fn read(content: &Value) -> Result<Self, SpecError> {
        let failed = |reason: String| SpecError { content: content.to_string(), reason };
        let text = |name: &str| content[name].as_str();
        let event_type = text("event").ok_or_else(|| failed("it has no `event`".into()))?;
        let pattern = match &content["match"] {
            Value::Null => None,
            written => {
                let compiled = Pattern::compile(written).map_err(|_| failed("its `match` is no pattern".into()))?;
                Some((written.clone(), compiled))
            }
        };
        let key = text("key").map(Expression::compile).transpose().map_err(|error| failed(error.to_string()))?;
        Ok(Self::new(TypePattern::of(event_type), text("source").map(str::to_owned), pattern, key))
    }

    /// What it is called: the hash of its content. Revisions with the same content share it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// `event`, `source`, `match` and `key` as they were written; what is not there is null.
    pub fn content(&self) -> &Value {
        &self.content
    }

    /// Whether it tells events apart by a key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// All specs of an activity's tasks.
    pub fn of_activity(activity: &Activity) -> Vec<&WaitSpec> {
        let specs = activity.tasks.iter().filter_map(|task| match &task.work {
            Work::Wait(Until::Event { spec, .. }) => Some(spec.as_ref()),
            _ => None,
        });
        specs.collect()
    }

    /// What an event that this spec lets through means to it; `None` if it does not let it through, or if its key
    /// can't be had, so that nobody can wait for it.
    fn takes(&self, moment: &Moment<'_>) -> Option<ForWait> {
        if !moment.fits(&self.trigger) {
            return None;
        }
        let key = match &self.key {
            None => None,
            Some(key) => match key.evaluate(moment.scope()) {
                Ok(Value::String(text)) => Some(stored_key(&text)),
                _ => return None,
            },
        };
        Some(ForWait { spec: self.hash.clone(), key })
    }
}

/// All specs, by the type of event that they want.
#[derive(Clone, Debug, Default)]
pub struct Specs {
    // Only ever asked for one key: their order is no one's business.
    exact: HashMap<String, Vec<Arc<WaitSpec>>>,
    prefixes: HashMap<String, Vec<Arc<WaitSpec>>>,
}

impl Specs {
    /// Those of `specs`, each once.
    pub fn of(specs: impl IntoIterator<Item = WaitSpec>) -> Self {
        let mut all = Self::default();
        for spec in specs {
            let group = match &spec.trigger.event_type {
                TypePattern::Exact(name) => all.exact.entry(name.clone()).or_default(),
                TypePattern::Prefix(prefix) => all.prefixes.entry(prefix.clone()).or_default(),
            };
            group.push(Arc::new(spec));
        }
        all
    }

    /// What an event means to those that it meets, by hash. It takes as long as there are specs of its type,
    /// however many tasks wait.
    pub fn matched(&self, event: &Event) -> Vec<ForWait> {
        let moment = Moment::new(event);
        let mut found: Vec<ForWait> = self.of_type(&event.event_type).filter_map(|spec| spec.takes(&moment)).collect();
        found.sort_by(|a, b| a.spec.cmp(&b.spec));
        found.dedup_by(|a, b| a.spec == b.spec);
        found
    }

    fn of_type(&self, event_type: &str) -> impl Iterator<Item = &WaitSpec> {
        let dots = event_type.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
        let prefixes: Vec<&Vec<Arc<WaitSpec>>> = match self.prefixes.is_empty() {
            true => Vec::new(),
            false => dots.filter_map(|(at, _)| self.prefixes.get(&event_type[..=at])).collect(),
        };
        self.exact.get(event_type).into_iter().chain(prefixes).flatten().map(Arc::as_ref)
    }
}

/// A key as tables hold it: one that is long, or that has a character which PostgreSQL's text can't have, by its hash.
pub fn stored_key(key: &str) -> String {
    if key.len() <= MAX_KEY_BYTES && !key.contains('\0') { key.to_owned() } else { canonical::hash(&Value::from(key)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Data;

    fn spec(content: Value) -> WaitSpec {
        WaitSpec::read(&content).unwrap()
    }

    #[test]
    fn a_spec_is_its_content_whoever_wrote_it() {
        let content =
            json!({"event": "com.shop.*", "source": "https://*", "match": {"data": {"n": [1]}}, "key": "event.id"});
        let read = spec(content.clone());
        assert_eq!(read.content(), &content);
        assert_eq!(spec(read.content().clone()).hash(), read.hash());
        assert_ne!(spec(json!({"event": "com.shop.*", "key": "event.id"})).hash(), read.hash());
        assert!(WaitSpec::read(&json!({"event": "a", "key": "event."})).is_err());
    }

    #[test]
    fn an_event_meets_the_specs_of_its_type_and_of_its_prefixes() {
        let all = [
            json!({"event": "com.pay.done"}),
            json!({"event": "com.pay.*", "key": "event.data.order"}),
            json!({"event": "com.*", "match": {"data": {"ok": [true]}}}),
            json!({"event": "com.pay.done", "source": "https://other/*"}),
            json!({"event": "com.pay.failed"}),
            json!({"event": "com.pay.done", "key": "event.data.count"}),
        ];
        let specs = Specs::of(all.iter().cloned().map(spec));
        let check = |data: Value, expected: &[(usize, Option<&str>)]| {
            let mut event = Event::new("com.pay.done", "https://pay/1", "1");
            event.data = Data::Json(data.clone());
            let mut wanted: Vec<ForWait> = expected
                .iter()
                .map(|(at, key)| ForWait { spec: spec(all[*at].clone()).hash().into(), key: key.map(str::to_owned) })
                .collect();
            wanted.sort_by(|a, b| a.spec.cmp(&b.spec));
            assert_eq!(specs.matched(&event), wanted, "{data}");
        };
        check(json!({"order": "7", "ok": true, "count": 3}), &[(0, None), (1, Some("7")), (2, None)]);
        check(json!({"ok": false}), &[(0, None)]);
        check(json!({"order": 7, "count": "x"}), &[(0, None), (5, Some("x"))]);
    }

    #[test]
    fn a_key_that_no_column_holds_is_kept_by_its_hash() {
        assert_eq!(stored_key("order 7 ä"), "order 7 ä");
        assert_eq!(stored_key(&"x".repeat(MAX_KEY_BYTES)), "x".repeat(MAX_KEY_BYTES));
        for odd in ["x".repeat(MAX_KEY_BYTES + 1), "a\0b".to_owned()] {
            assert!(stored_key(&odd).starts_with("sha256:"), "{odd:?}");
        }
    }
}
