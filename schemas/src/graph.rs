//! A schema as a graph: which subschemas apply to the same value, and which to a part of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::compile::SchemaError;

/// A part of a value, as far as schemas tell parts apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step<'a> {
    /// The property of this name.
    Property(&'a str),
    /// Any property that no schema here names.
    OtherProperty,
    /// The item at this index.
    Item(usize),
    /// Any item beyond those.
    OtherItem,
    /// The name of a property.
    PropertyName,
}

/// One subschema.
#[derive(Debug, Default)]
pub(crate) struct Node<'a> {
    /// The subschemas that apply to the same value.
    pub(crate) same: Vec<usize>,
    /// The subschemas that apply to one part.
    pub(crate) parts: BTreeMap<Step<'a>, Vec<usize>>,
    /// The subschemas that may apply to any property, named or not.
    pub(crate) any_property: Vec<usize>,
    /// The subschemas that may apply to any item.
    pub(crate) any_item: Vec<usize>,
}

/// All subschemas of `root`, itself first.
pub(crate) fn of(root: &Value) -> Result<Vec<Node<'_>>, SchemaError> {
    let mut builder = Builder { root, known: BTreeMap::new(), queue: Vec::new(), nodes: Vec::new() };
    builder.node(root);
    while let Some((index, schema)) = builder.queue.pop() {
        builder.fill(index, schema)?;
    }
    Ok(builder.nodes)
}

struct Builder<'a> {
    root: &'a Value,
    known: BTreeMap<*const Value, usize>,
    queue: Vec<(usize, &'a Value)>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Builder<'a> {
    fn node(&mut self, schema: &'a Value) -> usize {
        if let Some(index) = self.known.get(&std::ptr::from_ref(schema)) {
            return *index;
        }
        let index = self.nodes.len();
        self.nodes.push(Node::default());
        self.known.insert(schema, index);
        self.queue.push((index, schema));
        index
    }

    fn fill(&mut self, index: usize, schema: &'a Value) -> Result<(), SchemaError> {
        let Value::Object(keywords) = schema else { return Ok(()) };
        for (keyword, value) in keywords {
            self.keyword(index, keyword, value)?;
        }
        Ok(())
    }

    fn keyword(&mut self, index: usize, keyword: &str, value: &'a Value) -> Result<(), SchemaError> {
        match keyword {
            "$ref" => {
                let target = self.target(value)?;
                self.nodes[index].same.push(target);
            }
            "$dynamicRef" | "$recursiveRef" => return Err(SchemaError::Unsupported(keyword.into())),
            "$id" | "id" if index != 0 && value.is_string() => {
                return Err(SchemaError::Unsupported(format!("{keyword} below the top of a schema")));
            }
            "allOf" | "anyOf" | "oneOf" => self.same(index, items(value)),
            "not" | "if" | "then" | "else" => self.same(index, std::iter::once(value)),
            "dependentSchemas" | "dependencies" => self.same(index, members(value).map(|(_, schema)| schema)),
            // Not applied from here; they may still hold what is not supported.
            "$defs" | "definitions" => members(value).for_each(|(_, schema)| {
                self.node(schema);
            }),
            _ => self.descend(index, keyword, value),
        }
        Ok(())
    }

    fn descend(&mut self, index: usize, keyword: &str, value: &'a Value) {
        match keyword {
            "properties" => {
                for (name, schema) in members(value) {
                    self.part(index, Step::Property(name), schema);
                }
            }
            "additionalProperties" => self.part(index, Step::OtherProperty, value),
            "propertyNames" => self.part(index, Step::PropertyName, value),
            "patternProperties" => {
                for (_, schema) in members(value) {
                    let target = self.node(schema);
                    self.nodes[index].any_property.push(target);
                }
            }
            "unevaluatedProperties" => {
                let target = self.node(value);
                self.nodes[index].any_property.push(target);
            }
            "prefixItems" | "items" if value.is_array() => {
                for (place, schema) in items(value).enumerate() {
                    self.part(index, Step::Item(place), schema);
                }
            }
            "items" | "additionalItems" => self.part(index, Step::OtherItem, value),
            "contains" | "unevaluatedItems" => {
                let target = self.node(value);
                self.nodes[index].any_item.push(target);
            }
            _ => {}
        }
    }

    fn same(&mut self, index: usize, schemas: impl Iterator<Item = &'a Value>) {
        for schema in schemas {
            let target = self.node(schema);
            self.nodes[index].same.push(target);
        }
    }

    fn part(&mut self, index: usize, step: Step<'a>, schema: &'a Value) {
        let target = self.node(schema);
        self.nodes[index].parts.entry(step).or_default().push(target);
    }

    fn target(&mut self, reference: &Value) -> Result<usize, SchemaError> {
        let text = reference
            .as_str()
            .ok_or_else(|| SchemaError::Invalid { pointer: String::new(), reason: "$ref is no string".into() })?;
        let pointer = text
            .strip_prefix('#')
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
            .ok_or_else(|| SchemaError::Unsupported(format!("$ref {text:?}, which is no #/pointer,")))?;
        if pointer.contains('%') {
            return Err(SchemaError::Unsupported(format!("$ref {text:?}, which has a percent-escape,")));
        }
        let found = self.root.pointer(pointer).ok_or_else(|| SchemaError::Unresolved(text.into()))?;
        Ok(self.node(found))
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, schema)| (name.as_str(), schema))
}
