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
}

#[derive(Serialize)]
struct Checked {
    kind: &'static str,
    name: String,
    file: String,
}

pub(crate) fn run(format: Format, options: &Check) -> anyhow::Result<()> {
    let read = files::read(&options.files)?;
    let mut report = Report { files: read.len(), documents: Vec::new(), problems: Vec::new() };
    for read in read {
        match read.documents {
            Ok(documents) => report.documents.extend(documents.iter().map(|document| checked(&read.file, document))),
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
    let (kind, name) = match document {
        Document::Activity(definition) => ("Activity", &definition.value.name),
        Document::EventType(definition) => ("EventType", &definition.value.name),
    };
    Checked { kind, name: name.clone(), file: file.to_owned() }
}

fn people(report: &Report) -> String {
    let right =
        report.documents.iter().map(|checked| format!("{}: {} {} is right", checked.file, checked.kind, checked.name));
    let wrong = report.problems.iter().map(ToString::to_string);
    right.chain(wrong).collect::<Vec<_>>().join("\n")
}
