//! Types that were probably meant.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use spine_core::activity::{Activity, Trigger, TypePattern};
use spine_core::decision::Verdict;
use spine_core::words;

/// A type that is nearly the event's, and who listens to it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NearType {
    /// The type, or a prefix and `*`.
    pub(crate) listens_to: String,
    /// The names of those who do, in their order.
    pub(crate) activities: Vec<String>,
}

/// Types that were probably meant, the nearest first. None if an activity matched: then the type is right.
/// If some listen to the type and none matched, none that differs in its digits alone: `orders.7` and
/// `orders.8`, both in use, stand beside each other on purpose.
pub(crate) fn types<'a>(
    activities: impl Iterator<Item = &'a Activity>,
    event_type: &str,
    verdicts: &[Verdict],
) -> Vec<NearType> {
    if verdicts.iter().any(|verdict| verdict.matched) {
        return Vec::new();
    }
    let mut found: Vec<(usize, NearType)> = listened(activities)
        .into_iter()
        .filter(|(pattern, _)| verdicts.is_empty() || undigited(&shown(pattern)) != undigited(event_type))
        .filter_map(|(pattern, names)| {
            let activities = names.into_iter().map(str::to_owned).collect();
            Some((distance(event_type, pattern)?, NearType { listens_to: shown(pattern), activities }))
        })
        .collect();
    found.sort_by(|(a, one), (b, other)| (a, &one.listens_to).cmp(&(b, &other.listens_to)));
    found.into_iter().map(|(_, near)| near).collect()
}

/// Every type that is listened to, with those who do.
fn listened<'a>(activities: impl Iterator<Item = &'a Activity>) -> BTreeMap<&'a TypePattern, BTreeSet<&'a str>> {
    let mut listened: BTreeMap<&TypePattern, BTreeSet<&str>> = BTreeMap::new();
    for activity in activities {
        for trigger in &activity.triggers {
            if let Trigger::Event(trigger) = trigger {
                listened.entry(&trigger.event_type).or_default().insert(&activity.name);
            }
        }
    }
    listened
}

/// How far the type is from what is listened to, if it is near and not the same.
fn distance(event_type: &str, pattern: &TypePattern) -> Option<usize> {
    match pattern {
        TypePattern::Exact(name) if name != event_type => words::distance(event_type, name),
        TypePattern::Prefix(prefix) if !event_type.starts_with(prefix.as_str()) => {
            words::distance(event_type.get(..prefix.len().min(event_type.len())).unwrap_or(event_type), prefix)
        }
        _ => None,
    }
}

fn shown(pattern: &TypePattern) -> String {
    match pattern {
        TypePattern::Exact(name) => name.clone(),
        TypePattern::Prefix(prefix) => format!("{prefix}*"),
    }
}

fn undigited(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}
