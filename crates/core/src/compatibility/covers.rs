//! Whether one schema, the *reader*, allows all that another, the *writer*, allows.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

/// The dialects in which the keywords below mean the same.
const DIALECTS: [&str; 4] = ["2020-12", "2019-09", "draft-07", "draft-06"];
/// The keywords that are compared by what they mean.
const JUDGED: &[&str] = &[
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
];
/// Keywords that each allow less by themselves: the same one allows the same, and one that only the writer has
/// does no harm.
const INDEPENDENT: &[&str] = &[
    "pattern",
    "format",
    "multipleOf",
    "uniqueItems",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
];
/// Keywords that allow and forbid nothing. What `$defs` hold counts where it is referred to.
const SILENT: &[&str] = &[
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$id",
    "$anchor",
    "$defs",
    "definitions",
    "contentEncoding",
    "contentMediaType",
];
/// What a value can be. A number is `integer` or `fraction`.
const KINDS: [&str; 7] = ["null", "boolean", "object", "array", "string", "integer", "fraction"];
/// Counts with a bound, and the kind of value that they are of.
const COUNTS: [(&str, &str, &str); 3] = [
    ("string", "minLength", "maxLength"),
    ("array", "minItems", "maxItems"),
    ("object", "minProperties", "maxProperties"),
];

/// What the writer allows and the reader does not, or what can't be judged: each with its place. Both have a name.
pub(super) fn problems(reader: (&str, &Value), writer: (&str, &Value)) -> Vec<String> {
    let mut check = Check {
        reader: reader.0,
        writer: writer.0,
        roots: (reader.1, writer.1),
        seen: BTreeSet::new(),
        found: Vec::new(),
    };
    let dialect = reader.1.get("$schema");
    let is_known = |dialect: &Value| dialect.as_str().is_some_and(|text| DIALECTS.iter().any(|one| text.contains(one)));
    if dialect != writer.1.get("$schema") || !dialect.is_none_or(is_known) {
        check.problem("", "another `$schema`, or an old one, can't be judged");
        return check.found;
    }
    check.covers(reader.1, writer.1, "");
    check.found
}

struct Check<'a> {
    reader: &'a str,
    writer: &'a str,
    roots: (&'a Value, &'a Value),
    /// Pairs of schemas that were compared, by where they lie in memory. Values are finite and references descend, so
    /// a pair that comes again holds if everything else does.
    seen: BTreeSet<(usize, usize)>,
    found: Vec<String>,
}

type Schema = Map<String, Value>;

impl<'a> Check<'a> {
    fn problem(&mut self, at: &str, message: impl AsRef<str>) {
        self.found.push(format!("spec.schema{at}: {}", message.as_ref()));
    }

    fn covers(&mut self, reader: &'a Value, writer: &'a Value, at: &str) {
        let (Some(reader), Some(writer)) = (resolve(self.roots.0, reader), resolve(self.roots.1, writer)) else {
            return self.problem(at, "a `$ref` beside other keywords, or to elsewhere, can't be judged");
        };
        if !self.seen.insert((std::ptr::from_ref(reader).addr(), std::ptr::from_ref(writer).addr())) {
            return;
        }
        match (reader, writer) {
            (Value::Bool(true), _) | (_, Value::Bool(false)) => {}
            (Value::Bool(false), _) => {
                let message = format!("{} allows nothing here, and {} allows something", self.reader, self.writer);
                self.problem(at, message);
            }
            (Value::Object(reader), Value::Bool(true)) => self.objects(reader, empty(), at),
            (Value::Object(reader), Value::Object(writer)) => self.objects(reader, writer, at),
            _ => self.problem(at, "what is no schema can't be judged"),
        }
    }

    fn objects(&mut self, reader: &'a Schema, writer: &'a Schema, at: &str) {
        if !self.can_judge(reader, writer, at) {
            return;
        }
        let (Some(may_read), Some(may_write)) = (kinds(reader), kinds(writer)) else {
            return self.problem(at, "this `type` can't be judged");
        };
        let lost: Vec<&str> = may_write.iter().copied().filter(|kind| !may_read.contains(kind)).collect();
        if !lost.is_empty() {
            let message = format!("{} has no {}, which {} allows", self.reader, lost.join(", "), self.writer);
            self.problem(at, message);
        }
        self.values(reader, writer, at);
        if may_write.contains("integer") || may_write.contains("fraction") {
            self.range(reader, writer, at);
        }
        for (kind, least, most) in COUNTS {
            if may_write.contains(kind) {
                self.count(reader, writer, (least, most), at);
            }
        }
        if may_write.contains("object") {
            self.required(reader, writer, at);
            self.properties(reader, writer, at);
        }
        if may_write.contains("array") {
            self.covers(reader.get("items").unwrap_or(ANY), writer.get("items").unwrap_or(ANY), &format!("{at}.items"));
        }
    }

    /// Whether what these rules compare is all that counts.
    fn can_judge(&mut self, reader: &Schema, writer: &Schema, at: &str) -> bool {
        let is_known = |key: &&String| [JUDGED, INDEPENDENT, SILENT].iter().any(|list| list.contains(&key.as_str()));
        if let Some(key) = reader.keys().chain(writer.keys()).find(|key| !is_known(key)) {
            self.problem(at, format!("`{key}` can't be judged"));
            return false;
        }
        for key in INDEPENDENT {
            match (reader.get(*key), writer.get(*key)) {
                (None | Some(Value::Bool(false)), _) if *key == "uniqueItems" => {}
                (None, _) => {}
                (Some(one), Some(other)) if one == other && !refers(one) => {}
                (Some(_), Some(_)) => {
                    self.problem(at, format!("`{key}` differs or refers to elsewhere, and can't be judged"))
                }
                (Some(_), None) => {
                    let message = format!("{} has `{key}`, and {} has none", self.reader, self.writer);
                    self.problem(at, message);
                }
            }
        }
        true
    }

    /// `enum` and `const`.
    fn values(&mut self, reader: &Schema, writer: &Schema, at: &str) {
        let Some(may_read) = listed(reader) else { return };
        let Some(may_write) = listed(writer) else {
            let message = format!("{} lists its values, and {} does not", self.reader, self.writer);
            return self.problem(at, message);
        };
        let lost = may_write.iter().filter(|value| !may_read.contains(value));
        let lost: Vec<String> = lost.map(|value| value.to_string().chars().take(60).collect()).collect();
        if !lost.is_empty() {
            let message = format!("{} does not list {}, which {} allows", self.reader, lost.join(", "), self.writer);
            self.problem(at, message);
        }
    }

    fn range(&mut self, reader: &Schema, writer: &Schema, at: &str) {
        for (inclusive, exclusive, inward) in
            [("minimum", "exclusiveMinimum", Ordering::Greater), ("maximum", "exclusiveMaximum", Ordering::Less)]
        {
            let bounds = [reader, writer].map(|schema| bound(schema, inclusive, exclusive, inward));
            match bounds {
                [Err(()), _] | [_, Err(())] => self.problem(at, format!("this `{exclusive}` can't be judged")),
                [Ok(None), _] => {}
                [Ok(Some(reads)), Ok(Some(writes))] if !is_tighter(reads, writes, inward) => {}
                [Ok(Some((number, _))), _] => {
                    let message = format!("{} has the bound {number}, and {} goes beyond it", self.reader, self.writer);
                    self.problem(at, message);
                }
            }
        }
    }

    fn count(&mut self, reader: &Schema, writer: &Schema, (least, most): (&str, &str), at: &str) {
        let number = |schema: &Schema, key: &str| schema.get(key).and_then(Value::as_number).cloned();
        let zero = Number::from(0);
        if let Some(reads) = number(reader, least)
            && compare(&reads, &number(writer, least).unwrap_or(zero)) == Ordering::Greater
        {
            let message = format!("{} has `{least}` {reads}, and {} allows less", self.reader, self.writer);
            self.problem(at, message);
        }
        if let Some(reads) = number(reader, most)
            && number(writer, most).is_none_or(|writes| compare(&reads, &writes) == Ordering::Less)
        {
            let message = format!("{} has `{most}` {reads}, and {} allows more", self.reader, self.writer);
            self.problem(at, message);
        }
    }

    fn required(&mut self, reader: &Schema, writer: &Schema, at: &str) {
        let names = |schema: &Schema| -> BTreeSet<String> {
            let list = schema.get("required").and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let lost: Vec<String> = names(reader).difference(&names(writer)).map(|name| format!("`{name}`")).collect();
        if !lost.is_empty() {
            let message = format!("{} requires {}, and {} does not", self.reader, lost.join(", "), self.writer);
            self.problem(at, message);
        }
    }

    /// Each property that one of both names, and all others.
    fn properties(&mut self, reader: &'a Schema, writer: &'a Schema, at: &str) {
        let named = |schema: &'a Schema| schema.get("properties").and_then(Value::as_object);
        let others = |schema: &'a Schema| schema.get("additionalProperties").unwrap_or(ANY);
        let names: BTreeSet<&String> =
            [reader, writer].iter().filter_map(|schema| named(schema)).flat_map(Map::keys).collect();
        for name in names {
            let of = |schema: &'a Schema| named(schema).and_then(|map| map.get(name)).unwrap_or(others(schema));
            self.covers(of(reader), of(writer), &format!("{at}.properties.{name}"));
        }
        self.covers(others(reader), others(writer), &format!("{at}.additionalProperties"));
    }
}

const ANY: &Value = &Value::Bool(true);

fn empty() -> &'static Schema {
    static EMPTY: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(Schema::new);
    &EMPTY
}

/// Where a `$ref` leads, over further ones. `None` if it can't be followed.
fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> Option<&'a Value> {
    // As many as a schema can have at all: a circle of them is no schema.
    for _ in 0..100 {
        let Some(reference) = schema.get("$ref") else { return Some(schema) };
        let is_alone = schema.as_object()?.keys().all(|key| key == "$ref" || SILENT.contains(&key.as_str()));
        let pointer = reference.as_str()?.strip_prefix('#').filter(|_| is_alone)?;
        schema = root.pointer(pointer)?;
    }
    None
}

fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef") || refers(value)),
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}

/// The kinds of values that `type`, `enum` and `const` allow.
fn kinds(schema: &Schema) -> Option<BTreeSet<&'static str>> {
    let words: Vec<&str> = match schema.get("type") {
        None => vec!["null", "boolean", "object", "array", "string", "number"],
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(words)) => words.iter().map(Value::as_str).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    let mut kinds = BTreeSet::new();
    for word in words {
        match word {
            "number" => kinds.extend(["integer", "fraction"]),
            word => drop(kinds.insert(*KINDS.iter().find(|kind| **kind == word)?)),
        }
    }
    if let Some(values) = listed(schema) {
        let found: BTreeSet<&str> = values.into_iter().map(kind).collect();
        kinds.retain(|kind| found.contains(kind));
    }
    Some(kinds)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() == 0.0) => "integer",
        Value::Number(_) => "fraction",
    }
}

/// The values that `enum` and `const` list.
fn listed(schema: &Schema) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(value), None) => Some(vec![value]),
        (Some(value), Some(list)) => Some(list.iter().filter(|one| *one == value).collect()),
        (None, list) => list.map(|list| list.iter().collect()),
    }
}

/// The tightest bound on one side, and whether it itself is out.
fn bound<'s>(
    schema: &'s Schema,
    inclusive: &str,
    exclusive: &str,
    inward: Ordering,
) -> Result<Option<(&'s Number, bool)>, ()> {
    let number = |key: &str| schema.get(key).map(|value| value.as_number().ok_or(())).transpose();
    Ok(match (number(inclusive)?, number(exclusive)?) {
        (Some(one), Some(other)) if is_tighter((one, false), (other, true), inward) => Some((one, false)),
        (_, Some(other)) => Some((other, true)),
        (one, None) => one.map(|one| (one, false)),
    })
}

/// Whether `one` shuts out something that `other` lets through.
fn is_tighter(one: (&Number, bool), other: (&Number, bool), inward: Ordering) -> bool {
    match compare(one.0, other.0) {
        Ordering::Equal => one.1 && !other.1,
        order => order == inward,
    }
}

fn compare(one: &Number, other: &Number) -> Ordering {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal),
    }
}
