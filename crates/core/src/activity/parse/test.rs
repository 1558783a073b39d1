//! `kind: ActivityTest`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::decoder::{Cursor, Decoder, Fields};
use super::{Document, definition, labels};
use crate::activity::format::{CASE, ERROR, EXPECT, GIVEN, RESULT, TEST_METADATA, TEST_SPEC};
use crate::activity::{ActivityTest, Case, EventGiven};
use crate::document::{Node, NodeValue};
use crate::rehearsal::{Given, GivenResult};
use crate::run::Failure;

pub(super) fn decode(d: &mut Decoder, document: &Fields<'_>) -> Option<Document> {
    let metadata = document.get("metadata").and_then(|at| d.map(&at, &TEST_METADATA));
    let name =
        metadata.as_ref().and_then(|fields| fields.get("name")).and_then(|at| d.constant(&at)).map(str::to_owned);
    if let Some(fields) = &metadata {
        labels(d, fields);
    }
    let spec = document.get("spec").and_then(|at| d.map(&at, &TEST_SPEC))?;
    let activity = spec.get("activity").and_then(|at| Some((d.constant(&at)?.to_owned(), at.pos)));
    let definitions = d.list(&spec, "definitions");
    let definitions = definitions.iter().filter_map(|at| d.constant(at)).map(str::to_owned).collect();
    let config = values(d, &spec, "config");
    let items = d.list(&spec, "cases");
    let cases: Vec<Case> = items.iter().filter_map(|at| case(d, at, &config)).collect();
    refuse_repeated(d, &items);
    let (activity, activity_pos) = activity?;
    let value = ActivityTest { name: name?, activity, activity_pos, definitions, cases };
    Some(Document::ActivityTest(Box::new(definition(d, document, value))))
}

fn case(d: &mut Decoder, at: &Cursor<'_>, config: &BTreeMap<String, Value>) -> Option<Case> {
    let fields = d.map(at, &CASE)?;
    let name = fields.get("name").and_then(|at| d.constant(&at)).map(str::to_owned);
    let inline = fields.get("event").map(|at| {
        d.entries(&fields, "event");
        (EventGiven::Inline(at.node.to_value()), at.pos)
    });
    let file = fields.get("eventFile").and_then(|at| Some((EventGiven::File(d.constant(&at)?.to_owned()), at.pos)));
    let given = fields.get("given").and_then(|at| given(d, &at)).unwrap_or_default();
    let given = Given { config: config.clone().into_iter().collect::<serde_json::Map<_, _>>().into(), ..given };
    let expect = fields.get("expect").and_then(|at| expect(d, &at));
    let (event, event_pos) = inline.or(file)?;
    Some(Case { name: name?, pos: at.pos, event, event_pos, given, expect })
}

fn given(d: &mut Decoder, at: &Cursor<'_>) -> Option<Given> {
    let fields = d.map(at, &GIVEN)?;
    let context = values(d, &fields, "context");
    let mut tasks = BTreeMap::new();
    for (id, at) in d.entries(&fields, "tasks") {
        let one = matches!(at.node.value, NodeValue::Map(_)).then(|| at.clone());
        let instances = one.map_or_else(|| at.items(), |one| vec![one]);
        if instances.is_empty() && !matches!(at.node.value, NodeValue::List(_)) {
            d.problem(
                &at,
                format!("a result is {{output: …}} or {{error: …}}, or a list of such; this is {}", at.node.kind()),
            );
        }
        tasks.insert(id.to_owned(), instances.iter().filter_map(|at| result(d, at)).collect());
    }
    Some(Given { context, tasks, ..Given::default() })
}

fn result(d: &mut Decoder, at: &Cursor<'_>) -> Option<GivenResult> {
    let fields = d.map(at, &RESULT)?;
    let output = fields.get("output").map(|at| GivenResult::Output(at.node.to_value()));
    let error = fields.get("error").and_then(|at| {
        let fields = d.map(&at, &ERROR)?;
        let kind = fields.get("type").and_then(|at| d.constant(&at));
        let message = fields.get("message").and_then(|at| d.text(&at));
        Some(GivenResult::Error(Failure::new(kind?, message?)))
    });
    output.or(error)
}

fn expect(d: &mut Decoder, at: &Cursor<'_>) -> Option<Node> {
    let fields = d.map(at, &EXPECT)?;
    d.word(&fields, "decision");
    d.word(&fields, "status");
    d.flag(&fields, "matched");
    for name in ["reason", "detail", "because", "type", "message"] {
        fields.get(name).and_then(|at| d.text(&at));
    }
    for name in ["alsoMatched", "waitsFor"] {
        d.list(&fields, name);
    }
    for name in ["context", "tasks"] {
        d.entries(&fields, name);
    }
    if at.node.entries().is_empty() {
        d.problem(at, "nothing is expected, so nothing could fail; leave `expect` out to compare with the golden file");
    }
    Some(at.node.clone())
}

fn values(d: &mut Decoder, fields: &Fields<'_>, name: &str) -> BTreeMap<String, Value> {
    d.entries(fields, name).into_iter().map(|(key, at)| (key.to_owned(), at.node.to_value())).collect()
}

fn refuse_repeated(d: &mut Decoder, cases: &[Cursor<'_>]) {
    let mut seen = BTreeSet::new();
    for at in cases {
        if let Some(name) = at.node.get("name").map(Node::to_value)
            && !seen.insert(name.to_string())
        {
            d.problem(at, format!("there is another case {name}; names are unique in a file"));
        }
    }
}
