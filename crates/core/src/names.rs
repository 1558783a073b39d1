//! Every name that two crates share: streams, subjects, headers, task queues, workflow types, event types.

use crate::key::EventKey;

/// The stream that holds every event.
pub const EVENTS_STREAM: &str = "EVENTS";
/// The stream that holds one decision per event.
pub const DECISIONS_STREAM: &str = "DECISIONS";
/// The stream that holds dead letters.
pub const DEAD_STREAM: &str = "DEAD";
/// The stream that says what people did with dead letters.
pub const DEAD_MARKS_STREAM: &str = "DEAD_MARKS";
/// The stream that keeps what the server says of consumers that gave up a message of EVENTS.
pub const GIVEN_UP_STREAM: &str = "GIVEN_UP";
/// The durable consumer of [`GIVEN_UP_STREAM`] that all routers share.
pub const UNDERTAKER_CONSUMER: &str = "undertaker";
/// The durable consumer that all routers share.
pub const ROUTER_CONSUMER: &str = "router";
/// The KV bucket that the catalog is projected into.
pub const CATALOG_BUCKET: &str = "spine-catalog";
/// The key in [`CATALOG_BUCKET`] whose value names all that belongs to the current catalog.
pub const CATALOG_HEAD: &str = "head";

/// The Temporal task queue of our own workflows and activities.
pub const TASK_QUEUE: &str = "spine";
/// The Temporal workflow type of a run.
pub const RUN_WORKFLOW: &str = "RunActivity";
/// The Temporal workflow type of an instance of a stateful activity.
pub const INSTANCE_WORKFLOW: &str = "ActivityInstance";
/// The local activity that loads, resolves, decides and closes a run.
pub const ADVANCE_ACTIVITY: &str = "AdvanceRun";
/// The Temporal activity that performs one of our own tasks.
pub const TASK_ACTIVITY: &str = "RunTask";
/// The Temporal activity that waits for the end of a run that another execution makes.
pub const FOLLOW_ACTIVITY: &str = "FollowRun";
/// The signal that has a run look at its rows again.
pub const WAKE_SIGNAL: &str = "Wake";

/// NATS header that JetStream deduplicates by.
pub const MSG_ID_HEADER: &str = "Nats-Msg-Id";
/// HTTP header by which a receiver recognises a repeated request.
pub const IDEMPOTENCY_HEADER: &str = "Idempotency-Key";
/// CloudEvents extension: how many runs stand between this event and the outside world.
pub const HOPS_EXTENSION: &str = "spinehops";
/// CloudEvents extension on what a run emits: the run's id.
pub const RUN_EXTENSION: &str = "spinerun";

/// CloudEvents extension: the signature of the event, in base64.
pub const SIGNATURE_EXTENSION: &str = "spinesignature";
/// CloudEvents extension: which key the signature was made with.
pub const KEY_ID_EXTENSION: &str = "spinekeyid";

/// The prefix of the types of our own events.
pub const OWN_TYPES: &str = "com.spine.";
/// Type of the event that a schedule's tick stands for.
pub const TICK_TYPE: &str = "com.spine.schedule.tick";
/// Type of the event that a call of one activity by another stands for.
pub const CALL_TYPE: &str = "com.spine.activity.called";
/// The key that `missed: {policy: compress}` adds to the data of that event: the ticks that the run stands for.
pub const TICKS: &str = "ticks";

/// The subject an event of this type is published on.
pub fn event_subject(event_type: &str) -> String {
    format!("events.{event_type}")
}

/// The type that an `events.…` subject stands for, or `None` for any other subject.
pub fn type_of_subject(subject: &str) -> Option<&str> {
    subject.strip_prefix("events.")
}

/// The subject of a dead letter.
pub fn dead_subject(reason: &str, event_type: &str) -> String {
    format!("dead.{reason}.{event_type}")
}

/// The subject of what people did with the dead letter at this place of the DEAD stream.
pub fn dead_mark_subject(letter: u64) -> String {
    format!("dead_marks.{letter}")
}

/// The subject of the decision for an event: first a token for its id alone, so that an operator who
/// knows only the id can look it up with one wildcard, then the whole key.
pub fn decision_subject(key: &EventKey) -> String {
    format!("decisions.{}.{key}", key.id_token())
}

/// The wildcard subject under which all decisions for events with this id stand, whatever their source.
pub fn decision_subject_of_id(id: &str) -> String {
    format!("decisions.{}.*", crate::key::id_token(id))
}

/// The workflow id of the run that `activity` makes of an event.
pub fn run_id(activity: &str, key: &EventKey) -> String {
    format!("run/{activity}/{key}")
}

/// The id of an instance of a stateful activity: of the `generation`th, counted from 1, with this key. A key that
/// could not stand in an id is replaced by a token.
pub fn instance_run_id(activity: &str, key: &str, generation: u32) -> String {
    let token = instance_key_token(key);
    match generation {
        0 | 1 => format!("instance/{activity}/{token}"),
        later => format!("instance/{activity}/{token}~{later}"),
    }
}

fn instance_key_token(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@=+-".contains(&byte);
    if (1..=200).contains(&key.len()) && key.bytes().all(plain) {
        return key.to_owned();
    }
    // No plain key has a `#`, so no two keys share a token.
    format!("#{}", crate::key::long_token(key))
}

/// The workflow id that the action of an activity's `index`th trigger is given. Temporal appends
/// `-<scheduled time, RFC 3339>`: the time before jitter.
pub fn scheduled_run_prefix(activity: &str, index: usize) -> String {
    format!("run/{activity}/at{index}")
}

/// The workflow id of the run of a tick.
pub fn scheduled_run_id(activity: &str, index: usize, time: &str) -> String {
    format!("{}-{time}", scheduled_run_prefix(activity, index))
}

/// The scheduled time in the id of a scheduled run, or `None` if the run is not a scheduled one. Ids of before
/// triggers had numbers in them count too.
pub fn scheduled_time_of(run: &str) -> Option<&str> {
    let (index, time) = run.splitn(3, '/').nth(2)?.strip_prefix("at")?.split_once('-')?;
    index.bytes().all(|byte| byte.is_ascii_digit()).then_some(time)
}

/// The source of the events that the ticks of a trigger stand for.
pub fn tick_source(activity: &str, index: usize) -> String {
    format!("/spine/schedules/{activity}/{index}")
}

/// The id of the Temporal Schedule of an activity's `index`th schedule trigger.
pub fn schedule_id(activity: &str, index: usize) -> String {
    format!("spine/{activity}/{index}")
}

/// Whether a workflow id is that of an instance.
pub fn is_instance(run: &str) -> bool {
    run.starts_with("instance/")
}

/// The value of the `Idempotency-Key` header: the same for every attempt of a task, different for any other. A task
/// that a retry of its run decided anew, because it had been undone, has a key of its own.
pub fn idempotency_key(run: &str, task: &str, index: u32, retry: u32) -> String {
    format!("{run}/{task}/{index}{}", retry_suffix(retry))
}

/// What the names of a run's `retry`th retry end with; empty for 0, the run as it began.
pub fn retry_suffix(retry: u32) -> String {
    if retry == 0 { String::new() } else { format!("~{retry}") }
}

/// The id under which the undo of a task stands among the tasks of a run. No task is called so: ids have no dot.
pub fn undo_id(task: &str) -> String {
    format!("{task}{UNDO_SUFFIX}")
}

/// The task that an id of an undo takes back, or `None` for the id of a task.
pub fn undone_by(id: &str) -> Option<&str> {
    id.strip_suffix(UNDO_SUFFIX)
}

const UNDO_SUFFIX: &str = ".undo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_named_by_its_key_and_its_generation() {
        let check = |key: &str, generation, expected: &str| {
            assert_eq!(instance_run_id("order", key, generation), format!("instance/order/{expected}"));
        };
        check("A-7.b:c@d=e+f_g", 1, "A-7.b:c@d=e+f_g");
        check("A-7", 2, "A-7~2");
        check("ä", 1, "#33e6d73fee82904c8d7afb78de1154d1");
        assert_ne!(instance_run_id("order", "a/b", 1), instance_run_id("order", "a b", 1));
        assert!(instance_run_id("order", &"x".repeat(201), 1).len() < 60);
    }
}
