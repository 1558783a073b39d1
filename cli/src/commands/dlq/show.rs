//! `spine dlq show`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use spine_core::decision::Decision;
use spine_core::event::Event;
use spine_core::key::EventKey;
use spine_nats::dead_letters::marks::{self, Mark};
use spine_nats::dead_letters::{Letter, Whole};
use spine_nats::{decisions, wire};

use super::chain::{self, Chain};
use super::gate::Gate;
use super::{Desk, choose, people};
use crate::args::dlq::Show;
use crate::output;

/// All about one letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    #[serde(flatten)]
    pub(super) letter: Letter,
    /// What people did with it, the first first.
    pub(super) marks: Vec<Mark>,
    /// What a redrive would do.
    pub(super) redrive: Prospect,
    /// What routers decided of each message with this source and id.
    pub(super) decisions: Vec<Decision>,
    /// The runs that led to it.
    pub(super) chain: Chain,
    /// The original's headers.
    pub(super) headers: BTreeMap<String, Vec<String>>,
    /// The event, if the message carries one.
    pub(super) event: Option<Value>,
    /// The payload as text, if the message carries no event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<String>,
}

/// Whether an event would come in now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Prospect {
    /// It would.
    Admitted,
    /// It would not, for this reason.
    Rejected(String),
    /// It can't be told, for this reason.
    Unknown(String),
}

pub(super) async fn run(desk: &Desk, options: &Show) -> anyhow::Result<()> {
    let letter = choose::one(desk, &options.letter).await?;
    let whole = choose::whole(desk, letter.letter).await?;
    let event = wire::decode(&whole.headers, &whole.payload).ok().filter(|_| whole.is_there);
    let shown = Shown {
        marks: marks::of(&desk.jetstream, letter.letter).await?,
        redrive: prospect(desk, &whole).await,
        decisions: decided(desk, &letter, event.as_ref()).await?,
        chain: match &event {
            Some(event) => chain::of(&desk.config, event).await,
            None => Chain::Links(Vec::new()),
        },
        headers: headers(&whole),
        payload: event.is_none().then(|| String::from_utf8_lossy(&whole.payload).into_owned()),
        event: event.as_ref().map(Event::to_json),
        letter: whole.letter,
    };
    output::print(desk.output, &shown, people::letter)
}

async fn prospect(desk: &Desk, whole: &Whole) -> Prospect {
    if !whole.is_there {
        return Prospect::Rejected("the message was too large for its letter, and EVENTS has let it go".into());
    }
    match Gate::open(&desk.jetstream).await {
        Ok(gate) => gate.admit(whole).map_or_else(|no| Prospect::Rejected(no.to_string()), |_| Prospect::Admitted),
        Err(error) => Prospect::Unknown(format!("{error:#}")),
    }
}

/// The decision that the letter comes from, and those on the event. They have two identities where a message is
/// known only by its place, because nobody read it any more.
async fn decided(desk: &Desk, letter: &Letter, event: Option<&Event>) -> anyhow::Result<Vec<Decision>> {
    let named = letter.source.as_ref().zip(letter.id.as_ref()).map(|(source, id)| EventKey::new(source, id));
    let keys: BTreeSet<EventKey> = named.into_iter().chain(event.map(Event::key)).collect();
    let mut found = Vec::new();
    for key in keys {
        found.extend(decisions::of_key(&desk.jetstream, &key).await?);
    }
    found.sort_by_key(|decision| decision.stream_sequence);
    Ok(found)
}

fn headers(whole: &Whole) -> BTreeMap<String, Vec<String>> {
    let values = |values: &[async_nats::HeaderValue]| values.iter().map(|value| value.as_str().to_owned()).collect();
    whole.headers.iter().map(|(name, found)| (AsRef::<str>::as_ref(name).to_owned(), values(found))).collect()
}
