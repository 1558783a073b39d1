//! Publishing the event of a dead letter again.
//!
//! The event keeps its source and id, so every run that an earlier message of it started is a duplicate, and only
//! what is missing starts. The broker would drop it as a duplicate as well, so its `Nats-Msg-Id` is the original's
//! with `~r` and the letter's number, the same for every attempt to redrive this letter: what was published by an
//! attempt that ended before it could say so is not published twice. That of an edited event has a hash of it as well,
//! so that it is not taken for the original, or for another edit.

use async_nats::HeaderMap;
use async_nats::jetstream;
use spine_core::event::Event;
use spine_core::key::id_token;
use spine_core::names::{MSG_ID_HEADER, event_subject};

use super::Whole;
use crate::publish::{self, Ack, PublishError};
use crate::wire::{self, Mode};

/// The header that names the letter that a message was redriven from.
const REDRIVE_OF: &str = "Spine-Redrive-Of";

/// What is published in a letter's stead.
#[derive(Clone, Copy, Debug)]
pub enum Redriven<'a> {
    /// The original message, byte for byte.
    Original(&'a Event),
    /// This event, with the original's other headers.
    Edited(&'a Event),
}

/// Publishes a letter's event again, for the `time`th time, counted from 1, and waits until JetStream has it.
pub async fn redrive(
    jetstream: &jetstream::Context,
    whole: &Whole,
    redriven: Redriven<'_>,
    time: usize,
) -> Result<Ack, PublishError> {
    let (event, mut headers, payload, edit) = match redriven {
        Redriven::Original(event) => (event, whole.headers.clone(), whole.payload.clone(), String::new()),
        Redriven::Edited(event) => {
            let (headers, payload) = wire::encode(event, Mode::Structured)?;
            let edit = format!("~{}", id_token(&String::from_utf8_lossy(&payload)));
            (event, with_context(headers, &whole.headers), payload, edit)
        }
    };
    let number = whole.letter.letter;
    let original = whole.letter.message_id.clone().unwrap_or_else(|| event.key().to_string());
    let again = if time > 1 { format!(".{time}") } else { String::new() };
    wire::insert(&mut headers, MSG_ID_HEADER, &format!("{original}~r{number}{again}{edit}"));
    headers.insert(REDRIVE_OF, number.to_string());
    publish::send(jetstream, &event_subject(&event.event_type), headers, payload).await
}

/// The letter that a message with these headers was redriven from.
pub fn redrive_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(REDRIVE_OF)?.as_str().parse().ok()
}

/// The headers of a new message, with those of the old one that say nothing of the event.
fn with_context(mut new: HeaderMap, old: &HeaderMap) -> HeaderMap {
    for (name, values) in old.iter() {
        let text: &str = name.as_ref();
        let text = text.to_ascii_lowercase();
        if !text.starts_with(&wire::header_of("")) && text != "content-type" && new.get(name.clone()).is_none() {
            values.iter().for_each(|value| new.append(name.clone(), value.clone()));
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_event_keeps_the_headers_that_say_nothing_of_it() {
        let mut old = HeaderMap::new();
        for (name, value) in [("Ce-Id", "7"), ("content-type", "text/plain"), ("traceparent", "00-1"), ("X", "a")] {
            old.append(name, value);
        }
        old.append("X", "b");
        let mut new = HeaderMap::new();
        new.insert("Content-Type", "application/cloudevents+json");
        let headers = with_context(new, &old);
        let names: std::collections::BTreeSet<&str> = headers.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["Content-Type", "X", "traceparent"]);
        assert_eq!(headers.get_all("X").count(), 2);
    }

    #[test]
    fn a_redriven_message_names_its_letter() {
        let mut headers = HeaderMap::new();
        assert_eq!(redrive_of(&headers), None);
        headers.insert(REDRIVE_OF, "12");
        assert_eq!(redrive_of(&headers), Some(12));
        headers.insert(REDRIVE_OF, "x");
        assert_eq!(redrive_of(&headers), None);
    }
}
