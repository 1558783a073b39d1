//! `spine dlq stats`.

use std::collections::BTreeMap;

use serde::Serialize;
use spine_nats::dead_letters::marks::Action;
use time::OffsetDateTime;

use super::list::{Listed, OPEN, listed};
use super::{Desk, people};
use crate::args::dlq::Stats;
use crate::output;

/// How many letters of one reason and type there are, by where they stand.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group {
    pub(super) reason: String,
    pub(super) event_type: String,
    pub(super) open: u64,
    pub(super) redriven: u64,
    pub(super) edited: u64,
    pub(super) dropped: u64,
    /// When the oldest died that nobody dealt with.
    #[serde(with = "time::serde::rfc3339::option")]
    pub(super) oldest_open: Option<OffsetDateTime>,
    /// When the newest died.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) newest: OffsetDateTime,
}

pub(super) async fn run(desk: &Desk, options: &Stats) -> anyhow::Result<()> {
    let groups = groups(listed(desk, &options.which.filter()).await?);
    output::print(desk.output, &groups, |groups| people::stats(groups))
}

/// Those with the most open letters first.
fn groups(rows: Vec<Listed>) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for Listed { letter, status } in rows {
        let key = (letter.reason.clone(), letter.event_type.clone());
        let group = groups.entry(key).or_insert_with(|| Group::new(letter.reason, letter.event_type, letter.died_at));
        group.count(status, letter.died_at);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.open));
    groups
}

impl Group {
    fn new(reason: String, event_type: String, newest: OffsetDateTime) -> Self {
        Self { reason, event_type, open: 0, redriven: 0, edited: 0, dropped: 0, oldest_open: None, newest }
    }

    fn count(&mut self, status: &str, died_at: OffsetDateTime) {
        self.newest = self.newest.max(died_at);
        if status == OPEN {
            self.open += 1;
            self.oldest_open = Some(self.oldest_open.map_or(died_at, |oldest| oldest.min(died_at)));
        } else if status == Action::Redriven.as_str() {
            self.redriven += 1;
        } else if status == Action::Edited.as_str() {
            self.edited += 1;
        } else {
            self.dropped += 1;
        }
    }
}
