//! Finds the activities that an event starts, and says of each one why or why not.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::activity::{Activity, EventTrigger, Trigger, TypePattern};
use crate::decision::Verdict;
use crate::event::Event;
use crate::expression::Scope;

/// The current revision of one activity, ready to be matched.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The revision that new runs get.
    pub revision: u32,
    /// False: it starts nothing.
    pub enabled: bool,
    /// The definition.
    pub definition: Arc<Activity>,
}

/// All triggers of one state of the catalog, indexed by event type. Immutable: a change makes a new one.
#[derive(Debug, Default)]
pub struct Index {
    version: u64,
    entries: Vec<Entry>,
    exact: BTreeMap<String, Vec<usize>>,
    prefixes: BTreeMap<String, Vec<usize>>,
}

impl Index {
    /// Indexes `entries`, which are the catalog's state `version`.
    pub fn build(version: u64, entries: Vec<Entry>) -> Self {
        let mut index = Self { version, entries: Vec::new(), exact: BTreeMap::new(), prefixes: BTreeMap::new() };
        for (at, entry) in entries.iter().enumerate() {
            for trigger in event_triggers(&entry.definition) {
                let (map, name) = match &trigger.event_type {
                    TypePattern::Exact(name) => (&mut index.exact, name),
                    TypePattern::Prefix(name) => (&mut index.prefixes, name),
                };
                let list = map.entry(name.clone()).or_default();
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }
        }
        index.entries = entries;
        index
    }

    /// The version of the catalog it stands for.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many activities it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A verdict for each activity that listens to the event's type: those that matched first, then by name.
    pub fn decide(&self, event: &Event) -> Vec<Verdict> {
        let listeners = self.listeners(&event.event_type);
        if listeners.is_empty() {
            return Vec::new();
        }
        let json = Arc::new(event.to_json());
        let scope = Scope::new().with("event", json.clone());
        let mut verdicts: Vec<Verdict> =
            listeners.into_iter().map(|at| verdict(&self.entries[at], event, &json, &scope)).collect();
        verdicts.sort_by(|a, b| b.matched.cmp(&a.matched).then_with(|| a.activity.cmp(&b.activity)));
        verdicts
    }

    fn listeners(&self, event_type: &str) -> Vec<usize> {
        let mut found: Vec<usize> = self.exact.get(event_type).into_iter().flatten().copied().collect();
        if !self.prefixes.is_empty() {
            let ends = event_type.char_indices().filter(|(_, c)| *c == '.').map(|(at, _)| at + 1);
            found.extend(ends.filter_map(|end| self.prefixes.get(&event_type[..end])).flatten());
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn event_triggers(activity: &Activity) -> impl Iterator<Item = &EventTrigger> {
    activity.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Event(trigger) => Some(trigger),
        Trigger::Schedule(_) => None,
    })
}

fn verdict(entry: &Entry, event: &Event, json: &Value, scope: &Scope) -> Verdict {
    let mut misses = Vec::new();
    let mut hit = None;
    for trigger in event_triggers(&entry.definition).filter(|trigger| covers(&trigger.event_type, &event.event_type)) {
        match check(trigger, event, json, scope) {
            Ok(because) => {
                hit = Some(because);
                break;
            }
            Err(because) => misses.push(because),
        }
    }
    let (matched, because) = match hit {
        Some(because) if entry.enabled => (true, because),
        Some(because) => (false, format!("the activity is disabled; otherwise it would match: {because}")),
        None => (false, misses.join("; ")),
    };
    Verdict { activity: entry.definition.name.clone(), revision: entry.revision, matched, because, run: None }
}

fn covers(pattern: &TypePattern, event_type: &str) -> bool {
    match pattern {
        TypePattern::Exact(name) => name == event_type,
        TypePattern::Prefix(prefix) => event_type.starts_with(prefix.as_str()),
    }
}

/// Ok with all conditions that hold, or Err with the first that does not: the value seen and the value wanted.
fn check(trigger: &EventTrigger, event: &Event, json: &Value, scope: &Scope) -> Result<String, String> {
    let mut held = vec![format!("type is {}", event.event_type)];
    if let Some(source) = &trigger.source {
        if !wildcard(source, &event.source) {
            return Err(format!("source is {}, wanted {source}", event.source));
        }
        held.push(format!("source is like {source}"));
    }
    if let Some(pattern) = &trigger.pattern {
        pattern.check(json).map_err(|miss| format!("{} is {}, wanted {}", miss.path, miss.seen, miss.wanted))?;
        held.push("the pattern matches".into());
    }
    if let Some(when) = &trigger.when {
        match when.truth(scope) {
            Ok(true) => held.push(format!("`{}` is true", when.source())),
            Ok(false) => return Err(format!("`{}` is false", when.source())),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(held.join(", "))
}

/// Whether `text` is like `pattern`, in which `*` stands for any run of characters. Linear in the
/// length of the text for each `*`.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Data;
    use crate::expression::Expression;
    use crate::pattern::Pattern;

    fn entry(name: &str, trigger: EventTrigger) -> Entry {
        let definition = Activity {
            name: name.into(),
            labels: BTreeMap::new(),
            description: String::new(),
            triggers: vec![Trigger::Event(trigger)],
            context: BTreeMap::new(),
            instance: None,
            flow: None,
            tasks: Vec::new(),
        };
        Entry { revision: 3, enabled: true, definition: Arc::new(definition) }
    }

    fn trigger(event_type: TypePattern) -> EventTrigger {
        EventTrigger { event_type, source: None, pattern: None, when: None, starts: false, cancels: false }
    }

    fn event() -> Event {
        let mut event = Event::new("com.shop.order.placed", "https://shop.example/web", "1");
        event.data = Data::Json(json!({"total": 80}));
        event
    }

    fn check(entry: Entry, expected: (bool, &str)) {
        let verdicts = Index::build(1, vec![entry]).decide(&event());
        assert_eq!(verdicts.iter().map(|v| (v.matched, v.because.as_str())).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn each_verdict_names_the_condition_that_decided() {
        let exact = || trigger(TypePattern::Exact("com.shop.order.placed".into()));
        check(entry("a", exact()), (true, "type is com.shop.order.placed"));
        check(entry("a", trigger(TypePattern::Prefix("com.shop.".into()))), (true, "type is com.shop.order.placed"));
        check(
            entry("a", EventTrigger { source: Some("https://other.example/*".into()), ..exact() }),
            (false, "source is https://shop.example/web, wanted https://other.example/*"),
        );
        let pattern = Pattern::compile(&json!({"data": {"total": [{"numeric": [">=", 100]}]}})).unwrap();
        check(
            entry("a", EventTrigger { pattern: Some(pattern), ..exact() }),
            (false, "data.total is 80, wanted numeric >= 100"),
        );
        let when = Expression::compile("event.data.total > 50").unwrap();
        check(
            entry("a", EventTrigger { when: Some(when), ..exact() }),
            (true, "type is com.shop.order.placed, `event.data.total > 50` is true"),
        );
        let disabled = Entry { enabled: false, ..entry("a", exact()) };
        check(disabled, (false, "the activity is disabled; otherwise it would match: type is com.shop.order.placed"));
    }

    #[test]
    fn an_activity_of_another_type_is_not_asked() {
        let other = entry("a", trigger(TypePattern::Exact("com.shop.order.paid".into())));
        assert!(Index::build(1, vec![other]).decide(&event()).is_empty());
        let prefix = entry("a", trigger(TypePattern::Prefix("com.shop.order.placed.".into())));
        assert!(Index::build(1, vec![prefix]).decide(&event()).is_empty());
    }

    #[test]
    fn wildcards_in_sources() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("ab*ba", "aba", false),
            ("abc", "abc", true),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }
}
