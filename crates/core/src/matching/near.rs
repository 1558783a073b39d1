//! The verdicts of a decision's record: every match, and the nearest misses.

use std::sync::Arc;

use super::Entry;
use super::bits::{Bits, Tally};
use super::group::Group;
use super::judge::{hit, judge, sorted};
use super::settle::{Moment, Settled, settle};
use crate::activity::Trigger;
use crate::decision::{MAX_NEAR_MISSES, Verdict};
use crate::event::Event;

/// How many rules are looked at for near misses, at each distance. It bounds the search where one
/// activity has many rules.
const MAX_LOOKS: usize = 1000;

pub(super) fn decide(groups: &[&Group], event: &Event) -> Vec<Verdict> {
    let moment = Moment::new(event);
    let mut candidates = Vec::new();
    let failed: Vec<Tally> = groups.iter().map(|group| group.survey(&moment.view, &mut candidates)).collect();
    let settled = settle(candidates, groups.len(), &moment);
    let (hits, refused): (Vec<_>, Vec<_>) = settled.iter().partition(|one| one.hit.is_some());
    let mut verdicts: Vec<Verdict> = hits.iter().filter_map(|one| hit_verdict(one, event)).collect();
    let room = MAX_NEAR_MISSES.saturating_sub(refused.len());
    verdicts.extend(refused.iter().take(MAX_NEAR_MISSES).map(|one| judge(one.entry, &moment, &one.refused)));
    verdicts.extend(nearest(groups, &failed, &settled, room).into_iter().map(|entry| judge(entry, &moment, &[])));
    sorted(verdicts)
}

fn hit_verdict(settled: &Settled<'_>, event: &Event) -> Option<Verdict> {
    match settled.entry.definition.triggers.get(settled.hit?)? {
        Trigger::Event(trigger) => Some(hit(settled.entry, trigger, event)),
        Trigger::Schedule(_) => None,
    }
}

/// Activities that are not settled, those first of which some rule fails at one path only.
fn nearest<'i>(groups: &[&'i Group], failed: &[Tally], settled: &[Settled<'_>], room: usize) -> Vec<&'i Arc<Entry>> {
    let mut near: Vec<&'i Arc<Entry>> = Vec::new();
    for distance in [at_one_path, at_more_paths] {
        for (group, failed) in groups.iter().zip(failed) {
            for rule in distance(failed).iter().take(MAX_LOOKS) {
                if near.len() >= room {
                    return near;
                }
                let entry = group.entry_of(rule);
                // The rules of one activity stand together.
                let known = near.iter().rev().any(|one| Arc::ptr_eq(one, entry)) || is_settled(settled, entry);
                near.extend((!known).then_some(entry));
            }
        }
    }
    near
}

fn at_one_path(failed: &Tally) -> Bits {
    let mut bits = failed.once.clone();
    bits.subtract(&failed.twice);
    bits
}

fn at_more_paths(failed: &Tally) -> Bits {
    failed.twice.clone()
}

fn is_settled(settled: &[Settled<'_>], entry: &Arc<Entry>) -> bool {
    let name = entry.definition.name.as_str();
    settled.binary_search_by(|one| one.entry.definition.name.as_str().cmp(name)).is_ok()
}
