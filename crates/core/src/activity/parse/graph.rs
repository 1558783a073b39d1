//! Which task needs which.

use std::collections::{BTreeMap, BTreeSet};

use super::decoder::{Cursor, Decoder, Fields};
use super::grammar;

/// All tasks of an activity with all they need, directly or not.
#[derive(Debug, Default)]
pub(super) struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn ids(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Whether `id` runs only after `other` has ended.
    pub(super) fn needs(&self, id: &str, other: &str) -> bool {
        self.0.get(id).is_some_and(|needs| needs.contains(other))
    }
}

/// One task's id and what it says it needs.
pub(super) struct Links<'a> {
    pub(super) id: Option<(String, Cursor<'a>)>,
    pub(super) needs: Vec<(String, Cursor<'a>)>,
}

/// The id and the needs of a task, as they are written.
pub(super) fn links<'a>(d: &mut Decoder, task: &Fields<'a>) -> Links<'a> {
    let id = task.get("id").and_then(|at| Some((d.parsed(&at, grammar::task_id)?, at)));
    let needs = d.list(task, "needs").into_iter().filter_map(|at| Some((d.text(&at)?.to_owned(), at))).collect();
    Links { id, needs }
}

/// Checks that ids are unique, that what is needed is there, and that nothing needs itself in the end.
pub(super) fn build(d: &mut Decoder, tasks: &[Links<'_>]) -> Graph {
    let mut direct: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, at) in tasks.iter().filter_map(|task| task.id.as_ref()) {
        if direct.insert(id, BTreeSet::new()).is_some() {
            d.problem(at, format!("there is another task `{id}`; ids are unique in an activity"));
        }
    }
    let ids: Vec<&str> = direct.keys().copied().collect();
    for task in tasks {
        let id = task.id.as_ref().map(|(id, _)| id.as_str());
        let mut seen = BTreeSet::new();
        for (need, at) in &task.needs {
            match need.as_str() {
                need if id == Some(need) => d.problem(at, format!("task `{need}` can't need itself")),
                need if !ids.contains(&need) => {
                    d.problem(at, format!("there is no task `{need}`; {}", grammar::suggest(need, &ids)))
                }
                need if !seen.insert(need) => d.problem(at, format!("`{need}` stands here twice")),
                _ => {}
            }
        }
        if let Some(needs) = id.and_then(|id| direct.get_mut(id)) {
            needs.extend(seen);
        }
    }
    report_cycle(d, tasks, &direct);
    Graph(direct.keys().map(|id| (id.to_string(), reachable(id, &direct))).collect())
}

fn reachable(id: &str, direct: &BTreeMap<&str, BTreeSet<&str>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![id];
    while let Some(next) = open.pop() {
        for need in direct.get(next).into_iter().flatten() {
            if found.insert(need.to_string()) {
                open.push(need);
            }
        }
    }
    found
}

/// Names one cycle, at the first task in the text that belongs to it.
fn report_cycle(d: &mut Decoder, tasks: &[Links<'_>], direct: &BTreeMap<&str, BTreeSet<&str>>) {
    for (id, at) in tasks.iter().filter_map(|task| task.id.as_ref()) {
        if let Some(way) = way_back(id, direct) {
            d.problem(at, format!("tasks need each other in a circle, so none could begin: {}", way.join(" -> ")));
            return;
        }
    }
}

/// The shortest way from `id` over what it needs back to itself.
fn way_back<'a>(id: &'a str, direct: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([id]);
    while let Some(next) = open.pop_front() {
        for need in direct.get(next).into_iter().flatten() {
            if *need == id {
                let mut way = vec![id, next];
                while let Some(before) = way.last().filter(|last| **last != id).and_then(|last| came_from.get(last)) {
                    way.push(before);
                }
                way.reverse();
                return Some(if way.len() == 2 && next == id { vec![id, id] } else { way });
            }
            if !came_from.contains_key(need) {
                came_from.insert(need, next);
                open.push_back(need);
            }
        }
    }
    None
}
