//! The tables of docs/activity-reference.md, made from the tables that the parser reads.

use spine_core::activity::format::{self, Key, Object, Shape};
use spine_core::words::span;

/// Every table of the reference: its name in the page's markers, and the object it is made from.
pub const TABLES: &[(&str, &Object)] = &[
    ("document", &format::ACTIVITY),
    ("metadata", &format::METADATA),
    ("spec", &format::SPEC),
    ("trigger", &format::TRIGGER),
    ("schedule", &format::SCHEDULE),
    ("calendar", &format::CALENDAR),
    ("missed", &format::MISSED),
    ("context", &format::CONTEXT_SOURCE),
    ("context http", &format::CONTEXT_HTTP),
    ("context sql", &format::CONTEXT_SQL),
    ("task", &format::TASK),
    ("http", &format::HTTP),
    ("response", &format::RESPONSE),
    ("emit", &format::EMIT),
    ("sql", &format::SQL),
    ("nats", &format::NATS),
    ("nats response", &format::NATS_RESPONSE),
    ("worker", &format::WORKER),
    ("activity", &format::CALL),
    ("wait", &format::WAIT),
    ("human", &format::HUMAN),
    ("retry", &format::RETRY),
    ("onTimeout", &format::ON_TIMEOUT),
    ("escalate", &format::ESCALATE),
    ("undo", &format::UNDO),
    ("instance", &format::INSTANCE),
    ("set", &format::SET),
    ("flow", &format::FLOW),
    ("rate", &format::RATE),
    ("debounce", &format::DEBOUNCE),
    ("batch", &format::BATCH),
    ("event type", &format::EVENT_TYPE_SPEC),
    ("source", &format::SOURCE_SPEC),
    ("source key", &format::SOURCE_KEY),
    ("test", &format::TEST_SPEC),
    ("case", &format::CASE),
    ("given", &format::GIVEN),
    ("result", &format::RESULT),
    ("error", &format::ERROR),
    ("expect", &format::EXPECT),
];

/// The page with every part between `<!-- table NAME -->` and `<!-- end -->` made anew.
pub fn fill(page: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- table ") {
        let (name, body) = after.split_once(" -->").ok_or("a marker has no end")?;
        let (_, tail) = body.split_once("<!-- end -->").ok_or_else(|| format!("table {name} has no end"))?;
        let object = TABLES.iter().find(|(table, _)| *table == name).ok_or_else(|| format!("no table {name}"))?.1;
        filled.push_str(&format!("{before}<!-- table {name} -->\n{}<!-- end -->", table(object)));
        rest = tail;
    }
    Ok(filled + rest)
}

/// One row for each key of an object.
fn table(object: &Object) -> String {
    let mut table = String::from("| key | holds | if left out | |\n|---|---|---|---|\n");
    for key in object.keys {
        let name = format!("`{}`", key.name);
        let doc = key.doc.replace('|', "\\|");
        table.push_str(&format!("| {name} | {} | {} | {doc} |\n", holds(&key.shape), left_out(object, key)));
    }
    if object.free_keys {
        table.push_str("| any other | any JSON value; `${ … }` is CEL | | A name of `state`, with its new value. |\n");
    }
    table
}

fn left_out(object: &Object, key: &Key) -> String {
    match (key.required, key.default, object.one_of.contains(&key.name)) {
        (true, ..) => "**required**".into(),
        (_, _, true) => format!("one of {}", words(object.one_of, " and ")),
        (_, default, _) => default.into(),
    }
}

fn holds(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Form { words, .. } => (*words).into(),
        Shape::Words(list) => words(list, " or "),
        Shape::Boolean => "`true` or `false`".into(),
        Shape::Duration { least, most } => format!("duration, {} to {}", span(*least), span(*most)),
        Shape::Whole { least, most } => format!("whole number, {least} to {most}"),
        Shape::Number { least, most } => format!("number, {least} to {most}"),
        Shape::Expression => "CEL".into(),
        Shape::TextTemplate => "text; `${ … }` is CEL".into(),
        Shape::Template => "any JSON value; `${ … }` is CEL".into(),
        Shape::Value => "any JSON value".into(),
        Shape::Pattern => "[content pattern](#content-patterns)".into(),
        Shape::JsonSchema => "JSON Schema (2020-12)".into(),
        Shape::List { of, most, .. } => format!("list of at most {most}: {}", holds(of)),
        Shape::Map { of, most } => format!("object of at most {most}: {}", holds(of)),
        Shape::Object(_) | Shape::With(_) => "object, below".into(),
        Shape::Any(shapes) => shapes.iter().map(holds).collect::<Vec<_>>().join(", or "),
    }
}

fn words(words: &[&str], and: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{}{and}{last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
