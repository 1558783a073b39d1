//! How often the parts of a schema can apply to one value, at worst.
//!
//! A validator evaluates `$ref`s anew wherever they stand, so a short schema whose references double
//! level by level takes for ever. This walks the places a value can have, with the multiset of
//! subschemas that apply there, and refuses the schema when one of these gets too large.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::compile::SchemaError;
use crate::graph::{self, Node, Step};

/// The most subschemas that may apply to one value, each counted as often as it applies. At 10,000 a
/// validation takes milliseconds; real schemas stay under 100.
pub const MAX_EXPANSION: u64 = 10_000;
/// The most subschemas that may lead to one another in a row: the validator recurses over them.
const MAX_CHAIN: usize = 128;
/// How deep a value can be: the parser's limit.
const MAX_VALUE_DEPTH: usize = 128;
/// The most work the check itself may take, in steps; some 0.1 s.
const MAX_WORK: usize = 1_000_000;

/// How often each subschema applies to a value, by rank.
type Applied = BTreeMap<usize, u64>;

/// Refuses a schema that can apply too often to one value.
pub(crate) fn check(schema: &Value) -> Result<(), SchemaError> {
    let nodes = graph::of(schema)?;
    let (order, ranks) = ranks(&nodes)?;
    let mut walk = Walk { nodes: &nodes, order: &order, ranks: &ranks, work: 0 };
    let mut seen = BTreeSet::new();
    let mut level = vec![walk.close([(ranks[0], 1)].into())?];
    for _ in 0..MAX_VALUE_DEPTH {
        let mut next = Vec::new();
        for applied in level {
            if seen.contains(&applied) {
                continue;
            }
            next.extend(walk.parts(&applied)?);
            seen.insert(applied);
        }
        level = next;
    }
    Ok(())
}

/// The nodes in an order in which each stands before those that apply to the same value because of it,
/// and the place of each in that order.
fn ranks(nodes: &[Node<'_>]) -> Result<(Vec<usize>, Vec<usize>), SchemaError> {
    let mut before = vec![0_usize; nodes.len()];
    nodes.iter().flat_map(|node| &node.same).for_each(|target| before[*target] += 1);
    let mut order: Vec<usize> = (0..nodes.len()).filter(|index| before[*index] == 0).collect();
    let mut chain = vec![1_usize; nodes.len()];
    let mut at = 0;
    while let Some(&index) = order.get(at) {
        at += 1;
        for target in &nodes[index].same {
            chain[*target] = chain[*target].max(chain[index] + 1);
            before[*target] -= 1;
            if before[*target] == 0 {
                order.push(*target);
            }
        }
    }
    if order.len() < nodes.len() {
        return Err(SchemaError::Endless);
    }
    if chain.iter().any(|length| *length > MAX_CHAIN) {
        return Err(SchemaError::TooLong(MAX_CHAIN));
    }
    let mut ranks = vec![0; nodes.len()];
    order.iter().enumerate().for_each(|(rank, index)| ranks[*index] = rank);
    Ok((order, ranks))
}

struct Walk<'a> {
    nodes: &'a [Node<'a>],
    order: &'a [usize],
    ranks: &'a [usize],
    work: usize,
}

impl<'a> Walk<'a> {
    /// Adds all that applies to the same value because of what does.
    fn close(&mut self, mut open: Applied) -> Result<Applied, SchemaError> {
        let mut closed = Applied::new();
        let mut total = 0_u64;
        while let Some((rank, times)) = open.pop_first() {
            total = total.saturating_add(times);
            let same = &self.nodes[self.order[rank]].same;
            self.work += 1 + same.len();
            if total > MAX_EXPANSION || self.work > MAX_WORK {
                return Err(SchemaError::Explosive);
            }
            for target in same {
                add(&mut open, self.ranks[*target], times);
            }
            closed.insert(rank, times);
        }
        Ok(closed)
    }

    /// What applies to each kind of part of a value that `applied` applies to.
    fn parts(&mut self, applied: &Applied) -> Result<Vec<Applied>, SchemaError> {
        let steps: BTreeSet<&Step<'a>> = self.of(applied).flat_map(|(node, _)| node.parts.keys()).collect();
        let mut found: Vec<Applied> = steps.into_iter().map(|step| self.part(applied, step)).collect();
        found.push(self.part(applied, &Step::OtherProperty));
        found.push(self.part(applied, &Step::OtherItem));
        self.work += found.len() * applied.len();
        found.into_iter().filter(|open| !open.is_empty()).map(|open| self.close(open)).collect()
    }

    fn part(&self, applied: &Applied, step: &Step<'a>) -> Applied {
        let mut open = Applied::new();
        for (node, times) in self.of(applied) {
            // A property or item that this node does not name falls to what it says of all others.
            let (other, any): (_, &[usize]) = match step {
                Step::Property(_) | Step::OtherProperty => (Some(&Step::OtherProperty), &node.any_property),
                Step::Item(_) | Step::OtherItem => (Some(&Step::OtherItem), &node.any_item),
                Step::PropertyName => (None, &[]),
            };
            let named = node.parts.get(step).or_else(|| node.parts.get(other?));
            for target in named.into_iter().flatten().chain(any) {
                add(&mut open, self.ranks[*target], times);
            }
        }
        open
    }

    fn of(&self, applied: &Applied) -> impl Iterator<Item = (&'a Node<'a>, u64)> {
        applied.iter().map(|(rank, times)| (&self.nodes[self.order[*rank]], *times))
    }
}

fn add(applied: &mut Applied, rank: usize, times: u64) {
    let count = applied.entry(rank).or_default();
    *count = count.saturating_add(times);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_that_people_write_pass() {
        for schema in [
            json!(true),
            json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}),
            json!({"$defs": {"node": {"type": "object", "properties": {
                "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}},
                "$ref": "#/$defs/node"}),
            json!({"oneOf": [{"properties": {"not": {"$ref": "#"}}}, {"properties": {"and": {"items": {"$ref": "#"}}}}]}),
            json!({"properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn references_that_double_are_refused() {
        let mut definitions = serde_json::Map::new();
        for level in 0..30 {
            let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
            definitions.insert(format!("l{level}"), json!({"allOf": [next.clone(), next]}));
        }
        definitions.insert("l30".into(), json!({"type": "string"}));
        assert_eq!(check(&json!({"$ref": "#/$defs/l0", "$defs": definitions})), Err(SchemaError::Explosive));
    }

    #[test]
    fn recursion_that_doubles_with_the_depth_of_the_value_is_refused() {
        let twice = json!({"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]});
        assert_eq!(check(&twice), Err(SchemaError::Explosive));
        let overlap = json!({"properties": {"a": {"$ref": "#"}}, "patternProperties": {"a": {"$ref": "#"}}});
        assert_eq!(check(&overlap), Err(SchemaError::Explosive));
    }

    #[test]
    fn recursion_that_does_not_descend_is_refused() {
        assert_eq!(check(&json!({"$ref": "#"})), Err(SchemaError::Endless));
        assert_eq!(check(&json!({"anyOf": [{"not": {"$ref": "#"}}]})), Err(SchemaError::Endless));
    }

    #[test]
    fn long_chains_are_refused() {
        let mut definitions = serde_json::Map::new();
        for level in 0..1000 {
            definitions.insert(format!("l{level}"), json!({"$ref": format!("#/$defs/l{}", level + 1)}));
        }
        definitions.insert("l1000".into(), json!({}));
        assert_eq!(check(&json!({"$ref": "#/$defs/l0", "$defs": definitions})), Err(SchemaError::TooLong(MAX_CHAIN)));
    }
}
