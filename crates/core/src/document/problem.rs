//! What is wrong with a file, and where.

use std::fmt;

use serde::Serialize;

use super::Pos;

/// The most problems that are reported of one file. A person fixes no more at a time, and hostile text
/// can't make a report that is larger than itself by orders of magnitude.
pub const MAX_PROBLEMS: usize = 100;

/// The most characters of a key that a path shows.
const MAX_SHOWN_KEY: usize = 64;

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The path in the document, e.g. `spec.tasks[1].with.url`; empty for the document as a whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong in a file, in the order of the text; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    /// One line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects the problems of one file.
#[derive(Debug)]
pub(crate) struct Report {
    file: String,
    problems: Vec<Problem>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), problems: Vec::new() }
    }

    pub(crate) fn add(&mut self, pos: Pos, path: &str, message: impl Into<String>) {
        let (path, message) = match self.problems.len() {
            MAX_PROBLEMS.. => return,
            len if len + 1 == MAX_PROBLEMS => {
                (String::new(), "there are more problems than are listed; fix these first".into())
            }
            _ => (path.to_owned(), message.into()),
        };
        self.problems.push(self.problem(pos, &path, message));
    }

    /// A remark on this file that is not reported as a problem.
    pub(crate) fn problem(&self, pos: Pos, path: &str, message: String) -> Problem {
        Problem { file: self.file.clone(), line: pos.line, column: pos.column, path: path.to_owned(), message }
    }

    /// How many problems there are so far.
    pub(crate) fn len(&self) -> usize {
        self.problems.len()
    }

    /// The problems in the order of the text, or `value` if there are none.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<T, Problems> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems.sort();
        self.problems.dedup();
        Err(Problems(self.problems))
    }
}

/// The path of a key below `path`.
pub(crate) fn key_path(path: &str, key: &str) -> String {
    let key = clip(key);
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match (plain, path.is_empty()) {
        (true, true) => key,
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{key:?}]"),
    }
}

/// The path of an item below `path`.
pub(crate) fn item_path(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

fn clip(key: &str) -> String {
    match key.char_indices().nth(MAX_SHOWN_KEY) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}
