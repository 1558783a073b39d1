//! What is generated is what is committed, and the documentation says what is so.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

mod compatibility;
mod documentation;
mod examples;
mod generated;

use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares a generated file with the committed one; with `UPDATE_EXPECTED` it writes it.
fn check_generated(file: &Path, generated: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(file, generated).unwrap();
    }
    let committed = fs::read_to_string(file).unwrap_or_default();
    let same = committed == generated;
    assert!(same, "{} is not up to date: run UPDATE_EXPECTED=1 cargo test -p spine-schemas", file.display());
}

/// All YAML and JSON files below a folder, in order.
fn documents(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![repository().join(folder)];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => open.push(path),
                Some("yaml" | "json") => found.push(path),
                _ => {}
            }
        }
    }
    found.retain(|path| !path.to_string_lossy().ends_with(".golden.yaml"));
    found.sort();
    found
}
