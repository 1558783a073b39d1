//! `spine check`: says what is wrong with files, without any server.

use serde::Serialize;
use spine_core::activity::Document;
use spine_core::document::Problem;

use crate::args::Check;
use crate::commands::files;
use crate::failure::invalid;
use crate::output::{self, Format};

#[derive(Serialize)]
struct Report {
    files: usize,
    documents: Vec<Checked>,
    problems: Vec<Problem>,
    /// Parts that are right, and that nothing executes yet: `spine apply` refuses them.
    unexecuted: Vec<Problem>,
}

#[derive(Serialize)]
struct Checked {
    kind: &'static str,
    name: String,
    file: String,
}

pub(crate) fn run(format: Format, options: &Check) -> anyhow::Result<()> {
    let read = files::read(&options.files)?;
    let mut report = Report { files: read.len(), documents: Vec::new(), problems: Vec::new(), unexecuted: Vec::new() };
    for read in read {
        match read.documents {
            Ok(documents) => {
                report.documents.extend(documents.iter().map(|document| checked(&read.file, document)));
                report.unexecuted.extend(documents.iter().flat_map(Document::unexecuted).cloned());
            }
            Err(problems) => report.problems.extend(problems.0),
        }
    }
    output::print(format, &report, people)?;
    match report.problems.len() {
        0 => Ok(()),
        problems => Err(invalid(format!("{problems} problem(s) in {} file(s)", report.files))),
    }
}

fn checked(file: &str, document: &Document) -> Checked {
    Checked { kind: document.kind(), name: document.name().to_owned(), file: file.to_owned() }
}

fn people(report: &Report) -> String {
    let right =
        report.documents.iter().map(|checked| format!("{}: {} {} is right", checked.file, checked.kind, checked.name));
    let notes = report.unexecuted.iter().map(|note| format!("{note}: `spine apply` refuses it"));
    let wrong = report.problems.iter().map(ToString::to_string);
    right.chain(notes).chain(wrong).collect::<Vec<_>>().join("\n")
}
