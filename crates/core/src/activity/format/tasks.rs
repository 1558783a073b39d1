//! What is done.

use super::{
    ACTIVITY_NAME_FORM, DAY, EVENT_TYPE_FORM, HTTP, Key, NATS, Object, SHORTEST, Shape, TYPE_PATTERN, duration, list,
};

/// An item of `tasks`.
pub const TASK: Object = Object::new(
    "a task",
    &[
        Key::new(
            "id",
            Shape::Form { pattern: "^[a-z][a-z0-9_]{0,62}$", words: "a letter, then letters a-z, digits and `_`" },
            "Unique in the activity.",
        )
        .required(),
        Key::new(
            "needs",
            list(&Shape::Text, 0, 100),
            "Ids of the tasks that must have ended before this one is decided.",
        ),
        Key::new("when", Shape::Expression, "Decided only if true; otherwise the task is skipped."),
        Key::new(
            "forEach",
            Shape::Expression,
            "Gives a list: one instance an item, with `item` and `index` in scope of `with` and `undo`.",
        ),
        Key::new(
            "each",
            Shape::Words(&["instance", "event"]),
            "In a stateful activity: decided once an instance, or for each event.",
        )
        .default("`instance`"),
        Key::new(
            "uses",
            Shape::Words(&["http", "emit", "sql", "nats", "worker", "activity", "wait", "human"]),
            "What kind of work it is.",
        )
        .required(),
        Key::new("with", Shape::With(WITH), "The work; its keys follow from `uses`.").required(),
        Key::new("retry", Shape::Object(&RETRY), "How often and when a failed attempt is repeated."),
        Key::new("timeout", duration(SHORTEST, DAY.saturating_mul(7)), "The longest one attempt may take.")
            .default("`30s`, or the deadline if that is shorter"),
        Key::new("deadline", duration(SHORTEST, DAY.saturating_mul(30)), "The longest all attempts together may take.")
            .default("none"),
        Key::new(
            "onTimeout",
            Shape::Any(&[Shape::Words(&["fail"]), Shape::Object(&ON_TIMEOUT)]),
            "What happens when the deadline is over.",
        )
        .default("`fail`")
        .beside("deadline"),
        Key::new(
            "undo",
            Shape::Object(&UNDO),
            "What takes the work back if the run fails or is cancelled later, newest first. `output` is in scope.",
        ),
    ],
);

const WITH: &[(&str, &Object)] = &[
    ("http", &HTTP),
    ("emit", &EMIT),
    ("sql", &SQL),
    ("nats", &NATS),
    ("worker", &WORKER),
    ("activity", &CALL),
    ("wait", &WAIT),
    ("human", &HUMAN),
];

/// `retry`.
pub const RETRY: Object = Object::new(
    "`retry`",
    &[
        Key::new("maxAttempts", Shape::Whole { least: 1, most: 1000 }, "Attempts in all.").default("5"),
        Key::new("initialInterval", duration(SHORTEST, DAY), "The pause after the first failure.").default("`1s`"),
        Key::new(
            "backoff",
            Shape::Number { least: 1.0, most: 10.0 },
            "What each pause is multiplied by to give the next.",
        )
        .default("2"),
        Key::new("maxInterval", duration(SHORTEST, DAY), "The longest pause.").default("`1m`"),
        Key::new("nonRetryable", list(&Shape::Text, 0, 100), "Types of failure that are not repeated."),
    ],
);

/// `undo`.
pub const UNDO: Object = Object::new(
    "`undo`",
    &[
        Key::new("uses", Shape::Words(&["http", "emit", "sql", "nats", "worker"]), "What kind of work it is.")
            .required(),
        Key::new("with", Shape::With(UNDO_WITH), "The work.").required(),
        Key::new("retry", Shape::Object(&RETRY), "How often and when a failed attempt is repeated."),
        Key::new("timeout", duration(SHORTEST, DAY.saturating_mul(7)), "The longest one attempt may take.")
            .default("`30s`"),
    ],
);

const UNDO_WITH: &[(&str, &Object)] =
    &[("http", &HTTP), ("emit", &EMIT), ("sql", &SQL), ("nats", &NATS), ("worker", &WORKER)];

/// `onTimeout`, unless it is a word.
pub const ON_TIMEOUT: Object = Object::new(
    "`onTimeout`",
    &[
        Key::new("output", Shape::Template, "The task completes with this output."),
        Key::new("escalate", Shape::Object(&ESCALATE), "Others are asked instead. Only of `uses: human`."),
    ],
)
.one_of(&["output", "escalate"]);

/// `escalate`.
pub const ESCALATE: Object = Object::new(
    "`escalate`",
    &[
        Key::new("assignees", list(&Shape::TextTemplate, 1, 50), "Whom it goes to.").required(),
        Key::new("deadline", duration(SHORTEST, DAY.saturating_mul(30)), "How long they have; the task fails then.")
            .required(),
    ],
);

/// The `with` of `uses: emit`.
pub const EMIT: Object = Object::new(
    "the `with` of a task that uses emit",
    &[
        Key::new("type", EVENT_TYPE_FORM, "The event's type.").required(),
        Key::new("subject", Shape::TextTemplate, "The event's subject."),
        Key::new("data", Shape::Template, "The event's data."),
    ],
);

/// The `with` of `uses: sql`.
pub const SQL: Object = Object::new(
    "the `with` of a task that uses sql",
    &[
        Key::new(
            "query",
            Shape::Text,
            "The statement, with `$1`, `$2`, … for the arguments; no expression can stand in it.",
        )
        .required(),
        Key::new("args", list(&Shape::Template, 0, 100), "The arguments."),
        Key::new("database", Shape::Text, "The operator's name for the database.").required(),
    ],
);

/// The `with` of `uses: worker`.
pub const WORKER: Object = Object::new(
    "the `with` of a task that uses worker",
    &[
        Key::new("taskQueue", Shape::Text, "The Temporal task queue that the worker polls.").required(),
        Key::new("activity", Shape::Text, "The name of the Temporal activity.").required(),
        Key::new("input", Shape::Template, "Its one argument, as plain JSON.").required(),
    ],
);

/// The `with` of `uses: activity`.
pub const CALL: Object = Object::new(
    "the `with` of a task that uses activity",
    &[
        Key::new("name", ACTIVITY_NAME_FORM, "The activity that runs; its current revision counts.").required(),
        Key::new("data", Shape::Template, "The data of the event that the call stands for.").default("null"),
    ],
);

/// The `with` of `uses: wait`.
pub const WAIT: Object = Object::new(
    "the `with` of a task that uses wait",
    &[
        Key::new("for", duration(SHORTEST, DAY.saturating_mul(366)), "How long, from when the task is decided."),
        Key::new(
            "until",
            Shape::TextTemplate,
            "A moment, RFC 3339: `2026-12-24T18:00:00+01:00`. One that has passed is no wait at all.",
        ),
        Key::new(
            "event",
            TYPE_PATTERN,
            "The type of the event that ends the wait: exact, or every type below a prefix that ends in `.*`.",
        ),
        Key::new("source", Shape::Text, "The event's source, in which `*` stands for any run of characters.")
            .beside("event"),
        Key::new("match", Shape::Pattern, "A content pattern over the event, as in a trigger.").beside("event"),
        Key::new(
            "key",
            Shape::Expression,
            "Gives a text of the event that is waited for: here `event` is that one, and nothing else is in scope.",
        )
        .beside("event"),
        Key::new("equals", Shape::TextTemplate, "What `key` must give. They come together, or any event will do.")
            .beside("key"),
    ],
)
.one_of(&["for", "until", "event"]);

/// The `with` of `uses: human`.
pub const HUMAN: Object = Object::new(
    "the `with` of a task that uses human",
    &[
        Key::new("title", Shape::TextTemplate, "What is to be done, in a line.").required(),
        Key::new("description", Shape::TextTemplate, "More about it."),
        Key::new("assignees", list(&Shape::TextTemplate, 1, 50), "People and groups who may do it.").required(),
        Key::new("form", Shape::JsonSchema, "The JSON Schema of the answer, which becomes the task's output.")
            .default("any JSON value"),
    ],
);
