//! Dead letters as people read them.

use spine_nats::dead_letters::Letter;
use spine_nats::dead_letters::marks::Mark;

use super::chain::{Chain, Link};
use super::change::Done;
use super::list::Listed;
use super::show::{Prospect, Shown};
use super::stats::Group;
use crate::output::{self, clip, when};
use crate::trace::people::{decision, line};

/// How much of a detail, and of an event's id, stands in a line of the list.
const DETAIL_CHARS: usize = 80;
const ID_CHARS: usize = 40;
/// How much of a payload that carries no event is printed.
const PAYLOAD_CHARS: usize = 2000;

pub(super) fn table(rows: &[Listed]) -> String {
    output::table(
        &["letter", "died", "reason", "type", "id", "status", "detail"],
        rows.iter().map(|Listed { letter, status }| {
            [
                letter.letter.to_string(),
                when(letter.died_at),
                clip(&letter.reason, ID_CHARS),
                letter.event_type.clone(),
                clip(letter.id.as_deref().unwrap_or("-"), ID_CHARS),
                (*status).to_owned(),
                clip(&letter.detail, DETAIL_CHARS),
            ]
        }),
    )
}

pub(super) fn stats(groups: &[Group]) -> String {
    output::table(
        &["reason", "type", "open", "redriven", "edited", "dropped", "oldest open", "newest"],
        groups.iter().map(|group| {
            [
                group.reason.clone(),
                group.event_type.clone(),
                group.open.to_string(),
                group.redriven.to_string(),
                group.edited.to_string(),
                group.dropped.to_string(),
                group.oldest_open.map_or_else(|| "-".to_owned(), when),
                when(group.newest),
            ]
        }),
    )
}

/// What became of a letter, on one line.
pub(super) fn done(done: &Done) -> String {
    let Done { letter, event_type, id, outcome, stream_sequence, detail } = done;
    let id = clip(id.as_deref().unwrap_or("-"), ID_CHARS);
    let place = stream_sequence.map(|sequence| format!(" as EVENTS:{sequence}")).unwrap_or_default();
    let why = detail.as_ref().map(|detail| format!(": {}", clip(detail, 300))).unwrap_or_default();
    format!("{letter}  {event_type}  {id}  {outcome}{place}{why}")
}

/// What was done, by whom, when and why.
pub(super) fn mark(mark: &Mark) -> String {
    let place = mark.stream_sequence.map(|sequence| format!(" as EVENTS:{sequence}")).unwrap_or_default();
    let because = mark.because.as_ref().map(|because| format!(": {because}")).unwrap_or_default();
    format!("{} by {} at {}{place}{because}", mark.action.as_str(), mark.by, when(mark.at))
}

pub(super) fn letter(shown: &Shown) -> String {
    let Letter { letter, died_at, reason, detail, stream_sequence, deliveries, .. } = &shown.letter;
    let mut lines = vec![line("letter", &format!("{letter}  died {}  of {reason}", when(*died_at)))];
    lines.push(line("", &clip(detail, usize::MAX)));
    lines.push(line(
        "message",
        &format!("EVENTS:{stream_sequence}  on {}  delivered {deliveries} times", shown.letter.subject),
    ));
    lines.extend(identity(&shown.letter));
    match shown.marks.as_slice() {
        [] => lines.push(line("status", "open: nobody dealt with it")),
        marks => lines.extend(named("status", marks.iter().map(mark))),
    }
    lines.push(line("redrive", &prospect(&shown.redrive)));
    lines.extend(shown.decisions.iter().flat_map(decision));
    lines.extend(chain(&shown.chain, &shown.letter));
    lines.extend(content(shown));
    lines.join("\n")
}

fn identity(letter: &Letter) -> Vec<String> {
    let text = |text: &Option<String>| clip(text.as_deref().unwrap_or("not known"), 200);
    vec![
        line("event", &format!("{}  {}", letter.event_type, text(&letter.id))),
        line("", &format!("from {}", text(&letter.source))),
    ]
}

fn prospect(prospect: &Prospect) -> String {
    match prospect {
        Prospect::Admitted => "would come in now".into(),
        Prospect::Rejected(why) => format!("would be rejected: {}", clip(why, 300)),
        Prospect::Unknown(why) => format!("can't be told: {why}"),
    }
}

/// From the outside world to the event that died.
fn chain(chain: &Chain, dead: &Letter) -> Vec<String> {
    let links = match chain {
        Chain::NotLookedFor(why) => return vec![line("chain", &format!("was not looked for: {why}"))],
        Chain::Links(links) if links.is_empty() => return Vec::new(),
        Chain::Links(links) => links,
    };
    let link = |link: &Link| format!("{} {}  started  {}", link.event_type, clip(&link.event_id, ID_CHARS), link.run);
    let last = format!("{} {}  died", dead.event_type, clip(dead.id.as_deref().unwrap_or("-"), ID_CHARS));
    named("chain", links.iter().map(link).chain([last]))
}

fn content(shown: &Shown) -> Vec<String> {
    let mut lines: Vec<String> = match shown.headers.is_empty() {
        true => Vec::new(),
        false => {
            let header = |(name, values): (&String, &Vec<String>)| clip(&format!("{name}: {}", values.join(", ")), 200);
            named("headers", shown.headers.iter().map(header))
        }
    };
    lines.push(String::new());
    match (&shown.event, &shown.payload) {
        // JSON escapes the control characters of ASCII, and not those that a terminal obeys as well.
        (Some(event), _) => lines.extend(format!("{event:#}").lines().map(|text| clip(text, PAYLOAD_CHARS))),
        (None, Some(payload)) => lines.push(clip(payload, PAYLOAD_CHARS)),
        (None, None) => {}
    }
    lines
}

/// Lines of which the first has the name.
fn named(name: &str, texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.enumerate().map(|(at, text)| line(if at == 0 { name } else { "" }, &text)).collect()
}
