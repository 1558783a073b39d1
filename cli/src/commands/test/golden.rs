//! Golden files: what came out of a case when somebody last looked at it and kept it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::failure::invalid;

/// The golden file beside a test: everything that came out, by test and case.
pub(super) struct Golden {
    path: PathBuf,
    kept: BTreeMap<String, BTreeMap<String, Value>>,
    seen: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Golden {
    /// Reads `NAME.golden.yaml` beside `NAME.test.yaml`; empty if there is none.
    pub(super) fn beside(file: &Path) -> anyhow::Result<Self> {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = stem.strip_suffix(".test").unwrap_or(&stem);
        let path = file.with_file_name(format!("{name}.golden.yaml"));
        let kept = match std::fs::read_to_string(&path) {
            Ok(text) => {
                serde_norway::from_str(&text).map_err(|error| invalid(format!("{}: {error}", path.display())))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        Ok(Self { path, kept, seen: BTreeMap::new() })
    }

    /// What differs from what was kept; nothing, if that is to be written anew.
    pub(super) fn check(&mut self, test: &str, case: &str, result: Value, update: bool) -> Vec<String> {
        let kept = self.kept.get(test).and_then(|cases| cases.get(case));
        let differences = match kept {
            _ if update => Vec::new(),
            None => vec![format!("{} has no such case; write it with `spine test --update`", self.path.display())],
            Some(kept) if *kept == result => Vec::new(),
            Some(kept) => difference(kept, &result),
        };
        self.seen.entry(test.to_owned()).or_default().insert(case.to_owned(), result);
        differences
    }

    /// Writes what came out over what was kept of the same cases.
    pub(super) fn save(mut self, update: bool) -> anyhow::Result<()> {
        if !update || self.seen.is_empty() {
            return Ok(());
        }
        for (test, cases) in self.seen {
            self.kept.entry(test).or_default().extend(cases);
        }
        let text = serde_norway::to_string(&self.kept)?;
        std::fs::write(&self.path, text).with_context(|| format!("write {}", self.path.display()))
    }
}

/// The lines that differ.
fn difference(kept: &Value, seen: &Value) -> Vec<String> {
    let text = |value: &Value| serde_norway::to_string(value).unwrap_or_else(|error| error.to_string());
    let (kept, seen) = (text(kept), text(seen));
    let diff = similar::TextDiff::from_lines(&kept, &seen);
    let diff = diff.unified_diff().context_radius(1).header("kept", "now").to_string();
    diff.lines().map(str::to_owned).collect()
}
