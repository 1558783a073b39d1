//! Sorts the conditions of a group's rules by path.

use std::collections::BTreeMap;

use super::bits::Bits;
use super::path::{But, Path};
use super::places::Places;
use super::postings::Postings;
use super::values::ValuesBuilder;
use crate::pattern::{Condition, Operator};

/// The paths of a group, on their way into it.
#[derive(Default)]
pub(super) struct Builder<'p>(BTreeMap<Vec<&'p str>, PathBuilder>);

#[derive(Default)]
struct PathBuilder {
    /// The rules that ask something here, in ascending order.
    asking: Vec<u32>,
    present: Vec<u32>,
    missing: Vec<u32>,
    values: ValuesBuilder,
    but_texts: Vec<u32>,
    but_numbers: Vec<u32>,
    but_listed: ValuesBuilder,
}

impl<'p> Builder<'p> {
    /// Adds a condition of a rule; rules come in ascending order. False if the rule asks more here than can
    /// be held, so that it lets too much through.
    pub(super) fn add(&mut self, rule: u32, condition: &Condition<'p>) -> bool {
        let path = match self.0.get_mut(&condition.path) {
            Some(path) => path,
            None => self.0.entry(condition.path.clone()).or_default(),
        };
        // Of two conditions on one path (one of them in an `$or`), the first is held.
        if path.asking.last() == Some(&rule) {
            return false;
        }
        path.asking.push(rule);
        condition.alternatives.iter().for_each(|operator| path.add(rule, operator));
        // Two `anything-but` for one rule would have to be told apart. Without their lists, both let
        // everything through.
        let exclusions = condition.alternatives.iter().filter(|one| excludes(one)).count();
        if exclusions == 1 {
            condition.alternatives.iter().for_each(|operator| path.list(rule, operator));
        }
        exclusions <= 1
    }

    /// The paths of a group with `bound` rules, the one that most rules ask at first, and where they are.
    pub(super) fn build(self, bound: usize) -> (Vec<Path>, Places) {
        let mut places = Places::default();
        let paths = self.0.into_iter().map(|(steps, path)| path.build(&steps, places.add(&steps), bound));
        let mut paths: Vec<Path> = paths.collect();
        paths.sort_by_cached_key(|path| path.free.count());
        (paths, places)
    }
}

fn excludes(operator: &Operator) -> bool {
    matches!(operator, Operator::AnythingBut(_) | Operator::AnythingButText(_))
}

impl PathBuilder {
    fn add(&mut self, rule: u32, operator: &Operator) {
        match operator {
            Operator::Literal(literal) => self.values.literal(literal, rule),
            Operator::Text(test) => self.values.text(test, rule),
            Operator::Numeric(range) => self.values.range(range, rule),
            Operator::Cidr(net) => self.values.net(net, rule),
            Operator::Exists(true) => self.present.push(rule),
            Operator::Exists(false) => self.missing.push(rule),
            Operator::AnythingBut(_) => {
                self.but_texts.push(rule);
                self.but_numbers.push(rule);
            }
            Operator::AnythingButText(_) => self.but_texts.push(rule),
        }
    }

    fn list(&mut self, rule: u32, operator: &Operator) {
        match operator {
            Operator::AnythingBut(list) => list.iter().for_each(|one| self.but_listed.literal(one, rule)),
            Operator::AnythingButText(list) => list.iter().for_each(|one| self.but_listed.text(one, rule)),
            _ => {}
        }
    }

    fn build(self, steps: &[&str], place: u32, bound: usize) -> Path {
        let mut free = Bits::all(bound);
        free.subtract(&Bits::of(&self.asking, bound));
        let but = || But {
            texts: Bits::of(&self.but_texts, bound),
            numbers: Bits::of(&self.but_numbers, bound),
            listed: self.but_listed.build(bound),
        };
        Path {
            steps: steps.iter().map(|step| Box::from(*step)).collect(),
            place,
            free,
            present: Postings::of(self.present, bound),
            missing: Postings::of(self.missing, bound),
            values: self.values.build(bound),
            but: (!self.but_texts.is_empty()).then(|| Box::new(but())),
        }
    }
}
