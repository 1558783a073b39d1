//! Reads activities and event types from files and folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use spine_core::activity::{self, Document};
use spine_core::document::{Pos, Problem, Problems};

use crate::failure::invalid;

/// One file's documents, or all that is wrong with it.
pub(crate) struct Read {
    pub(crate) file: String,
    pub(crate) documents: Result<Vec<Document>, Problems>,
}

/// Reads every file named, and every `.yaml`, `.yml` and `.json` file below every folder named, in order of name;
/// each once, however often it is named.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Read>> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, true, &mut files)?;
    }
    if files.is_empty() {
        return Err(invalid("there is no .yaml, .yml or .json file in what was named"));
    }
    let mut seen = BTreeSet::new();
    files.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    let mut read = files.iter().map(|path| read_file(path)).collect::<anyhow::Result<Vec<Read>>>()?;
    refuse_repeated(&mut read);
    Ok(read)
}

/// Makes what stands in an earlier file too a problem of the later one. Tests are their file's own.
fn refuse_repeated(read: &mut [Read]) {
    let mut places = BTreeMap::new();
    for Read { file, documents } in read {
        let Ok(found) = documents else { continue };
        let definitions = found.iter().filter(|document| !matches!(document, Document::ActivityTest(_)));
        let problems: Vec<Problem> = definitions
            .filter_map(|document| {
                let (kind, name, pos) = (document.kind(), document.name(), document.pos());
                let place = format!("{file}:{}:{}", pos.line, pos.column);
                let first = places.entry((kind, name.to_owned())).or_insert_with(|| place.clone());
                let message = format!("{kind} {name} stands in two files; first at {first}");
                (*first != place).then(|| problem(file, pos, "metadata.name", message))
            })
            .collect();
        if !problems.is_empty() {
            *documents = Err(Problems(problems));
        }
    }
}

/// All documents to apply, or an error with every problem of every file, one a line. A part that nothing
/// executes yet is such a problem: what was applied must run. Tests of activities are left out.
pub(crate) fn to_apply(paths: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut documents = all(paths).context("nothing was applied")?;
    let unexecuted: Vec<Problem> = documents.iter().flat_map(Document::unexecuted).cloned().collect();
    refuse(&unexecuted).context("nothing was applied")?;
    documents.retain(|document| !matches!(document, Document::ActivityTest(_)));
    Ok(documents)
}

/// All documents, or an error with every problem of every file, one a line.
pub(crate) fn all(paths: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for read in read(paths)? {
        match read.documents {
            Ok(found) => documents.extend(found),
            Err(Problems(found)) => problems.extend(found),
        }
    }
    refuse(&problems)?;
    Ok(documents)
}

fn refuse(problems: &[Problem]) -> anyhow::Result<()> {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if lines.is_empty() { Ok(()) } else { Err(invalid(format!("\n{}", lines.join("\n")))) }
}

/// Every `.yaml`, `.yml` and `.json` file below a folder, in order of name.
pub(crate) fn below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, true, &mut files)?;
    Ok(files)
}

fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| invalid(format!("read {}: {error}", path.display())))?;
    if metadata.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("read folder {}", path.display()))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        paths.iter().try_for_each(|path| collect(path, false, files))
    } else {
        let known =
            path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if named || (known && !is_golden(path)) {
            files.push(path.to_owned());
        }
        Ok(())
    }
}

/// Whether it holds what a test of activities expects, and no document.
fn is_golden(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(".golden"))
}

fn read_file(path: &Path) -> anyhow::Result<Read> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| invalid(format!("read {file}: {error}")))?;
    let documents = match String::from_utf8(bytes) {
        Ok(text) => activity::parse_with(&file, &text, spine_schemas::check),
        Err(_) => Err(Problems(vec![problem(&file, Pos::START, "", "the file is not UTF-8 text".into())])),
    };
    Ok(Read { file, documents })
}

fn problem(file: &str, pos: Pos, path: &str, message: String) -> Problem {
    Problem { file: file.to_owned(), line: pos.line, column: pos.column, path: path.to_owned(), message }
}
