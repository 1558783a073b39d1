//! Text to checked definitions. All that is wrong in a file is reported at once, each with its place.

mod context;
mod cron;
mod decoder;
mod event_type;
mod grammar;
mod graph;
mod http;
mod schedule;
mod scope;
mod sql;
mod task;
mod trigger;

use std::collections::BTreeMap;

use serde_json::Value;

use self::decoder::{Cursor, Decoder, Fields, Keys};
use super::{API_VERSION, Activity, EventType};
use crate::canonical;
use crate::document::{self, Pos, Problems};

/// One checked document of a file.
#[derive(Clone, Debug)]
pub enum Document {
    /// `kind: Activity`.
    Activity(Box<Definition<Activity>>),
    /// `kind: EventType`.
    EventType(Box<Definition<EventType>>),
}

/// A checked document together with what was written.
#[derive(Clone, Debug)]
pub struct Definition<T> {
    /// The document as a type.
    pub value: T,
    /// The document as JSON, exactly as written: no default is filled in.
    pub content: Value,
    /// [`canonical::hash`] of `content`.
    pub hash: String,
    /// Where the document begins in its file.
    pub pos: Pos,
}

impl Document {
    /// What stands after `kind:`.
    pub fn kind(&self) -> &'static str {
        match self {
            Document::Activity(_) => "Activity",
            Document::EventType(_) => "EventType",
        }
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        match self {
            Document::Activity(definition) => &definition.value.name,
            Document::EventType(definition) => &definition.value.name,
        }
    }

    /// The document as JSON, exactly as written.
    pub fn content(&self) -> &Value {
        match self {
            Document::Activity(definition) => &definition.content,
            Document::EventType(definition) => &definition.content,
        }
    }

    /// The hash of its content.
    pub fn hash(&self) -> &str {
        match self {
            Document::Activity(definition) => &definition.hash,
            Document::EventType(definition) => &definition.hash,
        }
    }

    /// Where it begins in its file.
    pub fn pos(&self) -> Pos {
        match self {
            Document::Activity(definition) => definition.pos,
            Document::EventType(definition) => definition.pos,
        }
    }
}

const DOCUMENT: Keys = Keys::new(&["apiVersion", "kind", "metadata", "spec"]);
const METADATA: Keys = Keys::new(&["name", "labels"]);
const SPEC: Keys = Keys::new(&["description", "on", "context", "tasks"]).later(&["instance", "flow"]);

/// Parses and checks all documents of a file, YAML or JSON. Fails with everything that is wrong in it.
/// `file_name` only names the file in the problems. Documents that are empty are passed over.
pub fn parse(file_name: &str, text: &str) -> Result<Vec<Document>, Problems> {
    let mut decoder = Decoder::new(file_name);
    let nodes = document::read_into(&mut decoder.report, text);
    let documents: Vec<Document> = nodes
        .iter()
        .filter(|node| node.value != document::NodeValue::Null)
        .filter_map(|node| decode(&mut decoder, &Cursor::root(node)))
        .collect();
    if documents.is_empty() && decoder.report.len() == 0 {
        decoder.report.add(
            Pos::START,
            "",
            "the file holds no document; write one that begins with `apiVersion: spine/v1`",
        );
    }
    refuse_repeated(&mut decoder, &documents);
    decoder.report.finish(documents)
}

fn decode(d: &mut Decoder, root: &Cursor<'_>) -> Option<Document> {
    let fields = d.map(root, "a document", &DOCUMENT)?;
    if let Some(version) = fields.required(d, "apiVersion") {
        d.choice(&version, &[(API_VERSION, ())]);
    }
    let kind = fields.required(d, "kind")?;
    let decode = d.choice(&kind, &[("Activity", activity as Decode), ("EventType", event_type::decode)])?;
    decode(d, &fields)
}

type Decode = fn(&mut Decoder, &Fields<'_>) -> Option<Document>;

fn activity(d: &mut Decoder, document: &Fields<'_>) -> Option<Document> {
    let metadata = document.required(d, "metadata").and_then(|at| d.map(&at, "metadata", &METADATA));
    let spec = document.required(d, "spec").and_then(|at| d.map(&at, "a spec", &SPEC));
    let name = metadata
        .as_ref()
        .and_then(|fields| fields.required(d, "name"))
        .and_then(|at| d.parsed(&at, grammar::activity_name));
    let labels = metadata.as_ref().map(|fields| labels(d, fields));
    let spec = spec?;
    let value = Activity {
        description: description(d, &spec),
        triggers: spec.required(d, "on").map(|at| trigger::decode(d, &at)).unwrap_or_default(),
        context: spec.get("context").map(|at| context::decode(d, &at)).unwrap_or_default(),
        tasks: spec.required(d, "tasks").map(|at| task::decode(d, &at)).unwrap_or_default(),
        name: name?,
        labels: labels?,
    };
    Some(Document::Activity(Box::new(definition(document, value))))
}

fn definition<T>(document: &Fields<'_>, value: T) -> Definition<T> {
    let content = document.at.node.to_value();
    Definition { value, hash: canonical::hash(&content), content, pos: document.at.pos }
}

fn description(d: &mut Decoder, spec: &Fields<'_>) -> String {
    spec.get("description").and_then(|at| d.text(&at)).unwrap_or_default().to_owned()
}

fn labels(d: &mut Decoder, metadata: &Fields<'_>) -> BTreeMap<String, String> {
    let Some(at) = metadata.get("labels") else { return BTreeMap::new() };
    let mut labels = BTreeMap::new();
    for (name, at) in d.entries(&at, "labels") {
        if let Err(message) = grammar::label(name) {
            d.problem_at_key(&at, message);
        }
        if let Some(text) = d.text(&at) {
            labels.insert(name.to_owned(), text.to_owned());
        }
    }
    labels
}

fn refuse_repeated(d: &mut Decoder, documents: &[Document]) {
    let mut seen = BTreeMap::new();
    for document in documents {
        if let Some(first) = seen.insert((document.kind(), document.name()), document.pos()) {
            let message = format!(
                "{} {} stands in this file twice; first in line {}",
                document.kind(),
                document.name(),
                first.line
            );
            d.report.add(document.pos(), "metadata.name", message);
        }
    }
}
