//! Builds the tree from the parser's events, with a stack of our own.

use std::collections::BTreeMap;
use std::str::Chars;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::problem::{Report, item_path, key_path};
use super::{Entry, Node, NodeValue, Pos, escape, scalar};

/// The most bytes a file may have.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// The most bytes one document of a file may have.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// How deep lists and objects may stand in one another.
pub const MAX_DEPTH: usize = 64;

/// Reads all documents of a file. What was refused stands as [`NodeValue::Invalid`] in the tree, so
/// that the rest can still be checked; after a syntax error nothing more is read.
pub fn read(file: &str, text: &str) -> Result<Vec<Node>, super::Problems> {
    let mut report = Report::new(file);
    let documents = read_into(&mut report, text);
    report.finish(documents)
}

/// As [`read`], with the problems put into `report`.
pub(crate) fn read_into(report: &mut Report, text: &str) -> Vec<Node> {
    if text.len() > MAX_FILE_BYTES {
        let message =
            format!("the file has {} bytes; at most {MAX_FILE_BYTES} are allowed, so cut it into several", text.len());
        report.add(Pos::START, "", message);
        return Vec::new();
    }
    let text = escape::without_surrogates(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reader = Reader {
        report,
        documents: Vec::new(),
        frames: Vec::new(),
        start: Marker::default(),
        rest: text.chars(),
        at: 0,
    };
    let mut parser = Parser::new_from_str(&text);
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => {
                if reader.event(event, span).is_err() {
                    break;
                }
            }
            Err(error) => {
                let path = reader.path();
                reader.report.add(pos(error.marker()), &path, syntax_error(error.info()));
                break;
            }
        }
    }
    reader.documents
}

fn syntax_error(info: &str) -> String {
    match info {
        // The scanner looks ahead, and has a limit of its own.
        "recursion limit exceeded" => too_deep(),
        info => format!("not valid YAML or JSON: {info}"),
    }
}

fn too_deep() -> String {
    format!("nested too deep: lists and objects may stand {MAX_DEPTH} deep in one another")
}

/// Says that nothing more is to be read; the reason was reported.
struct Stop;

struct Reader<'a> {
    report: &'a mut Report,
    documents: Vec<Node>,
    /// The lists and objects that are still open.
    frames: Vec<Frame>,
    /// Where the document that is read began.
    start: Marker,
    /// What was not yet measured of the text, and at which character it begins.
    rest: Chars<'a>,
    at: usize,
}

enum Frame {
    List { pos: Pos, items: Vec<Node> },
    Map { pos: Pos, entries: Vec<Entry>, seen: BTreeMap<String, Pos>, key: Option<Key> },
}

/// A key whose value is still to come.
struct Key {
    name: String,
    pos: Pos,
    /// False: the key was refused, its value is dropped.
    keep: bool,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(_) => self.start = span.start,
            Event::DocumentEnd => self.measure(span.end)?,
            Event::Alias(_) => self.refuse(span, "aliases (`*name`) are not supported; write the value out"),
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, span);
                self.complete_checked(node, anchor, tag.is_some());
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Frame::List { pos: pos(&span.start), items: Vec::new() }, anchor, tag.is_some())?;
            }
            Event::MappingStart(anchor, tag) => {
                let frame = Frame::Map { pos: pos(&span.start), entries: Vec::new(), seen: BTreeMap::new(), key: None };
                self.open(frame, anchor, tag.is_some())?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame, anchor: usize, tagged: bool) -> Result<(), Stop> {
        let pos = frame.pos();
        self.refuse_properties(pos, anchor, tagged);
        if self.frames.len() >= MAX_DEPTH {
            let path = self.path();
            self.report.add(pos, &path, too_deep());
            return Err(Stop);
        }
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self) {
        let node = match self.frames.pop() {
            Some(Frame::List { pos, items }) => Node { pos, value: NodeValue::List(items), text_start: None },
            Some(Frame::Map { pos, entries, .. }) => Node { pos, value: NodeValue::Map(entries), text_start: None },
            None => return,
        };
        self.complete(node);
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let pos = pos(&span.start);
        let text_start = text_start(text, style, span);
        if style != ScalarStyle::Plain {
            return Node { pos, value: NodeValue::String(text.to_owned()), text_start };
        }
        let value = if text == "<<" && self.expects_key() {
            Err("merge keys (`<<`) are not supported; write the keys out".into())
        } else {
            scalar::resolve(text)
        };
        let value = value.unwrap_or_else(|message| {
            let path = self.path();
            self.report.add(pos, &path, message);
            NodeValue::Invalid
        });
        Node { pos, value, text_start }
    }

    fn complete_checked(&mut self, node: Node, anchor: usize, tagged: bool) {
        self.refuse_properties(node.pos, anchor, tagged);
        self.complete(node);
    }

    /// Puts a finished value where it belongs: into the list or object it stands in, or among the documents.
    fn complete(&mut self, node: Node) {
        match self.frames.last_mut() {
            None => self.documents.push(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                None => self.key(node),
                Some(key) if key.keep => entries.push(entry(key, node)),
                Some(_) => {}
            },
        }
    }

    /// Takes a value as the next key of the innermost object.
    fn key(&mut self, node: Node) {
        let (name, problem) = match node.value {
            NodeValue::String(name) => (name, None),
            NodeValue::Invalid => (String::new(), Some(None)),
            NodeValue::List(_) | NodeValue::Map(_) => {
                (String::new(), Some(Some("a key is a text, not a list or an object".into())))
            }
            NodeValue::Null => (String::new(), Some(Some("the key is missing; write a text before the colon".into()))),
            NodeValue::Bool(_) | NodeValue::Number(_) => {
                (String::new(), Some(Some(format!("a key is a text; write {} in quotes", node.to_value()))))
            }
        };
        let problem = problem.or_else(|| self.duplicate(&name, node.pos).map(Some));
        let keep = problem.is_none();
        if let Some(Some(message)) = problem {
            let path = self.path();
            let path = if name.is_empty() { path } else { key_path(&path, &name) };
            self.report.add(node.pos, &path, message);
        }
        if let Some(Frame::Map { key, .. }) = self.frames.last_mut() {
            *key = Some(Key { name, pos: node.pos, keep });
        }
    }

    fn duplicate(&mut self, name: &str, pos: Pos) -> Option<String> {
        let Some(Frame::Map { seen, .. }) = self.frames.last_mut() else { return None };
        if let Some(first) = seen.get(name) {
            return Some(format!(
                "the key stands here for the second time; first in line {}, column {}",
                first.line, first.column
            ));
        }
        seen.insert(name.to_owned(), pos);
        None
    }

    fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map { key: None, .. }))
    }

    fn refuse(&mut self, span: Span, message: &str) {
        let (pos, path) = (pos(&span.start), self.path());
        self.report.add(pos, &path, message);
        self.complete(Node { pos, value: NodeValue::Invalid, text_start: None });
    }

    fn refuse_properties(&mut self, pos: Pos, anchor: usize, tagged: bool) {
        if anchor == 0 && !tagged {
            return;
        }
        let path = self.path();
        if anchor > 0 {
            self.report.add(pos, &path, "anchors (`&name`) are not supported; write the value out where it is needed");
        }
        if tagged {
            self.report.add(pos, &path, "tags (`!name`) are not supported; write the value without one");
        }
    }

    /// Refuses a document that is too large; `end` is where it ends.
    fn measure(&mut self, end: Marker) -> Result<(), Stop> {
        let (from, to) = (self.start.index(), end.index());
        if to.saturating_sub(from) * 4 <= MAX_DOCUMENT_BYTES {
            return Ok(());
        }
        let bytes: usize =
            self.rest.by_ref().skip(from.saturating_sub(self.at)).take(to - from).map(char::len_utf8).sum();
        self.at = to;
        if bytes > MAX_DOCUMENT_BYTES {
            let message = format!("the document has {bytes} bytes; at most {MAX_DOCUMENT_BYTES} are allowed");
            self.report.add(pos(&self.start), "", message);
            self.documents.pop();
            return Err(Stop);
        }
        Ok(())
    }

    /// The path of the value that is read next.
    fn path(&self) -> String {
        self.frames.iter().fold(String::new(), |path, frame| match frame {
            Frame::List { items, .. } => item_path(&path, items.len()),
            Frame::Map { key: Some(key), .. } if !key.name.is_empty() => key_path(&path, &key.name),
            Frame::Map { .. } => path,
        })
    }
}

impl Frame {
    fn pos(&self) -> Pos {
        match self {
            Frame::List { pos, .. } | Frame::Map { pos, .. } => *pos,
        }
    }
}

fn entry(key: Key, mut value: Node) -> Entry {
    if value.value == NodeValue::Null {
        value.pos = key.pos;
    }
    Entry { key: key.name, key_pos: key.pos, value }
}

fn pos(marker: &Marker) -> Pos {
    Pos { line: marker.line().max(1), column: marker.col() + 1 }
}

/// Where the first character of a text stands that was written in one line and without escapes.
fn text_start(text: &str, style: ScalarStyle, span: Span) -> Option<Pos> {
    let quotes = match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
        ScalarStyle::Literal | ScalarStyle::Folded => return None,
    };
    let written = span.start.line() == span.end.line() && span.len() == text.chars().count() + 2 * quotes;
    let start = pos(&span.start);
    written.then_some(Pos { column: start.column + quotes, ..start })
}
