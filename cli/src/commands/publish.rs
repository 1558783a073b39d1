//! `spine publish`: one event to JetStream, with the broker's answer.

use std::io::Read as _;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use spine_core::event::Event;
use spine_nats::wire;

use crate::args::{Global, Mode, Publish};
use crate::commands::keys;
use crate::failure::invalid;
use crate::{connect, output};

pub(crate) async fn run(global: &Global, options: &Publish) -> anyhow::Result<()> {
    let mut event = event(options)?;
    if let Some(file) = &options.sign {
        let key = keys::read(file)?;
        let id = options.key_id.clone().unwrap_or_else(|| key.public_key().id());
        key.sign(&mut event, &id);
    }
    let client = connect::nats(&connect::config(global)?, "spine publish").await?;
    let mode = match options.mode {
        Mode::Structured => wire::Mode::Structured,
        Mode::Binary => wire::Mode::Binary,
    };
    let jetstream = async_nats::jetstream::new(client);
    let ack = spine_nats::publish::publish(&jetstream, &event, mode).await?;
    let data = json!({"id": event.id, "source": event.source, "type": event.event_type, "key": event.key(),
        "stream": ack.stream, "sequence": ack.sequence, "duplicate": ack.duplicate});
    output::print(global.output, &data, |_| {
        let row = [
            event.event_type.clone(),
            event.id.clone(),
            ack.stream.clone(),
            ack.sequence.to_string(),
            ack.duplicate.to_string(),
        ];
        output::table(&["type", "id", "stream", "sequence", "duplicate"], [row])
    })
}

/// The event of the file, with what the flags say put over it; checked by the same rules as on arrival.
fn event(options: &Publish) -> anyhow::Result<Event> {
    let mut event = match &options.file {
        Some(path) => read(path)?,
        None => Map::from_iter([("specversion".to_owned(), Value::from("1.0"))]),
    };
    let flags = [
        ("type", &options.event_type),
        ("source", &options.source),
        ("id", &options.id),
        ("subject", &options.subject),
    ];
    for (name, value) in flags {
        if let Some(value) = value {
            event.insert(name.into(), Value::from(value.as_str()));
        }
    }
    if let Some(data) = &options.data {
        let data: Value = serde_json::from_str(data).map_err(|error| invalid(format!("--data is no JSON: {error}")))?;
        event.insert("data".into(), data);
        event.insert("datacontenttype".into(), Value::from("application/json"));
    }
    if !event.contains_key("id") {
        event.insert("id".into(), Value::from(new_id()));
    }
    if !event.contains_key("type") || !event.contains_key("source") {
        return Err(invalid("an event needs a type and a source: name a --file, or give --type and --source"));
    }
    Event::from_json(Value::Object(event).to_string().as_bytes())
        .map_err(|error| invalid(format!("the event is not valid: {error}")))
}

fn read(path: &std::path::Path) -> anyhow::Result<Map<String, Value>> {
    let mut text = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut text).context("read stdin")?;
    } else {
        text = std::fs::read(path).map_err(|error| invalid(format!("read {}: {error}", path.display())))?;
    }
    // Checked as it stands first, so that the message is about what was written.
    match Event::from_json(&text) {
        Ok(event) => match event.to_json() {
            Value::Object(map) => Ok(map),
            _ => Err(invalid(format!("{} holds no event", path.display()))),
        },
        Err(error) => match serde_json::from_slice(&text) {
            Ok(Value::Object(map)) => Ok(map),
            _ => Err(invalid(format!("{} is not an event: {error}", path.display()))),
        },
    }
}

/// An id that no other call makes: the time in nanoseconds and the process.
fn new_id() -> String {
    format!("{:x}-{:x}", time::OffsetDateTime::now_utc().unix_timestamp_nanos(), std::process::id())
}
