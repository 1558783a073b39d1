//! Patterns and events that were made to be slow. That these tests end is what they test.

use serde_json::{Value, json};
use spine_core::decision::MAX_NEAR_MISSES;
use spine_core::matching::{Entry, Index};
use spine_core::pattern::{MAX_ALTERNATIVES, MAX_DEPTH, Pattern};

use super::{event, listener, matched};

fn index(patterns: impl IntoIterator<Item = Value>) -> Index {
    let entries: Vec<Entry> = patterns
        .into_iter()
        .enumerate()
        .map(|(at, one)| listener(&format!("a{at:05}"), &json!({"data": one})))
        .collect();
    Index::build(1, entries)
}

/// How many of these patterns match, by the index and one by one.
fn check(patterns: Vec<Value>, data: Value, expected: usize) {
    let event = event(data);
    let index = index(patterns);
    assert_eq!(matched(&index, &event).len(), expected);
    assert_eq!(index.explain(&event).iter().filter(|one| one.matched).count(), expected);
}

#[test]
fn wildcards_over_long_texts() {
    let patterns =
        ["*a*a*a*b", "*a*a*a*", "*b*a*a*a", "a*a*ab*a", "*aaaaaaaaab*"].map(|one| json!({"x": [{"wildcard": one}]}));
    check(patterns.to_vec(), json!({"x": "a".repeat(900_000)}), 1);
}

#[test]
fn a_thousand_overlapping_prefixes_and_suffixes() {
    let texts = (1..=1000).map(|length| "a".repeat(length));
    let patterns = texts.flat_map(|text| [json!({"x": [{"prefix": text}]}), json!({"x": [{"suffix": text}]})]);
    let patterns: Vec<Value> = patterns.collect();
    let index = index(patterns);
    let long = vec!["a".repeat(2000); 450];
    assert_eq!(matched(&index, &event(json!({"x": long}))).len(), 2000);
    let short = format!("{}b{}", "a".repeat(500), "a".repeat(300));
    assert_eq!(matched(&index, &event(json!({"x": short}))).len(), 800);
}

#[test]
fn a_thousand_alternatives() {
    let list: Vec<usize> = (0..MAX_ALTERNATIVES).collect();
    let patterns = (0..100).map(|_| json!({"x": list, "y": [{"anything-but": list}]})).collect();
    check(patterns, json!({"x": 999, "y": [0, 1, 2, 999, 1000]}), 100);
}

#[test]
fn a_thousand_combinations() {
    let or = |field: &str| (0..10).map(|at| json!({ field: [at] })).collect::<Vec<_>>();
    let pattern = json!({"p": {"$or": or("x")}, "q": {"$or": or("x")}, "r": {"$or": or("x")}});
    check(vec![pattern; 20], json!({"p": {"x": 9}, "q": {"x": 9}, "r": {"x": [5, 9, 10]}}), 20);
}

#[test]
fn overlapping_ranges() {
    let patterns = (0..2000).map(|at| json!({"x": [{"numeric": [">=", at, "<", 4000 - at]}]})).collect();
    check(patterns, json!({"x": [1000, 3500]}), 1001);
}

#[test]
fn long_lists_deep_in_one_another() {
    let pattern = |at: usize| json!({"l": {"l": {"l": {"x": [at], "y": [{"anything-but": at}]}}}});
    let item = |at: usize| json!({"x": at % 70, "y": at % 3});
    let list: Vec<Value> = (0..20).map(|a| json!({"l": (0..20).map(|b| json!({"l": (0..20).map(|c| item(a * 400 + b * 20 + c)).collect::<Vec<_>>()})).collect::<Vec<_>>()})).collect();
    check((0..100).map(pattern).collect(), json!({"l": list}), 70);
}

#[test]
fn depth() {
    let deep = |inner: Value, depth: usize| (0..depth).fold(inner, |inner, _| json!({"n": inner}));
    let pattern = deep(json!([1]), MAX_DEPTH - 1);
    check(vec![pattern; 3], deep(json!([[1]]), MAX_DEPTH - 1), 3);
    let lists = (0..100).fold(json!(1), |inner, _| json!([inner]));
    check(vec![json!({"n": [1]})], json!({"n": lists}), 1);
    assert!(
        Pattern::compile(&(0..200).fold(json!([1]), |inner, _| json!({"$or": [{"a": [1]}, {"n": inner}]}))).is_err()
    );
}

#[test]
fn ten_thousand_activities_on_one_type() {
    let index = index((0..10_000).map(|at| json!({"x": [at], "y": [{"exists": true}], "z": [{"numeric": [">", at]}]})));
    let event = event(json!({"x": 77, "y": 1, "z": 5000}));
    assert_eq!(matched(&index, &event), ["a00077"]);
    let verdicts = index.decide(&event);
    assert_eq!(verdicts.len(), 1 + MAX_NEAR_MISSES);
    assert!(verdicts[1..].iter().all(|one| one.because.starts_with("data.x is 77, wanted ")), "{verdicts:#?}");
    assert_eq!(index.listeners("t"), 10_000);
}
