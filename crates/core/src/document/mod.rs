//! YAML and JSON text as a tree that knows where each value stands.
//!
//! Invariant: reading hostile text takes time and memory in proportion to its length. Depth and size
//! are bounded, and whatever makes a small text stand for a large tree (anchors, aliases, merge keys)
//! is refused.

mod escape;
mod problem;
mod read;
mod scalar;

use serde_json::{Map, Number, Value};

pub use problem::{MAX_PROBLEMS, Problem, Problems};
pub(crate) use problem::{Report, item_path, key_path};
pub(crate) use read::read_into;
pub use read::{MAX_DEPTH, MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, read};

/// A place in a text. Both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Pos {
    /// The first character of a text.
    pub const START: Pos = Pos { line: 1, column: 1 };
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the value begins; for an empty value, where its key does.
    pub pos: Pos,
    /// The value.
    pub value: NodeValue,
    /// Where a text's first character stands, if the text stands in the file exactly as it is.
    pub(crate) text_start: Option<Pos>,
}

/// What stands at a [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that JSON can hold.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order written. Keys are unique.
    Map(Vec<Entry>),
    /// Something that was refused, with a problem that says so.
    Invalid,
}

/// One key of an object with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub key_pos: Pos,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value as JSON, positions left out.
    pub fn to_value(&self) -> Value {
        match &self.value {
            NodeValue::Null | NodeValue::Invalid => Value::Null,
            NodeValue::Bool(truth) => Value::Bool(*truth),
            NodeValue::Number(number) => Value::Number(number.clone()),
            NodeValue::String(text) => Value::String(text.clone()),
            NodeValue::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            NodeValue::Map(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// Whether nothing at or below it was refused.
    pub(crate) fn is_whole(&self) -> bool {
        match &self.value {
            NodeValue::Invalid => false,
            NodeValue::List(items) => items.iter().all(Node::is_whole),
            NodeValue::Map(entries) => entries.iter().all(|entry| entry.value.is_whole()),
            _ => true,
        }
    }

    /// The value of a key, or `None` if this is no object or has no such key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The node under a JSON pointer (RFC 6901) with the path that leads there from `path`, as far as
    /// there is one.
    pub(crate) fn at_pointer(&self, path: &str, pointer: &str) -> (&Node, String) {
        let (mut node, mut path) = (self, path.to_owned());
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let next = match &node.value {
                NodeValue::List(items) => {
                    token.parse().ok().and_then(|i: usize| Some((items.get(i)?, item_path(&path, i))))
                }
                _ => node.get(&token).map(|child| (child, key_path(&path, &token))),
            };
            let Some((child, child_path)) = next else { break };
            (node, path) = (child, child_path);
        }
        (node, path)
    }

    /// The entries of an object; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            NodeValue::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What it is, as it stands in a message: "a number".
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "nothing",
            NodeValue::Bool(_) => "a boolean",
            NodeValue::Number(_) => "a number",
            NodeValue::String(_) => "a text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "an object",
            NodeValue::Invalid => "an invalid value",
        }
    }
}
