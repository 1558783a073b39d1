//! Every example in the documentation is right.

use std::fs;

use serde_json::{Map, Value, json};
use spine_core::activity;

use crate::{check_generated, repository};

const PAGES: [&str; 2] = ["docs/activity-reference.md", "README.md"];

#[test]
fn the_reference_is_up_to_date() {
    let page = repository().join("docs/activity-reference.md");
    let filled = spine_schemas::reference::fill(&fs::read_to_string(&page).unwrap()).unwrap();
    check_generated(&page, &filled);
}

#[test]
fn every_table_stands_in_the_reference() {
    let page = fs::read_to_string(repository().join("docs/activity-reference.md")).unwrap();
    for (name, _) in spine_schemas::reference::TABLES {
        assert!(page.contains(&format!("<!-- table {name} -->")), "{name}");
    }
}

#[test]
fn every_example_is_right() {
    let mut checked = 0;
    for page in PAGES {
        for (line, language, text) in blocks(&fs::read_to_string(repository().join(page)).unwrap()) {
            let place = format!("{page}:{line}");
            let documents = match language.as_str() {
                "yaml" if text.starts_with("apiVersion:") => vec![text],
                "yaml" => vec![around(&place, &text)],
                "cel" => text.lines().map(condition).collect(),
                _ => continue,
            };
            for document in documents {
                checked += 1;
                if let Err(problems) = activity::parse_with(&place, &document, spine_schemas::check) {
                    panic!("{problems}\n{document}");
                }
            }
        }
    }
    assert!(checked >= 10, "only {checked} examples");
}

/// The fenced blocks of a page: line, language, text.
fn blocks(page: &str) -> Vec<(usize, String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.trim().strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((number + 1, language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, _, text))) => text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    blocks
}

/// A whole document around some keys of a `spec`, or around the `match` of a trigger.
fn around(place: &str, text: &str) -> String {
    let nodes = spine_core::document::read(place, text).unwrap();
    let Value::Object(mut part) = nodes[0].to_value() else { panic!("{place}: no object") };
    if let Some(pattern) = part.remove("match") {
        part.insert("on".into(), json!([{"event": "a", "match": pattern}]));
    }
    document(part)
}

fn condition(line: &str) -> String {
    document(
        json!({"tasks": [{"id": "a", "when": line, "uses": "emit", "with": {"type": "a"}}]})
            .as_object()
            .unwrap()
            .clone(),
    )
}

fn document(part: Map<String, Value>) -> String {
    let mut spec = json!({"on": [{"event": "a"}], "tasks": [{"id": "a", "uses": "emit", "with": {"type": "a"}}]});
    spec.as_object_mut().unwrap().extend(part);
    json!({"apiVersion": "spine/v1", "kind": "Activity", "metadata": {"name": "a"}, "spec": spec}).to_string()
}
