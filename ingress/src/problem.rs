//! What is answered when a request is not taken: problem details (RFC 9457) with a stable code.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use spine_core::admission::Rejection;
use spine_core::decision::DeadReason;
use spine_core::event::EventError;
use spine_nats::publish::PublishError;
use spine_runtime::metrics::labels::Request as Label;

/// What the `type` of a problem starts with; its code follows.
pub const TYPE_PREFIX: &str = "urn:spine:problem:";

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $label:ident, $title:literal, $hint:literal;)+) => {
        /// Why a request, or one event of it, is not taken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The code as clients see it; it never changes its meaning.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// What to do.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint),+ }
            }

            /// What it is, in few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            fn label(self) -> Label {
                match self { $(Self::$variant => Label::$label),+ }
            }
        }
    };
}

codes! {
    /// The event breaks a rule of CloudEvents.
    InvalidEvent = "invalid_event", BAD_REQUEST, Invalid,
        "the event is not valid", "mend what `detail` names; sending it again as it is will not help";
    /// The event or the body is larger than allowed.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, TooLarge,
        "it is too large", "send less at once, or keep large data elsewhere and send its address";
    /// Too many runs stand between the event and the outside world.
    TooManyHops = "too_many_hops", BAD_REQUEST, Invalid,
        "the event has come too far", "look for activities that cause each other in a circle";
    /// The data does not meet the schema of the event's type.
    SchemaViolation = "schema_violation", UNPROCESSABLE_ENTITY, Invalid,
        "the data does not meet the schema of its type", "mend the data that `detail` names, or change the schema first";
    /// The router would refuse the event for another reason.
    NotAdmitted = "not_admitted", BAD_REQUEST, Invalid,
        "the event may not come in", "mend what `detail` names";
    /// A body that is no batch, or could not be read.
    MalformedBody = "malformed_body", BAD_REQUEST, Invalid,
        "the body can't be read", "mend what `detail` names; sending it again as it is will not help";
    /// Events of a batch were refused, for different reasons.
    BatchRejected = "batch_rejected", UNPROCESSABLE_ENTITY, Invalid,
        "not every event of the batch was taken", "mend the events that `items` shows as rejected; those that were taken may be sent again and are kept once";
    /// The content type is none that is taken.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, Unsupported,
        "this content type is not taken", "send application/cloudevents+json, application/cloudevents-batch+json, or ce- headers";
    /// The body is compressed.
    UnsupportedEncoding = "unsupported_encoding", UNSUPPORTED_MEDIA_TYPE, Unsupported,
        "compressed bodies are not taken", "send the body without Content-Encoding";
    /// The request has too many headers.
    TooManyHeaders = "too_many_headers", REQUEST_HEADER_FIELDS_TOO_LARGE, TooLarge,
        "the request has too many headers", "send fewer headers, or the event in structured mode";
    /// Nothing says who sends this.
    MissingCredentials = "missing_credentials", UNAUTHORIZED, Unauthenticated,
        "it is not said who sends this", "send `Authorization: Bearer <token>`, or connect with a client certificate";
    /// What says who sends this is not known here.
    UnknownCredentials = "unknown_credentials", UNAUTHORIZED, Unauthenticated,
        "these credentials are not known", "ask whoever runs this Spine for a token, or for your certificate to be let in";
    /// The sender may not send this source or type.
    Forbidden = "forbidden", FORBIDDEN, Forbidden,
        "this sender may not send this event", "send a source and a type that you may send, or ask whoever runs this Spine for the right";
    /// The webhook has no signature.
    MissingSignature = "missing_signature", UNAUTHORIZED, Unauthenticated,
        "the webhook is not signed", "set the same secret at the sender and here, so that it signs";
    /// The webhook's signature is wrong.
    InvalidSignature = "invalid_signature", UNAUTHORIZED, Unauthenticated,
        "the webhook's signature is wrong", "set the same secret at the sender and here, and let nothing on the way change the body";
    /// The webhook was signed too long ago, or in the future.
    ExpiredSignature = "expired_signature", UNAUTHORIZED, Unauthenticated,
        "the webhook was not signed just now", "set the clocks of both sides; a request that was kept back has to be signed anew";
    /// The webhook's request lacks what its mapping needs.
    HookMapping = "hook_mapping", UNPROCESSABLE_ENTITY, Invalid,
        "the webhook can't be made an event", "mend the hook's section in the configuration, or what the sender sends";
    /// There is nothing at this path.
    NoSuchPath = "no_such_path", NOT_FOUND, NotFound,
        "there is nothing here", "post to /events or /hooks/<name>; /openapi.json describes both";
    /// There is no webhook of this name.
    NoSuchHook = "no_such_hook", NOT_FOUND, NotFound,
        "there is no webhook of this name", "configure it as [ingress.hooks.<name>]";
    /// The path does not know this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, Unsupported,
        "this method is not for this path", "use a method that the header Allow names";
    /// The body did not arrive in time.
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT, TimedOut,
        "the body did not arrive in time", "send it again, faster or in smaller parts";
    /// The sender asks too often.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, RateLimited,
        "these are too many requests", "wait as long as Retry-After says, and send events in batches";
    /// Too much is in hand.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, Overloaded,
        "there is too much in hand", "wait as long as Retry-After says, and send it again";
    /// JetStream is away.
    JetstreamUnavailable = "jetstream_unavailable", SERVICE_UNAVAILABLE, Unavailable,
        "JetStream did not take it", "wait as long as Retry-After says, and send it again: it is kept once";
    /// The stream has no room.
    StreamFull = "stream_full", SERVICE_UNAVAILABLE, Unavailable,
        "the stream is full", "send it again later; whoever runs this Spine has to give the stream more room";
    /// The broker does not permit the ingress to publish this.
    NotPermitted = "not_permitted", SERVICE_UNAVAILABLE, Unavailable,
        "NATS does not permit this subject to the ingress", "send it again later; whoever runs this Spine has to permit the subject to the ingress's NATS user";
    /// JetStream refuses it.
    JetstreamRefused = "jetstream_refused", SERVICE_UNAVAILABLE, Unavailable,
        "JetStream refuses it", "send it again later; whoever runs this Spine has to mend what `detail` names";
}

/// One answer that is not 2xx.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Why, as a code.
    pub code: Code,
    /// What and where, in words.
    pub detail: String,
    /// When it may be tried again, in seconds.
    pub retry_after: Option<u64>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) items: Option<Value>,
}

impl Problem {
    /// A problem; one that passes by itself says when to come back.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after = match code {
            Code::Overloaded | Code::JetstreamUnavailable => Some(1),
            Code::StreamFull | Code::NotPermitted | Code::JetstreamRefused => Some(10),
            _ => None,
        };
        Self { code, detail: detail.into(), retry_after, headers: Vec::new(), items: None }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "type": format!("{TYPE_PREFIX}{}", self.code.as_str()),
            "title": self.code.title(),
            "status": self.code.status().as_u16(),
            "detail": self.detail,
            "code": self.code.as_str(),
            "hint": self.code.hint(),
        });
        if let (Some(items), Some(map)) = (&self.items, body.as_object_mut()) {
            map.insert("items".into(), items.clone());
        }
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body().to_string()));
        *response.status_mut() = self.code.status();
        response.extensions_mut().insert(self.code.label());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.headers);
        response
    }
}

impl From<EventError> for Problem {
    fn from(error: EventError) -> Self {
        Self::from(Rejection::from(error))
    }
}

/// A router would bury the event with the same words.
impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.reason {
            DeadReason::InvalidEvent => Code::InvalidEvent,
            DeadReason::TooLarge => Code::TooLarge,
            DeadReason::TooManyHops => Code::TooManyHops,
            DeadReason::Unauthorized | DeadReason::BadSignature => Code::Forbidden,
            DeadReason::SchemaViolation => Code::SchemaViolation,
            _ => Code::NotAdmitted,
        };
        Self::new(code, rejection.to_string())
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let code = match &error {
            PublishError::Invalid(_) => Code::InvalidEvent,
            PublishError::TooLarge { .. } => Code::TooLarge,
            PublishError::Refused { .. } => Code::JetstreamRefused,
            PublishError::NoRoom { .. } => Code::StreamFull,
            PublishError::NotPermitted { .. } => Code::NotPermitted,
            PublishError::Unavailable { .. } => Code::JetstreamUnavailable,
        };
        Self::new(code, error.to_string())
    }
}
