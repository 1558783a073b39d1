//! Streams and consumers as the files beside this crate say they are.

use std::fmt;

use async_nats::Client;
use async_nats::jetstream::ErrorCode;
use bytes::Bytes;
use serde_json::{Map, Value, json};

const STREAMS: [&str; 6] = [
    include_str!("../streams/EVENTS.json"),
    include_str!("../streams/DECISIONS.json"),
    include_str!("../streams/DEAD.json"),
    include_str!("../streams/DEAD_MARKS.json"),
    include_str!("../streams/GIVEN_UP.json"),
    include_str!("../streams/KV_spine-catalog.json"),
];
const CONSUMERS: [&str; 2] =
    [include_str!("../consumers/EVENTS-router.json"), include_str!("../consumers/GIVEN_UP-undertaker.json")];

/// What belongs to whoever runs the cluster, once a stream is there.
const OPERATORS: [&str; 2] = ["num_replicas", "placement"];

/// What was done with one stream or consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `stream EVENTS`, `consumer EVENTS/router`.
    pub name: String,
    /// What was done.
    pub action: Action,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was not there.
    Created,
    /// It was different.
    Updated,
    /// It was as it should be.
    Unchanged,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Unchanged => "unchanged",
        })
    }
}

/// Why the topology is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A file of this crate is broken.
    #[error("read the definition of {name}")]
    Definition {
        /// Which.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// JetStream did not answer.
    #[error("provision {name}: no answer from JetStream")]
    Request {
        /// Which stream or consumer.
        name: String,
        /// Why.
        source: async_nats::RequestError,
    },
    /// JetStream's answer is no JSON.
    #[error("provision {name}: read JetStream's answer")]
    Answer {
        /// Which stream or consumer.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// JetStream refuses.
    #[error("provision {name}: {description}")]
    Refused {
        /// Which stream or consumer.
        name: String,
        /// JetStream's words.
        description: String,
    },
}

/// Makes streams and consumers as the files say. Doing it again changes nothing.
pub async fn provision(client: &Client) -> Result<Vec<Change>, ProvisionError> {
    let mut changes = Vec::new();
    for text in STREAMS {
        changes.push(Target::stream(text)?.provision(client).await?);
    }
    for text in CONSUMERS {
        changes.push(Target::consumer(text)?.provision(client).await?);
    }
    Ok(changes)
}

/// One stream or consumer: how to ask for it, and what it should be.
struct Target {
    name: String,
    info: String,
    create: String,
    update: String,
    config: Map<String, Value>,
    /// Of a consumer: its stream.
    stream: Option<String>,
}

impl Target {
    fn stream(text: &str) -> Result<Self, ProvisionError> {
        let config: Map<String, Value> = parse(text, "a stream")?;
        let name = field(&config, "name");
        Ok(Self {
            info: format!("STREAM.INFO.{name}"),
            create: format!("STREAM.CREATE.{name}"),
            update: format!("STREAM.UPDATE.{name}"),
            name: format!("stream {name}"),
            config,
            stream: None,
        })
    }

    fn consumer(text: &str) -> Result<Self, ProvisionError> {
        #[derive(serde::Deserialize)]
        struct Request {
            stream_name: String,
            config: Map<String, Value>,
        }
        let Request { stream_name, config } = parse(text, "a consumer")?;
        let name = field(&config, "name");
        Ok(Self {
            info: format!("CONSUMER.INFO.{stream_name}.{name}"),
            create: format!("CONSUMER.CREATE.{stream_name}.{name}"),
            update: format!("CONSUMER.CREATE.{stream_name}.{name}"),
            name: format!("consumer {stream_name}/{name}"),
            config,
            stream: Some(stream_name),
        })
    }

    async fn provision(&self, client: &Client) -> Result<Change, ProvisionError> {
        let action = match self.current(client).await? {
            None => {
                self.ask(client, &self.create, &self.request(self.config.clone(), "create")).await?;
                Action::Created
            }
            Some(current) if !self.differs(&current) => Action::Unchanged,
            Some(current) => {
                self.ask(client, &self.update, &self.request(self.merged(&current), "update")).await?;
                Action::Updated
            }
        };
        Ok(Change { name: self.name.clone(), action })
    }

    async fn current(&self, client: &Client) -> Result<Option<Map<String, Value>>, ProvisionError> {
        let answer = self.send(client, &self.info, Bytes::new()).await?;
        let missing = [ErrorCode::STREAM_NOT_FOUND, ErrorCode::CONSUMER_NOT_FOUND].map(|code| json!(code.0));
        match answer.get("error") {
            Some(error) if error.get("err_code").is_some_and(|code| missing.contains(code)) => Ok(None),
            Some(error) => Err(self.refused(error)),
            None => Ok(Some(answer.get("config").and_then(Value::as_object).cloned().unwrap_or_default())),
        }
    }

    /// Whether a key of ours has another value there. A server leaves out what is zero.
    fn differs(&self, current: &Map<String, Value>) -> bool {
        let is_zero = |value: &Value| [json!(0), json!(false), json!("")].contains(value);
        self.config.iter().filter(|(name, _)| !OPERATORS.contains(&name.as_str())).any(|(name, wanted)| {
            match current.get(name) {
                Some(found) => found != wanted,
                None => !is_zero(wanted),
            }
        })
    }

    /// What is there, with our keys over it, but for those that are the operator's.
    fn merged(&self, current: &Map<String, Value>) -> Map<String, Value> {
        let ours = self.config.iter().filter(|(name, _)| !OPERATORS.contains(&name.as_str()));
        let mut merged = current.clone();
        merged.extend(ours.map(|(name, value)| (name.clone(), value.clone())));
        merged
    }

    fn request(&self, config: Map<String, Value>, action: &str) -> Value {
        match &self.stream {
            Some(stream) => json!({"stream_name": stream, "config": config, "action": action}),
            None => Value::Object(config),
        }
    }

    async fn ask(&self, client: &Client, subject: &str, request: &Value) -> Result<(), ProvisionError> {
        let answer = self.send(client, subject, request.to_string().into()).await?;
        answer.get("error").map_or(Ok(()), |error| Err(self.refused(error)))
    }

    async fn send(&self, client: &Client, subject: &str, request: Bytes) -> Result<Value, ProvisionError> {
        let sent = client.request(format!("$JS.API.{subject}"), request).await;
        let answer = sent.map_err(|source| ProvisionError::Request { name: self.name.clone(), source })?;
        let value = serde_json::from_slice(&answer.payload);
        value.map_err(|source| ProvisionError::Answer { name: self.name.clone(), source })
    }

    fn refused(&self, error: &Value) -> ProvisionError {
        let description =
            error.get("description").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
        ProvisionError::Refused { name: self.name.clone(), description }
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, ProvisionError> {
    serde_json::from_str(text).map_err(|source| ProvisionError::Definition { name: what.to_owned(), source })
}

fn field(config: &Map<String, Value>, name: &str) -> String {
    config.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
