//! The JSON Schema of our documents, beside the parser.

use std::fs;

use serde_json::Value;
use spine_core::activity;
use spine_schemas::format;

use crate::{check_generated, documents, repository};

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&format::json_schema()).unwrap()
}

/// Every document of a file as JSON, whether right or wrong.
fn values(path: &std::path::Path) -> Vec<Value> {
    let read = spine_core::document::read("file", &fs::read_to_string(path).unwrap());
    read.map(|nodes| nodes.iter().map(spine_core::document::Node::to_value).collect()).unwrap_or_default()
}

#[test]
fn the_json_schema_is_up_to_date() {
    let text = serde_json::to_string_pretty(&format::json_schema()).unwrap() + "\n";
    check_generated(&repository().join("schemas/spine.schema.json"), &text);
}

#[test]
fn what_the_parser_takes_the_json_schema_takes() {
    let validator = validator();
    let files = [documents("schemas/examples/valid"), documents("examples/shop")].concat();
    assert!(files.len() >= 10);
    for file in files {
        for value in values(&file) {
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{}: {errors:#?}", file.display());
        }
    }
}

/// Documents that are wrong in a way that a JSON Schema can't see: each document of these files is taken.
const UNSEEN: [&str; 9] = [
    "context-names",
    "expression-limits",
    "expression-types",
    "flow-batch",
    "flow-nothing",
    "flow-stateful",
    "never",
    "scope",
    "secrets",
];

#[test]
fn what_is_wrong_in_its_form_the_json_schema_refuses_too() {
    let validator = validator();
    let (mut refused, mut unseen) = (Vec::new(), Vec::new());
    for file in documents("schemas/examples/invalid") {
        let values = values(&file);
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        match values.iter().all(|value| validator.is_valid(value)) {
            _ if values.is_empty() => {}
            true => unseen.push(name),
            false => refused.push(name),
        }
    }
    assert_eq!(unseen, UNSEEN, "refused: {refused:?}");
}

#[test]
fn every_key_of_the_format_is_read_by_the_parser() {
    // A key that the tables know and the parser does not read would be taken and ignored: some wrong
    // example must have a problem at each, or below it.
    let paths: Vec<String> =
        documents("schemas/examples/invalid").iter().flat_map(|file| problem_paths(file)).collect();
    let is_read = |key: &str| paths.iter().any(|path| path.split(['.', '[']).any(|part| part == key));
    let keys = spine_schemas::reference::TABLES.iter().flat_map(|(_, object)| object.keys);
    let unread: Vec<&str> = keys.map(|key| key.name).filter(|key| !is_read(key)).collect();
    assert!(unread.is_empty(), "{unread:?}");
}

fn problem_paths(file: &std::path::Path) -> Vec<String> {
    let problems = activity::parse_with("a", &fs::read_to_string(file).unwrap(), spine_schemas::check).err();
    problems.map(|problems| problems.0).unwrap_or_default().into_iter().map(|problem| problem.path).collect()
}
