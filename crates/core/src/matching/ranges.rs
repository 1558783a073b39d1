//! Which of many ranges a number is in.

use super::bits::Bits;
use crate::pattern::{Edge, Exact, Range};

/// Ranges sorted by their lower ends; the middle of each part of the list knows how far up the part reaches.
#[derive(Clone, Debug)]
pub(super) struct Ranges(Box<[Node]>);

#[derive(Clone, Debug)]
struct Node {
    lower: Edge,
    upper: Edge,
    reach: Edge,
    rule: u32,
}

impl Ranges {
    pub(super) fn of(ranges: Vec<(Range, u32)>) -> Self {
        let node =
            |(range, rule): (Range, u32)| Node { lower: range.lower, upper: range.upper, reach: range.upper, rule };
        let mut nodes: Box<[Node]> = ranges.into_iter().map(node).collect();
        nodes.sort_unstable_by_key(|node| node.lower);
        set_reach(&mut nodes);
        Self(nodes)
    }

    /// Adds the rules whose range holds `number`. Takes as long as there are such, and a logarithm.
    pub(super) fn add_to(&self, number: Exact, bits: &mut Bits) {
        add(&self.0, Edge::before(number), Edge::after(number), bits);
    }
}

fn set_reach(nodes: &mut [Node]) -> Option<Edge> {
    let (left, rest) = nodes.split_at_mut(nodes.len() / 2);
    let (middle, right) = rest.split_first_mut()?;
    middle.reach = [set_reach(left), set_reach(right)].into_iter().flatten().fold(middle.upper, Edge::max);
    Some(middle.reach)
}

fn add(nodes: &[Node], before: Edge, after: Edge, bits: &mut Bits) {
    let (left, rest) = nodes.split_at(nodes.len() / 2);
    let Some((middle, right)) = rest.split_first() else { return };
    if middle.reach < after {
        return;
    }
    add(left, before, after, bits);
    if middle.lower <= before {
        if after <= middle.upper {
            bits.insert(middle.rule);
        }
        add(right, before, after, bits);
    }
}
