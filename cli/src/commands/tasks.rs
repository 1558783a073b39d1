//! `spine tasks`: what waits for a person, and what they do with it.

mod answer;
mod people;

use anyhow::anyhow;
use spine_store::{Answer, HumanFilter, HumanKey, HumanStatus, HumanTask, PeopleError, Store};

use crate::args::Global;
use crate::args::tasks::{List, Status, Tasks};
use crate::failure::invalid;
use crate::{connect, output};

pub(crate) async fn run(global: &Global, options: &Tasks) -> anyhow::Result<()> {
    let store = connect::store(&connect::config(global)?).await?;
    let changed = match options {
        Tasks::List(options) => {
            let rows = store.list_human_tasks(&filter(options)).await?;
            return output::print(global.output, &rows, |rows| people::table(rows));
        }
        Tasks::Show { named } => {
            let task = find(&store, &named.task).await?;
            return output::print(global.output, &task, people::task);
        }
        Tasks::Claim { named, who } => {
            let task = find(&store, &named.task).await?;
            store.claim_human_task(&task.key(), &who.name()).await
        }
        Tasks::Complete { named, data, who } => {
            let answer = answer::read(data)?;
            let task = find(&store, &named.task).await?;
            // A task that has ended is refused for that, whatever the answer.
            if !task.status.is_closed() {
                answer::check(task.form.as_ref(), &answer)?;
            }
            store.end_human_task(&task.key(), &who.name(), &Answer::Completed(answer)).await
        }
        Tasks::Fail { named, reason, who } => {
            let task = find(&store, &named.task).await?;
            store.end_human_task(&task.key(), &who.name(), &Answer::Failed(reason.clone())).await
        }
        Tasks::Reassign { named, to, who } => {
            let task = find(&store, &named.task).await?;
            store.reassign_human_task(&task.key(), &who.name(), to).await
        }
    };
    let task = changed.map_err(explained)?;
    output::print(global.output, &task, |task| people::table(std::slice::from_ref(task)))
}

fn filter(options: &List) -> HumanFilter {
    let statuses = match options.status {
        None => vec![HumanStatus::Open, HumanStatus::Claimed],
        Some(Status::Open) => vec![HumanStatus::Open],
        Some(Status::Claimed) => vec![HumanStatus::Claimed],
        Some(Status::Closed) => vec![HumanStatus::Completed, HumanStatus::Failed, HumanStatus::Cancelled],
        Some(Status::All) => Vec::new(),
    };
    HumanFilter {
        assignee: options.assignee.clone(),
        statuses,
        activity: options.activity.clone(),
        run: options.run.clone(),
        limit: options.limit,
    }
}

/// The fewest digits of an id that name a task: who means none, as by an empty variable, is not to complete the only
/// one that there is.
const MIN_DIGITS: usize = 4;

/// The task that is named: by its id or what that begins with, or by run, task and index.
async fn find(store: &Store, name: &str) -> anyhow::Result<HumanTask> {
    let mut found = match key(name) {
        Some(key) => store.human_task(&key).await?.into_iter().collect(),
        None if name.len() < MIN_DIGITS => {
            let message =
                format!("{name:?} names no task: write its id, or the first {MIN_DIGITS} digits of that at least");
            return Err(invalid(message));
        }
        None => store.human_tasks_by_id(name, 5).await?,
    };
    match (found.pop(), found.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => Err(anyhow!("no person is asked to do {name:?}; `spine tasks list --status all` lists all tasks")),
        (Some(last), others) => {
            let ids: Vec<&str> = others.iter().chain([&last]).map(|task| task.id.as_str()).collect();
            Err(invalid(format!("{name:?} begins the id of several tasks: {}; write more of it", ids.join(", "))))
        }
    }
}

/// `RUN/TASK` or `RUN/TASK/INDEX`. A run's id has slashes, and no task is called like a number.
fn key(name: &str) -> Option<HumanKey> {
    let (before, last) = name.rsplit_once('/')?;
    match last.parse() {
        Ok(index) => {
            let (run, task) = before.rsplit_once('/')?;
            Some(HumanKey { run: run.to_owned(), task: task.to_owned(), index })
        }
        Err(_) => Some(HumanKey { run: before.to_owned(), task: last.to_owned(), index: 0 }),
    }
}

/// Why it was refused, by whom it was taken or ended and when.
fn explained(error: PeopleError) -> anyhow::Error {
    match error {
        PeopleError::Closed(task) => anyhow!("{}; nothing was changed", people::ended(&task)),
        PeopleError::Claimed(task) => anyhow!(
            "{} is claimed by {}; nothing was changed; `spine tasks reassign {}` takes it from them",
            task.name(),
            people::claimed(&task),
            task.id
        ),
        PeopleError::Store(error) => error.into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_named_by_run_task_and_index() {
        let check = |name: &str, expected: Option<(&str, &str, u32)>| {
            let found = key(name);
            let found = found.as_ref().map(|key| (key.run.as_str(), key.task.as_str(), key.index));
            assert_eq!(found, expected, "{name}");
        };
        check("run/review/abc/ask", Some(("run/review/abc", "ask", 0)));
        check("run/review/abc/ask/12", Some(("run/review/abc", "ask", 12)));
        check("run/review/at-2026-11-23T10:15:00Z/ask", Some(("run/review/at-2026-11-23T10:15:00Z", "ask", 0)));
        check("0123456789ab", None);
        check("ask/1", None);
    }
}
