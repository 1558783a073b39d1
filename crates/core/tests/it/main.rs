//! What the parser of documents makes of right, wrong and hostile text, and the index of many activities.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

mod documents;
mod expressions;
mod hostile;
mod matching;
mod values;
