use serde_json::json;

use super::*;
use crate::activity::{self, Document};
use crate::event::Data;

/// An activity with these triggers, in YAML flow style.
fn entry(name: &str, triggers: &str) -> Entry {
    let text = format!(
        "{{apiVersion: spine/v1, kind: Activity, metadata: {{name: {name}}}, spec: {{on: [{triggers}], tasks: [{{id: t, uses: emit, with: {{type: done}}}}]}}}}"
    );
    match activity::parse("test.yaml", &text).map(|mut documents| documents.remove(0)) {
        Ok(Document::Activity(definition)) => {
            Entry { revision: 3, enabled: true, definition: Arc::new(definition.value) }
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn event() -> Event {
    let mut event = Event::new("com.shop.order.placed", "https://shop.example/web", "1");
    event.data = Data::Json(json!({"total": 80}));
    event
}

fn check(entry: Entry, expected: (bool, &str)) {
    let index = Index::build(1, vec![entry]);
    for verdicts in [index.decide(&event()), index.explain(&event())] {
        assert_eq!(verdicts.iter().map(|v| (v.matched, v.because.as_str())).collect::<Vec<_>>(), [expected]);
    }
    assert_eq!(index.matched(&event()).iter().filter(|one| one.result.is_ok()).count(), usize::from(expected.0));
}

fn names(verdicts: &[Verdict]) -> String {
    verdicts.iter().map(|verdict| verdict.activity.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_verdict_names_the_condition_that_decided() {
    let placed = |rest: &str| entry("a", &format!("{{event: com.shop.order.placed{rest}}}"));
    check(placed(""), (true, "type is com.shop.order.placed"));
    check(entry("a", "{event: com.shop.*}"), (true, "type is com.shop.order.placed"));
    check(
        placed(", source: 'https://other.example/*'"),
        (false, "source is https://shop.example/web, wanted https://other.example/*"),
    );
    check(
        placed(", match: {data: {total: [{numeric: ['>=', 100]}]}}"),
        (false, "data.total is 80, wanted numeric >= 100"),
    );
    check(
        placed(", source: 'https://shop.example/*', match: {data: {total: [80]}}, when: event.data.total > 50"),
        (
            true,
            "type is com.shop.order.placed, source is like https://shop.example/*, the pattern matches, `event.data.total > 50` is true",
        ),
    );
    check(placed(", when: event.data.total > 90"), (false, "`event.data.total > 90` is false"));
    let disabled = Entry { enabled: false, ..placed("") };
    check(disabled, (false, "the activity is disabled; otherwise it would match: type is com.shop.order.placed"));
}

#[test]
fn an_activity_of_another_type_is_not_asked() {
    for other in ["com.shop.order.paid", "com.shop.order.placed.*", "com.shop.order.place.*", "com.shop"] {
        let index = Index::build(1, vec![entry("a", &format!("{{event: {other}}}"))]);
        assert!(index.decide(&event()).is_empty() && index.matched(&event()).is_empty(), "{other}");
        assert_eq!(index.listeners("com.shop.order.placed"), 0, "{other}");
    }
}

#[test]
fn a_failed_when_is_kept() {
    let index = Index::build(1, vec![entry("a", "{event: com.shop.*, when: event.data.nothing > 1}, {event: com.*}")]);
    let matches = index.matched(&event());
    assert!(matches!(matches.as_slice(), [Match { trigger: 1, result: Ok(()), .. }]), "{matches:?}");
    let index = Index::build(1, vec![entry("a", "{event: com.shop.*, when: event.data.nothing > 1}")]);
    let matches = index.matched(&event());
    assert!(matches!(matches.as_slice(), [Match { trigger: 0, result: Err(_), .. }]), "{matches:?}");
    assert!(index.decide(&event())[0].because.contains("nothing"), "{matches:?}");
}

#[test]
fn all_triggers_of_an_activity_are_one_verdict() {
    let entry = entry(
        "a",
        "{event: com.shop.*, match: {data: {total: [1]}}}, {event: com.shop.order.placed, when: event.data.total == 2}, {event: com.*, match: {data: {total: [{exists: true}]}}}",
    );
    let index = Index::build(1, vec![entry]);
    assert!(matches!(index.matched(&event()).as_slice(), [Match { trigger: 2, .. }]));
    assert_eq!((index.decide(&event()).len(), index.listeners(&event().event_type)), (1, 1));
    let other = Event::new("com.shop.order.placed", "/", "1");
    assert_eq!(
        index.decide(&other)[0].because,
        "data.total is missing, wanted 1; expression `event.data.total == 2`: there is no `data`; where it may be missing, write has(….data) or ….?data.orValue(…); data.total is missing, wanted to exist"
    );
}

#[test]
fn a_decision_keeps_all_matches_and_the_nearest_misses() {
    let mut entries = Vec::new();
    for at in 0..200 {
        let triggers = match at % 4 {
            0 => "{event: com.shop.*, match: {data: {total: [80]}}}",
            1 => "{event: com.shop.order.placed, match: {data: {total: [1], x: [1]}}}",
            2 if at < 40 => "{event: com.shop.order.placed, match: {data: {total: [80], x: [1]}}}",
            3 if at < 20 => "{event: com.shop.order.placed, match: {data: {total: [80]}}, when: 'false'}",
            _ => "{event: com.shop.order.placed, match: {data: {total: [2], x: [1], y: [1]}}}",
        };
        entries.push(entry(&format!("a{at:03}"), triggers));
    }
    let index = Index::build(1, entries);
    let verdicts = index.decide(&event());
    let (matched, missed) = verdicts.split_at(50);
    assert!(matched.iter().all(|verdict| verdict.matched) && missed.iter().all(|verdict| !verdict.matched));
    assert_eq!(missed.len(), crate::decision::MAX_NEAR_MISSES);
    assert_eq!(missed.iter().filter(|one| one.because == "`false` is false").count(), 5);
    assert_eq!(missed.iter().filter(|one| one.because == "data.x is missing, wanted 1").count(), 10);
    assert!(matched.is_sorted_by_key(|one| &one.activity) && missed.is_sorted_by_key(|one| &one.activity));
    assert_eq!(index.listeners(&event().event_type), 200);
    assert_eq!(index.explain(&event()).len(), 200);
}

#[test]
fn a_changed_index_is_the_one_that_would_be_built() {
    let first = vec![
        entry("a", "{event: com.shop.order.placed}"),
        entry("b", "{event: com.shop.*}, {event: com.other}"),
        entry("c", "{event: com.other}"),
    ];
    let old = Index::build(1, first.clone());
    let mut second = vec![entry("aa", "{event: com.*}"), first[0].clone(), first[1].clone()];
    second[1].enabled = false;
    let new = old.next(2, second.clone());
    assert_eq!((new.version(), new.len(), names(&new.decide(&event())).as_str()), (2, 3, "aa b a"));
    assert_eq!(new.decide(&event()), Index::build(2, second).decide(&event()));
    let other = Event::new("com.other", "/", "1");
    assert_eq!((names(&old.decide(&other)).as_str(), names(&new.decide(&other)).as_str()), ("b c", "aa b"));
    assert!(Arc::ptr_eq(&old.prefixes["com.shop."], &new.prefixes["com.shop."]), "what did not change is shared");
    assert!(!Arc::ptr_eq(&old.exact["com.other"], &new.exact["com.other"]));
    let empty = new.next(3, Vec::new());
    assert!(empty.is_empty() && empty.exact.is_empty() && empty.prefixes.is_empty());
}

#[test]
fn a_stateful_activity_is_signalled_once_with_what_all_its_triggers_say() {
    let stateful = |name: &str, triggers: &str| {
        let entry = entry(name, triggers);
        let mut definition = Activity::clone(&entry.definition);
        let key = crate::expression::Expression::compile("event.id").unwrap();
        let (state, set) = (BTreeMap::new(), Vec::new());
        let instance = crate::activity::Instance { key, state, set, complete_when: None, expire_after: None };
        definition.instance = Some(instance);
        Entry { definition: Arc::new(definition), ..entry }
    };
    let disabled = Entry { enabled: false, ..stateful("off", "{event: com.shop.*}") };
    let trigger = |flags: &str| {
        let entry =
            stateful("flags", "{event: com.shop.order.placed}, {event: com.shop.*, when: event.data.total > 50}");
        let mut definition = Activity::clone(&entry.definition);
        for (at, flag) in flags.split(' ').enumerate() {
            if let Trigger::Event(trigger) = &mut definition.triggers[at] {
                (trigger.starts, trigger.cancels) = (flag == "starts", flag == "cancels");
            }
        }
        Entry { definition: Arc::new(definition), ..entry }
    };
    let check = |entries: Vec<Entry>, expected: &[(&str, bool, bool, bool)]| {
        let index = Index::build(1, entries);
        let signals = index.signals(&event());
        let seen: Vec<_> = signals
            .iter()
            .map(|one| (one.entry.definition.name.as_str(), one.entry.enabled, one.starts, one.cancels))
            .collect();
        assert_eq!(seen, expected);
    };
    check(vec![entry("plain", "{event: com.shop.*}")], &[]);
    check(
        vec![
            trigger("none starts"),
            entry("plain", "{event: com.shop.*}"),
            disabled,
            stateful("dear", "{event: com.shop.*, when: event.data.total > 90}"),
            stateful("odd", "{event: com.shop.*, when: event.data.none > 90}, {event: com.shop.order.placed}"),
        ],
        &[("flags", true, true, false), ("odd", true, false, false), ("off", false, false, false)],
    );
    check(vec![trigger("starts cancels")], &[("flags", true, true, true)]);
}
