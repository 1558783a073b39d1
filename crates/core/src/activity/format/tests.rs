//! Tests of activities: what `spine test` runs.

use super::documents::TEST_METADATA;
use super::{Key, Object, Shape, list};

/// A document of `kind: ActivityTest`.
pub const ACTIVITY_TEST: Object = Object::new(
    "a document",
    &[
        Key::new("apiVersion", Shape::Words(&["spine/v1"]), "The version of the format.").required(),
        Key::new("kind", Shape::Words(&["ActivityTest"]), "What the document is.").required(),
        Key::new("metadata", Shape::Object(&TEST_METADATA), "How it is called.").required(),
        Key::new("spec", Shape::Object(&TEST_SPEC), "What is tested.").required(),
    ],
);

/// The `spec` of a test.
pub const TEST_SPEC: Object = Object::new(
    "a spec",
    &[
        Key::new("activity", Shape::Text, "The name of the activity that is tested.").required(),
        Key::new(
            "definitions",
            list(&Shape::Text, 1, 100),
            "Files and folders with activities and event types, from this file's folder.",
        )
        .default("this file's folder"),
        Key::new("config", Shape::Map { of: &Shape::Value, most: 1000 }, "The values of `config`."),
        Key::new("cases", list(&Shape::Object(&CASE), 1, 1000), "The cases.").required(),
    ],
);

/// One case of a test.
pub const CASE: Object = Object::new(
    "a case",
    &[
        Key::new("name", Shape::Text, "What is so in this case; unique in the file.").required(),
        Key::new(
            "event",
            Shape::Map { of: &Shape::Value, most: 1000 },
            "The event in the CloudEvents JSON format. `specversion`, `id` and `source` may be left out.",
        ),
        Key::new("eventFile", Shape::Text, "A file with the event, from this file's folder."),
        Key::new("given", Shape::Object(&GIVEN), "What the outside world answers."),
        Key::new("expect", Shape::Object(&EXPECT), "What must come of it. Only what is written is compared.")
            .default("all of it is compared with the golden file"),
    ],
)
.one_of(&["event", "eventFile"]);

/// The `given` of a case.
pub const GIVEN: Object = Object::new(
    "`given`",
    &[
        Key::new("context", Shape::Map { of: &Shape::Value, most: 50 }, "What context sources give, by name.")
            .default("their defaults"),
        Key::new(
            "tasks",
            Shape::Map {
                of: &Shape::Any(&[
                    Shape::Object(&RESULT),
                    Shape::List { of: &Shape::Object(&RESULT), least: 0, most: 1000 },
                ]),
                most: 100,
            },
            "How tasks end, by id; with `forEach` a list.",
        )
        .default("they stay open, and what needs them is not decided"),
    ],
);

/// How a task instance ends.
pub const RESULT: Object = Object::new(
    "the result of a task",
    &[
        Key::new("output", Shape::Value, "It ends well, with this output."),
        Key::new("error", Shape::Object(&ERROR), "It fails for good."),
    ],
)
.one_of(&["output", "error"]);

/// Why a task instance fails.
pub const ERROR: Object = Object::new(
    "an error",
    &[
        Key::new("type", Shape::Text, "The type of failure.").required(),
        Key::new("message", Shape::Text, "What went wrong.").required(),
    ],
);

/// The `expect` of a case.
pub const EXPECT: Object = Object::new(
    "`expect`",
    &[
        Key::new("decision", Shape::Words(&["started", "unmatched", "rejected"]), "What a router decides."),
        Key::new("reason", Shape::Text, "Why the event is rejected, as a code: `schema_violation`."),
        Key::new("detail", Shape::Text, "Why the event is rejected, in words."),
        Key::new("matched", Shape::Boolean, "Whether the activity matches."),
        Key::new("because", Shape::Text, "By which condition, with the value seen and the value wanted."),
        Key::new("alsoMatched", list(&Shape::Text, 0, 1000), "The other activities that match, by name."),
        Key::new(
            "context",
            Shape::Map { of: &Shape::Value, most: 50 },
            "For each context source its rendered `lookup` and its `value`.",
        ),
        Key::new(
            "tasks",
            Shape::Map { of: &Shape::Value, most: 100 },
            "For each task `{uses, with}` with everything rendered, a list of such with `forEach`, or `{skipped: REASON}`; `null` if it is not decided.",
        ),
        Key::new("waitsFor", list(&Shape::Text, 0, 100), "Ids of the tasks whose results are not given."),
        Key::new("status", Shape::Words(&["completed", "failed"]), "How the run ends."),
        Key::new("type", Shape::Text, "The type of the run's failure."),
        Key::new("message", Shape::Text, "What went wrong in the run."),
    ],
);
