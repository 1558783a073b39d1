//! Tasks as people read them.

use spine_store::{HumanStatus, HumanTask};
use time::OffsetDateTime;

use crate::output::{self, when};

pub(super) fn table(rows: &[HumanTask]) -> String {
    output::table(
        &["id", "task", "status", "title", "assignees", "claimed by", "due"],
        rows.iter().map(|row| {
            [
                row.id.clone(),
                row.name(),
                row.status.as_str().to_owned(),
                row.title.clone(),
                row.assignees.join(", "),
                row.claimed_by.clone().unwrap_or_default(),
                row.due_at.map(when).unwrap_or_default(),
            ]
        }),
    )
}

pub(super) fn task(task: &HumanTask) -> String {
    let mut lines = vec![output::clip(&task.title, usize::MAX), String::new()];
    if let Some(description) = &task.description {
        lines.extend(description.lines().map(|line| output::clip(line, usize::MAX)));
        lines.push(String::new());
    }
    let mut fact = |name: &str, value: String| lines.push(format!("{name:<10} {}", output::clip(&value, usize::MAX)));
    fact("id", task.id.clone());
    fact("task", task.name());
    fact("status", standing(task));
    fact("assignees", task.assignees.join(", "));
    fact("asked", when(task.created_at));
    if let Some(at) = task.escalated_at {
        fact("escalated", when(at));
    }
    if let Some(at) = task.due_at {
        fact("due", when(at));
    }
    if let Some(output) = &task.output {
        fact("answer", output.to_string());
    }
    if let Some(form) = &task.form {
        let form = serde_norway::to_string(form).unwrap_or_else(|error| error.to_string());
        lines.extend([String::new(), "form".to_owned()]);
        lines.extend(form.lines().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

fn standing(task: &HumanTask) -> String {
    match task.status {
        HumanStatus::Open => "open".to_owned(),
        HumanStatus::Claimed => format!("claimed by {}", claimed(task)),
        _ => ended(task),
    }
}

/// Who has claimed it, and since when.
pub(super) fn claimed(task: &HumanTask) -> String {
    let since = task.claimed_at.map(|at| format!(" since {}", when(at))).unwrap_or_default();
    format!("{}{since}", task.claimed_by.as_deref().unwrap_or("nobody"))
}

/// How a task has ended, by whom and when.
pub(super) fn ended(task: &HumanTask) -> String {
    let by = task.ended_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let at = format!(" at {}", when(task.closed_at.unwrap_or(OffsetDateTime::UNIX_EPOCH)));
    let why = task.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
    let how = match (task.status, &task.ended_by) {
        // A default that stands in for an answer, see `onTimeout`.
        (HumanStatus::Completed, None) => "completed, because its deadline was over,",
        (status, _) => status.as_str(),
    };
    format!("{} was {how}{by}{at}{why}", task.name())
}
