//! What is sent to others: HTTP requests and NATS messages.

use super::{Key, Object, Shape, list};

/// `query` of an address.
pub(super) const QUERY: Key = Key::new(
    "query",
    Shape::Map { of: &Shape::Template, most: 50 },
    "Query parameters, percent-encoded and appended to `url`: a list gives one for each item, null none.",
);

/// `tls` of an address.
pub(super) const TLS: Key = Key::new(
    "tls",
    Shape::Text,
    "The operator's name for a private CA and a client certificate: `[tls.NAME]` in the worker's configuration.",
)
.default("the system's CAs");

/// The `with` of `uses: http`.
pub const HTTP: Object = Object::new(
    "the `with` of a task that uses http",
    &[
        Key::new("method", Shape::Words(&["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]), "The method.")
            .required(),
        Key::new(
            "url",
            Shape::TextTemplate,
            "The address. Its host is written out or comes from `config`, never from data.",
        )
        .required(),
        QUERY,
        Key::new("headers", Shape::Map { of: &Shape::TextTemplate, most: 50 }, "Request headers."),
        Key::new(
            "body",
            Shape::Template,
            "The body, as JSON; a text as it is, if the header `Content-Type` names another type. Not with `GET` and `HEAD`.",
        ),
        TLS,
        Key::new(
            "response",
            Shape::Object(&RESPONSE),
            "What the answer must be for the task to end well, and what of it is the output.",
        ),
    ],
);

/// The `response` of `uses: http`.
pub const RESPONSE: Object = Object::new(
    "the `response` of a task that uses http",
    &[
        Key::new(
            "status",
            list(
                &Shape::Any(&[Shape::Whole { least: 200, most: 599 }, Shape::Words(&["2xx", "3xx", "4xx", "5xx"])]),
                1,
                20,
            ),
            "The statuses that count as success.",
        )
        .default("`[2xx]`"),
        Key::new(
            "schema",
            Shape::JsonSchema,
            "The JSON Schema that the body must meet, whichever of these statuses it has; an empty one counts as null.",
        ),
        Key::new(
            "output",
            Shape::Words(&["body", "full"]),
            "What the output is: the body, or `{status, headers, body}` with the headers' names in lower case.",
        )
        .default("`body`"),
    ],
);

/// The `with` of `uses: nats`.
pub const NATS: Object = Object::new(
    "the `with` of a task that uses nats",
    &[
        Key::new(
            "publish",
            Shape::TextTemplate,
            "The subject of a message that a stream is to keep. Its first part is written out or comes from `config`, never from data.",
        ),
        Key::new("request", Shape::TextTemplate, "The subject of a message that somebody is to answer; the same rules."),
        Key::new("headers", Shape::Map { of: &Shape::TextTemplate, most: 50 }, "Headers of the message."),
        Key::new(
            "body",
            Shape::Template,
            "The payload, as JSON; a text as it is, if the header `Content-Type` names another type.",
        )
        .default("an empty message"),
        Key::new("response", Shape::Object(&NATS_RESPONSE), "What the answer must be for the task to end well.")
            .beside("request"),
    ],
)
.one_of(&["publish", "request"]);

/// The `response` of `uses: nats`.
pub const NATS_RESPONSE: Object = Object::new(
    "the `response` of a task that uses nats",
    &[Key::new("schema", Shape::JsonSchema, "The JSON Schema that the answer must meet; an empty one counts as null.")
        .required()],
);
