//! `spine test`: cases of what becomes of an event, without any server.

mod compare;
mod golden;
mod play;

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde::Serialize;
use spine_core::activity::{ActivityTest, Document};

use crate::args::Test;
use crate::commands::files;
use crate::failure::invalid;
use crate::output::{self, Format};

/// What came of all tests.
#[derive(Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    cases: Vec<CaseReport>,
}

/// What came of one case.
#[derive(Serialize)]
pub(crate) struct CaseReport {
    file: String,
    line: usize,
    test: String,
    case: String,
    passed: bool,
    /// What differs, or why it could not be played; each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

pub(crate) fn run(format: Format, options: &Test) -> anyhow::Result<()> {
    let mut cases = Vec::new();
    for file in test_files(&options.files)? {
        cases.extend(run_file(&file, options)?);
    }
    if cases.is_empty() {
        return Err(invalid("no case was found; tests of activities stand in files named *.test.yaml"));
    }
    let failed = cases.iter().filter(|case| !case.passed).count();
    let report = Report { passed: cases.len() - failed, failed, cases };
    output::print(format, &report, people)?;
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} of {} cases failed", report.cases.len()),
    }
}

/// The files named, and every test below the folders named.
fn test_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => found.extend(files::below(path)?.into_iter().filter(|path| is_test(path))),
            false => found.push(path.clone()),
        }
    }
    Ok(found)
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(".test"))
}

fn run_file(file: &Path, options: &Test) -> anyhow::Result<Vec<CaseReport>> {
    let mut tests: Vec<ActivityTest> = Vec::new();
    for document in files::all(&[file.to_owned()])? {
        match document {
            Document::ActivityTest(definition) => tests.push(definition.value),
            other => {
                let (kind, line) = (other.kind(), other.pos().line);
                return Err(invalid(format!(
                    "{}:{line}: {kind} stands here; a test has `kind: ActivityTest`",
                    file.display()
                )));
            }
        }
    }
    let mut golden = golden::Golden::beside(file)?;
    let name = file.strip_prefix("./").unwrap_or(file).display().to_string();
    let mut reports = Vec::new();
    for test in &tests {
        let stage = play::Stage::set(file, test)?;
        for case in test.cases.iter().filter(|case| options.case.as_ref().is_none_or(|text| case.name.contains(text))) {
            let differences = match (stage.play(case), &case.expect) {
                (Err(reason), _) => {
                    vec![format!("{name}:{}:{}: {reason:#}", case.event_pos.line, case.event_pos.column)]
                }
                (Ok(result), Some(expected)) => compare::expected(&name, expected, &result),
                (Ok(result), None) => golden.check(&test.name, &case.name, result, options.update),
            };
            reports.push(CaseReport {
                file: name.clone(),
                line: case.pos.line,
                test: test.name.clone(),
                case: case.name.clone(),
                passed: differences.is_empty(),
                differences,
            });
        }
    }
    golden.save(options.update)?;
    Ok(reports)
}

fn people(report: &Report) -> String {
    let mut lines = Vec::new();
    for case in &report.cases {
        let word = if case.passed { "ok  " } else { "FAIL" };
        lines.push(format!("{word}  {}: {}", case.test, case.case));
        lines.extend(case.differences.iter().map(|difference| format!("      {difference}")));
    }
    lines.push(format!("{} passed, {} failed", report.passed, report.failed));
    lines.join("\n")
}
