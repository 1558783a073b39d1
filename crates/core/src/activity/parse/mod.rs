//! Text to checked definitions. All that is wrong in a file is reported at once, each with its place.

mod calendar;
mod context;
pub(in crate::activity) mod cron;
mod decoder;
mod event_type;
mod expressions;
mod flow;
mod grammar;
mod graph;
mod headers;
mod http;
mod instance;
mod nats;
mod schedule;
mod schema;
mod scope;
mod source;
mod sql;
mod task;
mod test;
mod trigger;
mod wait;
mod work;

pub use grammar::duration as parse_duration;

use std::collections::BTreeMap;

use serde_json::Value;

use self::decoder::{Cursor, Decoder, Fields};
pub use self::schema::{SchemaCheck, SchemaFault};
use self::scope::Surroundings;
use super::format::{self, Object};
use super::{Activity, ActivityTest, EventType, Source};
use crate::canonical;
use crate::document::{self, Pos, Problem, Problems};

/// One checked document of a file.
#[derive(Clone, Debug)]
pub enum Document {
    /// `kind: Activity`.
    Activity(Box<Definition<Activity>>),
    /// `kind: EventType`.
    EventType(Box<Definition<EventType>>),
    /// `kind: Source`.
    Source(Box<Definition<Source>>),
    /// `kind: ActivityTest`.
    ActivityTest(Box<Definition<ActivityTest>>),
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
    /// Parts that are right, and that nothing executes yet: with any of them, it can't be applied.
    pub unexecuted: Vec<Problem>,
}

impl Document {
    /// What stands after `kind:`.
    pub fn kind(&self) -> &'static str {
        match self {
            Document::Activity(_) => "Activity",
            Document::EventType(_) => "EventType",
            Document::Source(_) => "Source",
            Document::ActivityTest(_) => "ActivityTest",
        }
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        match self {
            Document::Activity(definition) => &definition.value.name,
            Document::EventType(definition) => &definition.value.name,
            Document::Source(definition) => &definition.value.name,
            Document::ActivityTest(definition) => &definition.value.name,
        }
    }

    /// The document as JSON, exactly as written.
    pub fn content(&self) -> &Value {
        match self {
            Document::Activity(definition) => &definition.content,
            Document::EventType(definition) => &definition.content,
            Document::Source(definition) => &definition.content,
            Document::ActivityTest(definition) => &definition.content,
        }
    }

    /// The hash of its content.
    pub fn hash(&self) -> &str {
        match self {
            Document::Activity(definition) => &definition.hash,
            Document::EventType(definition) => &definition.hash,
            Document::Source(definition) => &definition.hash,
            Document::ActivityTest(definition) => &definition.hash,
        }
    }

    /// Parts that are right, and that nothing executes yet.
    pub fn unexecuted(&self) -> &[Problem] {
        match self {
            Document::Activity(definition) => &definition.unexecuted,
            Document::EventType(definition) => &definition.unexecuted,
            Document::Source(definition) => &definition.unexecuted,
            Document::ActivityTest(definition) => &definition.unexecuted,
        }
    }

    /// Where it begins in its file.
    pub fn pos(&self) -> Pos {
        match self {
            Document::Activity(definition) => definition.pos,
            Document::EventType(definition) => definition.pos,
            Document::Source(definition) => definition.pos,
            Document::ActivityTest(definition) => definition.pos,
        }
    }
}

/// Parses documents that were checked before they were stored: as [`parse_with`], but JSON Schemas are taken
/// as they are.
pub fn parse(file_name: &str, text: &str) -> Result<Vec<Document>, Problems> {
    parse_with(file_name, text, |_| Ok(()))
}

/// Parses and checks all documents of a file, YAML or JSON. Fails with everything that is wrong in it, with
/// what `check_schema` finds in JSON Schemas. `file_name` only names the file in the problems. Documents that
/// are empty are passed over.
pub fn parse_with(file_name: &str, text: &str, check_schema: SchemaCheck) -> Result<Vec<Document>, Problems> {
    let mut decoder = Decoder::new(file_name, check_schema);
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

type Decode = fn(&mut Decoder, &Fields<'_>) -> Option<Document>;

const KINDS: [(&str, &Object, Decode); 4] = [
    ("Activity", &format::ACTIVITY, activity),
    ("EventType", &format::EVENT_TYPE, event_type::decode),
    ("Source", &format::SOURCE, source::decode),
    ("ActivityTest", &format::ACTIVITY_TEST, test::decode),
];

fn decode(d: &mut Decoder, root: &Cursor<'_>) -> Option<Document> {
    let written = root.node.get("kind").map(|node| node.to_value());
    if written.is_none() && root.node.get("specversion").is_some() {
        d.problem(root, "this is an event, not a definition; `spine explain FILE` says what would become of it");
        return None;
    }
    let known = KINDS.iter().find(|(kind, ..)| written.as_ref().is_some_and(|written| written == kind));
    let (_, object, decode) = known.unwrap_or(&KINDS[0]);
    let fields = d.map(root, object)?;
    d.word(&fields, "apiVersion");
    let kind = fields.get("kind")?;
    d.one_of_words(&kind, &KINDS.map(|(kind, ..)| kind))?;
    decode(d, &fields)
}

fn activity(d: &mut Decoder, document: &Fields<'_>) -> Option<Document> {
    let metadata = document.get("metadata").and_then(|at| d.map(&at, &format::METADATA));
    let name =
        metadata.as_ref().and_then(|fields| fields.get("name")).and_then(|at| d.parsed(&at, grammar::activity_name));
    let labels = metadata.map(|fields| labels(d, &fields));
    let spec = document.get("spec").and_then(|at| d.map(&at, &format::SPEC))?;
    let surroundings = Surroundings::of(&spec);
    let triggers = trigger::decode(d, &spec);
    let context = context::decode(d, &spec, &surroundings);
    let (tasks, graph) = task::decode(d, &spec, &surroundings);
    let instance = spec.get("instance").and_then(|at| instance::decode(d, &at, &spec, &surroundings, &graph));
    let flow = spec.get("flow").and_then(|at| flow::decode(d, &at, &spec));
    let value = Activity {
        description: description(d, &spec),
        triggers,
        context,
        instance,
        flow,
        tasks,
        name: name?,
        labels: labels?,
    };
    Some(Document::Activity(Box::new(definition(d, document, value))))
}

fn definition<T>(d: &mut Decoder, document: &Fields<'_>, value: T) -> Definition<T> {
    let content = document.at.node.to_value();
    let unexecuted = d.take_unexecuted();
    Definition { value, hash: canonical::hash(&content), content, pos: document.at.pos, unexecuted }
}

fn description(d: &mut Decoder, spec: &Fields<'_>) -> String {
    spec.get("description").and_then(|at| d.text(&at)).unwrap_or_default().to_owned()
}

fn labels(d: &mut Decoder, metadata: &Fields<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, at) in d.entries(metadata, "labels") {
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
