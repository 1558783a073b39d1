//! Carries the messages of `nats` tasks over NATS.
//!
//! It connects when the first message is sent: a worker whose tasks send none needs no NATS, and one whose NATS
//! is away does all its other work.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::connection::State;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{Client, HeaderMap, HeaderName, HeaderValue};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use spine_nats::Violations;
use spine_runtime::config::Config;
use spine_worker::{Message, Messages, Reply, Stored, Undelivered};
use tokio::sync::OnceCell;

/// How much longer than we the client waits, so that it is we who say how long that was.
const GRACE: Duration = Duration::from_secs(1);

/// The connection for messages, once there is one.
pub(crate) struct NatsMessages {
    config: Config,
    client: OnceCell<Client>,
    violations: Violations,
}

impl NatsMessages {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, client: OnceCell::new(), violations: Violations::default() }
    }

    /// The connection. One that was lost comes back by itself, and until then no message is left in its hands.
    async fn client(&self) -> Result<&Client, Undelivered> {
        let nats = &self.config.nats;
        let servers = nats.servers();
        let connect = || spine_nats::connect_watched(&servers, nats.creds.as_deref(), "spine tasks", &self.violations);
        let client = self.client.get_or_try_init(connect).await;
        let client = client.map_err(|error| Undelivered::Unavailable(format!("{:#}", anyhow::Error::new(error))))?;
        match client.connection_state() {
            State::Connected => Ok(client),
            _ => Err(Undelivered::Unavailable("the connection is lost, and being made again".into())),
        }
    }

    /// Sends a message and gives the first answer: a service's, or that of the stream which holds the subject.
    async fn ask(&self, message: Message, timeout: Duration) -> Result<async_nats::Message, Undelivered> {
        let exchange = async {
            let client = self.client().await?;
            let mut refusals = self.violations.watch();
            let request = Request::new()
                .headers(headers(&message.headers)?)
                .payload(message.payload.into())
                .timeout(Some(timeout + GRACE));
            let subject = message.subject.clone();
            tokio::select! {
                answer = client.send_request(subject, request) => answer.map_err(|error| undelivered(&error, timeout)),
                refusal = refusals.about(&message.subject) => Err(Undelivered::NotPermitted(refusal)),
            }
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(Undelivered::TimedOut(timeout)))
    }
}

impl Messages for NatsMessages {
    fn publish(&self, message: Message, timeout: Duration) -> BoxFuture<'_, Result<Stored, Undelivered>> {
        async move {
            let answer = self.ask(message, timeout).await;
            let answer = answer.map_err(|error| match error {
                Undelivered::NoResponders => Undelivered::NoStream,
                other => other,
            })?;
            acknowledged(&answer.payload)
        }
        .boxed()
    }

    fn request(&self, message: Message, timeout: Duration) -> BoxFuture<'_, Result<Reply, Undelivered>> {
        async move {
            let answer = self.ask(message, timeout).await?;
            let headers = answer.headers.as_ref().map(pairs).unwrap_or_default();
            Ok(Reply { headers, payload: answer.payload.to_vec() })
        }
        .boxed()
    }
}

/// What a stream says of a message (JetStream's publish acknowledgement).
fn acknowledged(payload: &[u8]) -> Result<Stored, Undelivered> {
    match serde_json::from_slice::<Response<PublishAck>>(payload) {
        Ok(Response::Ok(ack)) => Ok(Stored { stream: ack.stream, sequence: ack.sequence, duplicate: ack.duplicate }),
        // 5xx: no leader, no quorum, no space. The stream may take it later.
        Ok(Response::Err { error }) if error.code() < 500 => Err(Undelivered::Refused(error.to_string())),
        Ok(Response::Err { error }) => Err(Undelivered::Unavailable(error.to_string())),
        Err(_) => {
            Err(Undelivered::Refused("a service answered, and no stream; write `request` to use its answer".into()))
        }
    }
}

fn headers(headers: &BTreeMap<String, String>) -> Result<HeaderMap, Undelivered> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let invalid = || Undelivered::Invalid(format!("header {name:?} has an invalid name or value"));
        let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        map.insert(HeaderName::from_str(name).map_err(|_| invalid())?, value);
    }
    Ok(map)
}

fn pairs(headers: &HeaderMap) -> BTreeMap<String, String> {
    let first = |(name, values): (&HeaderName, &Vec<HeaderValue>)| {
        Some((name.to_string(), values.first()?.as_str().to_owned()))
    };
    headers.iter().filter_map(first).collect()
}

fn undelivered(error: &async_nats::client::RequestError, timeout: Duration) -> Undelivered {
    match error.kind() {
        RequestErrorKind::NoResponders => Undelivered::NoResponders,
        RequestErrorKind::TimedOut => Undelivered::TimedOut(timeout),
        RequestErrorKind::MaxPayloadExceeded => Undelivered::TooLarge(error.to_string()),
        RequestErrorKind::InvalidSubject => Undelivered::Invalid(error.to_string()),
        RequestErrorKind::Other => Undelivered::Unavailable(error.to_string()),
    }
}
