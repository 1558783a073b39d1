//! What starts a run, and what it looks up.

use super::outbound::{QUERY, TLS};
use super::{DAY, Key, Object, SECOND, SHORTEST, Shape, TYPE_PATTERN, duration, list};

/// An item of `on`.
pub const TRIGGER: Object = Object::new(
    "a trigger",
    &[
        Key::new(
            "event",
            TYPE_PATTERN,
            "The type of the event: exact, or every type below a prefix that ends in `.*`.",
        ),
        Key::new("source", Shape::Text, "The event's source, in which `*` stands for any run of characters.")
            .beside("event"),
        Key::new(
            "match",
            Shape::Pattern,
            "A content pattern over the event: attributes at the top, the payload under `data`.",
        )
        .beside("event"),
        Key::new("when", Shape::Expression, "A condition on `event`, for what a pattern can't say.").beside("event"),
        Key::new(
            "starts",
            Shape::Boolean,
            "This event begins an instance that is not there yet; another would be skipped. Only with `instance`.",
        )
        .default("false")
        .beside("event"),
        Key::new(
            "cancels",
            Shape::Boolean,
            "This event cancels the instance: what was done is undone. Only with `instance`.",
        )
        .default("false")
        .beside("event"),
        Key::new("schedule", Shape::Object(&SCHEDULE), "When a run starts by itself."),
        Key::new("input", Shape::Value, "Becomes `event.data` of the event that a tick stands for.")
            .default("null")
            .beside("schedule"),
    ],
)
.one_of(&["event", "schedule"]);

/// `schedule`.
pub const SCHEDULE: Object = Object::new(
    "a schedule",
    &[
        Key::new("cron", Shape::Text, "Five fields as in crontab(5): minute, hour, day of month, month, day of week."),
        Key::new("every", duration(SECOND, DAY.saturating_mul(365)), "A fixed interval, counted from the Unix epoch."),
        Key::new("calendar", Shape::Object(&CALENDAR), "Times by their parts, all of which must fit."),
        Key::new(
            "timezone",
            Shape::Form { pattern: r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", words: "a name of the IANA database" },
            "The IANA time zone in which `cron` and `calendar` count.",
        )
        .default("`UTC`"),
        Key::new("jitter", duration(std::time::Duration::ZERO, DAY), "The most by which a tick is moved, at random.").default("`0s`"),
        Key::new("missed", Shape::Object(&MISSED), "What becomes of ticks that no one could act on in time.")
            .default("`{policy: skip}`"),
        Key::new(
            "overlap",
            Shape::Words(&["skip", "buffer_one", "allow", "cancel_other"]),
            "What a tick does while a run of an earlier one goes on: it is skipped, waits (one at most), runs as well, or cancels the other.",
        )
        .default("`skip`"),
    ],
)
.one_of(&["cron", "every", "calendar"]);

const CALENDAR_FIELD: Shape = Shape::Any(&[Shape::Whole { least: 0, most: 9999 }, Shape::Text]);

/// `calendar`.
pub const CALENDAR: Object = Object::new(
    "`calendar`",
    &[
        Key::new(
            "minute",
            CALENDAR_FIELD,
            "0 to 59; like every field a number, or a text as in cron: `0,30`, `9-17`, `*/5`.",
        )
        .default("0"),
        Key::new("hour", CALENDAR_FIELD, "0 to 23.").default("0"),
        Key::new("dayOfMonth", CALENDAR_FIELD, "1 to 31.").default("any"),
        Key::new("month", CALENDAR_FIELD, "1 to 12, or jan to dec.").default("any"),
        Key::new(
            "dayOfWeek",
            CALENDAR_FIELD,
            "0 to 7 with 0 and 7 for Sunday, or sun to sat. With `dayOfMonth`, both must fit.",
        )
        .default("any"),
        Key::new("year", CALENDAR_FIELD, "2000 to 2100.").default("any"),
    ],
);

/// `missed`.
pub const MISSED: Object = Object::new(
    "`missed`",
    &[
        Key::new(
            "policy",
            Shape::Words(&["catch_up", "skip", "compress"]),
            "Each missed tick runs late, none does, or one run stands for all of them and is told which.",
        )
        .required(),
        Key::new(
            "within",
            duration(SECOND, DAY.saturating_mul(365)),
            "How late a tick may run; what is older is skipped, with a record. Not with `skip`.",
        ),
    ],
);

/// An entry of `context`.
pub const CONTEXT_SOURCE: Object = Object::new(
    "a context source",
    &[
        Key::new("http", Shape::Object(&CONTEXT_HTTP), "A `GET` of a JSON document."),
        Key::new(
            "sql",
            Shape::Object(&CONTEXT_SQL),
            "A query, read only; it gives a list with one object for each row.",
        ),
        Key::new(
            "timeout",
            duration(SHORTEST, SECOND.saturating_mul(60)),
            "How long one lookup may take; a failed one is tried three times.",
        )
        .default("`5s`"),
        Key::new("default", Shape::Value, "What stands in when the lookup failed.").default("none: the run fails"),
    ],
)
.one_of(&["http", "sql"]);

/// The `http` of a context source.
pub const CONTEXT_HTTP: Object = Object::new(
    "the `http` of a context source",
    &[
        Key::new(
            "url",
            Shape::TextTemplate,
            "The address. Its host is written out or comes from `config`, never from data.",
        )
        .required(),
        QUERY,
        Key::new("headers", Shape::Map { of: &Shape::TextTemplate, most: 50 }, "Request headers."),
        TLS,
    ],
);

/// The `sql` of a context source.
pub const CONTEXT_SQL: Object = Object::new(
    "`sql`",
    &[
        Key::new(
            "query",
            Shape::Text,
            "The query, with `$1`, `$2`, … for the arguments; no expression can stand in it.",
        )
        .required(),
        Key::new("args", list(&Shape::Template, 0, 100), "The arguments."),
        Key::new("database", Shape::Text, "The operator's name for the database.").required(),
    ],
);
