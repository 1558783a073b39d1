//! `spine dlq edit`: an event is taken out of its letter, mended, and published in its stead.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use serde_json::{Map, Value};
use spine_core::event::Event;
use spine_nats::dead_letters::marks::{self, Action, Mark};
use spine_nats::dead_letters::{self, Letter, Redriven, Whole};
use spine_nats::wire;

use super::change::{self, Done, Report};
use super::gate::Gate;
use super::{Desk, choose};
use crate::args::dlq::Edit;
use crate::failure::invalid;

pub(super) async fn run(desk: &Desk, options: &Edit) -> anyhow::Result<()> {
    let letter = choose::one(desk, &options.letter).await?;
    let whole = choose::whole(desk, letter.letter).await?;
    match (&options.save, &options.file) {
        (Some(file), _) => save(file, &whole),
        (None, Some(file)) => publish(desk, &whole, file, options).await,
        (None, None) => Err(invalid("say --save FILE or --file FILE")),
    }
}

fn save(file: &Path, whole: &Whole) -> anyhow::Result<()> {
    if !whole.is_there {
        return Err(anyhow!("the message was too large for its letter, and EVENTS has let it go"));
    }
    let text = text(whole);
    if file.as_os_str() == "-" {
        return std::io::stdout().write_all(&text).context("print to stdout");
    }
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    let (number, file) = (whole.letter.letter, file.display());
    println!("letter {number} is in {file}; mend it, and `spine dlq edit {number} --file {file}` publishes it");
    Ok(())
}

/// The event as a JSON text, as far as there is one: what is mended must be readable first.
fn text(whole: &Whole) -> Vec<u8> {
    match wire::decode(&whole.headers, &whole.payload) {
        Ok(event) => pretty(&event.to_json()),
        Err(_) => match attributes(whole) {
            map if map.is_empty() => whole.payload.to_vec(),
            map => pretty(&Value::Object(with_data(map, &whole.payload))),
        },
    }
}

/// What the headers of a message in binary mode say, wrong as it may be.
fn attributes(whole: &Whole) -> Map<String, Value> {
    let pairs = whole.headers.iter().filter_map(|(name, values)| {
        let name: &str = name.as_ref();
        let value = values.first()?.as_str();
        Some((name.to_ascii_lowercase().strip_prefix("ce-")?.to_owned(), Value::from(value)))
    });
    pairs.collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn with_data(mut event: Map<String, Value>, payload: &[u8]) -> Map<String, Value> {
    match serde_json::from_slice::<Value>(payload) {
        Ok(data) => drop(event.insert("data".into(), data)),
        Err(_) if payload.is_empty() => {}
        Err(_) => {
            let data = base64::engine::general_purpose::STANDARD.encode(payload);
            event.insert("data_base64".into(), Value::from(data));
        }
    }
    event
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

async fn publish(desk: &Desk, whole: &Whole, file: &Path, options: &Edit) -> anyhow::Result<()> {
    let letter = &whole.letter;
    let event = read(file)?;
    same_event(letter, whole, &event)?;
    let gate = Gate::open(&desk.jetstream).await?;
    gate.admit_event(&event).map_err(|rejection| {
        invalid(format!("{} would be rejected: {rejection}; nothing was published", file.display()))
    })?;
    let times = marks::of(&desk.jetstream, letter.letter).await?.len();
    let ack = dead_letters::redrive(&desk.jetstream, whole, Redriven::Edited(&event), times + 1).await?;
    let mark = Mark {
        stream_sequence: Some(ack.sequence),
        event: Some(event.to_json()),
        ..change::mark(letter, Action::Edited, options.who.name(), options.because.clone())
    };
    marks::add(&desk.jetstream, &mark).await?;
    let mut report = Report::new(desk.output);
    report.add(Done { stream_sequence: mark.stream_sequence, ..Done::new(letter, Action::Edited.as_str()) })?;
    report.end()
}

fn read(file: &Path) -> anyhow::Result<Event> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).context("read stdin")?;
    } else {
        bytes = std::fs::read(file).map_err(|error| invalid(format!("read {}: {error}", file.display())))?;
    }
    Event::from_json(&bytes).map_err(|error| invalid(format!("{} is not an event: {error}", file.display())))
}

/// An event with another identity would be another event, and what this one had started would be done twice.
fn same_event(letter: &Letter, whole: &Whole, event: &Event) -> anyhow::Result<()> {
    let Ok(original) = wire::decode(&whole.headers, &whole.payload) else { return Ok(()) };
    if (&original.source, &original.id) == (&event.source, &event.id) {
        return Ok(());
    }
    Err(invalid(format!(
        "the event has source {:?} and id {:?}, and that of letter {} has {:?} and {:?}: it would be another event; \
         `spine publish` publishes one, and `spine dlq drop` ends the letter",
        event.source, event.id, letter.letter, original.source, original.id
    )))
}
