//! Documents, and what concerns an activity as a whole.

use super::tasks::TASK;
use super::triggers::{CONTEXT_SOURCE, TRIGGER};
use super::{
    ACTIVITY_NAME_FORM, DAY, EVENT_TYPE_FORM, Key, Object, SECOND, SHORTEST, Shape, TYPE_PATTERN, duration, list,
};

/// A document of `kind: Activity`.
pub const ACTIVITY: Object = Object::new(
    "a document",
    &[
        Key::new("apiVersion", Shape::Words(&["spine/v1"]), "The version of the format.").required(),
        Key::new("kind", Shape::Words(&["Activity"]), "What the document is.").required(),
        Key::new("metadata", Shape::Object(&METADATA), "How it is called.").required(),
        Key::new("spec", Shape::Object(&SPEC), "What it does.").required(),
    ],
);

/// A document of `kind: EventType`.
pub const EVENT_TYPE: Object = Object::new(
    "a document",
    &[
        Key::new("apiVersion", Shape::Words(&["spine/v1"]), "The version of the format.").required(),
        Key::new("kind", Shape::Words(&["EventType"]), "What the document is.").required(),
        Key::new("metadata", Shape::Object(&EVENT_TYPE_METADATA), "How it is called.").required(),
        Key::new("spec", Shape::Object(&EVENT_TYPE_SPEC), "What is known of the type.").required(),
    ],
);

/// A document of `kind: Source`.
pub const SOURCE: Object = Object::new(
    "a document",
    &[
        Key::new("apiVersion", Shape::Words(&["spine/v1"]), "The version of the format.").required(),
        Key::new("kind", Shape::Words(&["Source"]), "What the document is.").required(),
        Key::new("metadata", Shape::Object(&SOURCE_METADATA), "How it is called.").required(),
        Key::new("spec", Shape::Object(&SOURCE_SPEC), "Who may send what.").required(),
    ],
);

/// The `metadata` of a source.
pub const SOURCE_METADATA: Object = Object::new(
    "`metadata`",
    &[Key::new("name", ACTIVITY_NAME_FORM, "What people call the source.").required(), LABELS],
);

/// The `spec` of a source.
pub const SOURCE_SPEC: Object = Object::new(
    "a spec",
    &[
        Key::new("description", Shape::Text, "Who it is, for people."),
        Key::new(
            "source",
            Shape::Text,
            "The `source` of its events, in which `*` stands for any run of characters. Of several documents that fit, the closest rules.",
        )
        .required(),
        Key::new("types", list(&TYPE_PATTERN, 0, 100), "What it may send; an empty list: nothing.")
            .default("it may send any type"),
        Key::new(
            "signature",
            Shape::Words(&["none", "optional", "required"]),
            "Whether its events are signed: `required`, each one; `optional`, a signature that is there must be right; `none`, signatures are not looked at.",
        )
        .default("`none`"),
        Key::new("keys", list(&Shape::Object(&SOURCE_KEY), 1, 10), "Whose signatures count. Several are good at once, so that one can take the place of another.")
            .beside("signature"),
    ],
);

/// A key of a source.
pub const SOURCE_KEY: Object = Object::new(
    "a key",
    &[
        Key::new("id", KEY_ID_FORM, "What `spinekeyid` says in an event that is signed with it.").required(),
        Key::new(
            "publicKey",
            Shape::Text,
            "The Ed25519 public key, 32 bytes in base64, as `spine keys generate` prints it.",
        )
        .required(),
        Key::new(
            "notAfter",
            Shape::Text,
            "Until when it is good (RFC 3339), by the time at which the stream took the event.",
        )
        .default("it is good until it is taken out"),
    ],
);

const KEY_ID_FORM: Shape =
    Shape::Form { pattern: "^[A-Za-z0-9._-]{1,64}$", words: "1 to 64 letters, digits, `.`, `_` and `-`" };

/// The `metadata` of an activity.
pub const METADATA: Object = Object::new(
    "`metadata`",
    &[Key::new("name", ACTIVITY_NAME_FORM, "The activity's id, for ever.").required(), LABELS],
);

const LABELS: Key = Key::new("labels", Shape::Map { of: &Shape::Text, most: 64 }, "Free words to group and find by.");

/// The `metadata` of a test.
pub const TEST_METADATA: Object =
    Object::new("`metadata`", &[Key::new("name", Shape::Text, "What people call it.").required(), LABELS]);

/// The `metadata` of an event type.
pub const EVENT_TYPE_METADATA: Object =
    Object::new("`metadata`", &[Key::new("name", EVENT_TYPE_FORM, "The event type.").required(), LABELS]);

/// The `spec` of an event type.
pub const EVENT_TYPE_SPEC: Object = Object::new(
    "a spec",
    &[
        Key::new("description", Shape::Text, "What the type is for, for people."),
        Key::new("schema", Shape::JsonSchema, "The JSON Schema that the `data` of an event must meet to come in.")
            .required(),
        Key::new(
            "compatibility",
            Shape::Words(&["none", "backward", "forward", "full"]),
            "What a change of the schema must leave as it was: `backward`, the new one allows what the one before did; `forward`, the one before allowed what the new one does; `full`, both.",
        )
        .default("`none`"),
    ],
);

/// The `spec` of an activity.
pub const SPEC: Object = Object::new(
    "a spec",
    &[
        Key::new("description", Shape::Text, "What the activity is for, for people."),
        Key::new("on", list(&Shape::Object(&TRIGGER), 1, 20), "Any of these triggers starts a run.").required(),
        Key::new(
            "context",
            Shape::Map { of: &Shape::Object(&CONTEXT_SOURCE), most: 50 },
            "Outside data that a run decides on, by name. Looked up in parallel before anything is decided, kept as a snapshot, and hashed into the audit.",
        ),
        Key::new(
            "instance",
            Shape::Object(&INSTANCE),
            "Makes one long-lived run for each key instead of one for each event.",
        ),
        Key::new("flow", Shape::Object(&FLOW), "Limits how many runs there are, and when."),
        Key::new(
            "tasks",
            list(&Shape::Object(&TASK), 1, 100),
            "Rules, each of which decides zero or more task instances.",
        )
        .required(),
    ],
);

/// `instance`.
pub const INSTANCE: Object = Object::new(
    "`instance`",
    &[
        Key::new("key", Shape::Expression, "Gives a text: events with the same one go to the same instance.")
            .required(),
        Key::new(
            "state",
            Shape::Map { of: &Shape::Value, most: 100 },
            "What an instance remembers, with the values it begins with.",
        ),
        Key::new("set", list(&Shape::Object(&SET), 1, 100), "Changes of `state` after each event, in order."),
        Key::new("completeWhen", Shape::Expression, "The instance ends when this is true.")
            .default("the instance ends when all tasks that run once have ended"),
        Key::new(
            "expireAfter",
            duration(SECOND, YEAR),
            "How long after its first event an instance ends that has not completed; it fails then, after its `undo`s.",
        )
        .default("it waits for ever"),
    ],
);

const YEAR: std::time::Duration = DAY.saturating_mul(366);

/// One change of an instance's state.
pub const SET: Object = Object::new(
    "a change of state",
    &[Key::new("when", Shape::Expression, "The change is made only if this is true.")
        .default("it is made after every event")],
)
.with_free_keys();

/// `flow`.
pub const FLOW: Object = Object::new(
    "`flow`",
    &[
        Key::new("key", Shape::Expression, "What the limits are counted by.").default("the activity as a whole"),
        Key::new("concurrency", Shape::Whole { least: 1, most: 10_000 }, "Runs at once; the rest waits."),
        Key::new("throttle", Shape::Object(&RATE), "Starts in a span of time; the rest waits."),
        Key::new("rateLimit", Shape::Object(&RATE), "Starts in a span of time; the rest is skipped, with a record."),
        Key::new(
            "debounce",
            Shape::Object(&DEBOUNCE),
            "Starts one run, for the last event, once no more have come for a while; with `batch`, for all of them.",
        ),
        Key::new(
            "batch",
            Shape::Object(&BATCH),
            "Starts one run for many events: `events` instead of `event` is in scope.",
        ),
        Key::new("priority", Shape::Expression, "Gives a whole number: of what waits, the smallest goes first."),
        Key::new(
            "singleton",
            Shape::Words(&["skip", "cancel_running"]),
            "At most one run at once, whatever `concurrency` says: a further event is skipped, or cancels the one that runs.",
        ),
    ],
);

/// So many in a span of time.
pub const RATE: Object = Object::new(
    "a rate",
    &[
        Key::new("limit", Shape::Whole { least: 1, most: 1_000_000 }, "How many.").required(),
        Key::new("per", duration(SECOND, DAY), "In which time.").required(),
    ],
);

/// `debounce`.
pub const DEBOUNCE: Object = Object::new(
    "`debounce`",
    &[
        Key::new("quiet", duration(SHORTEST, DAY), "How long no event must come.").required(),
        Key::new("atMost", duration(SHORTEST, DAY.saturating_mul(7)), "How long the first event waits at most.")
            .required(),
    ],
);

/// `batch`.
pub const BATCH: Object = Object::new(
    "`batch`",
    &[
        Key::new("size", Shape::Whole { least: 2, most: 1000 }, "How many events fill it.").required(),
        Key::new("within", duration(SHORTEST, DAY), "How long the first event waits at most.").required(),
    ],
);
