//! Right documents are taken; wrong ones give the messages that stand beside them.
//!
//! `UPDATE_EXPECTED=1 cargo test -p spine-schemas` writes the messages anew; read the difference before you keep it.

use std::fs;
use std::path::Path;

use spine_core::activity::{self, Document};
use spine_core::document::Problems;

use crate::documents;

/// Reads a file as the commands do.
fn parse(file: &Path) -> Result<Vec<Document>, Problems> {
    let name = file.file_name().unwrap().to_str().unwrap();
    activity::parse_with(name, &fs::read_to_string(file).unwrap(), spine_schemas::check)
}

#[test]
fn wrong_documents_are_refused_with_what_is_wrong_and_where() {
    let files = documents("schemas/examples/invalid");
    assert!(files.len() >= 40, "only {} files", files.len());
    let wrong: Vec<String> = files.iter().filter_map(|file| difference(file)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is not as it stands beside a wrong document, if anything.
fn difference(file: &Path) -> Option<String> {
    let Err(problems) = parse(file) else {
        return Some(format!("{} was taken", file.display()));
    };
    let got = format!("{problems}\n");
    let expected = file.with_extension("expected.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&expected, &got).unwrap();
    }
    let expected = fs::read_to_string(&expected).unwrap_or_default();
    (got != expected).then(|| format!("{}: got\n{got}expected\n{expected}", file.display()))
}

#[test]
fn right_documents_are_taken() {
    let folders = ["examples/shop/activities", "examples/shop/event-types", "schemas/examples/valid"];
    let files = folders.map(documents).concat();
    assert!(files.len() >= 3);
    for file in files {
        if let Err(problems) = parse(&file) {
            panic!("{}: {problems}", file.display());
        }
    }
}
