//! Which letters are meant.

use anyhow::{Context as _, anyhow, bail};
use spine_nats::dead_letters::marks::{self, Mark};
use spine_nats::dead_letters::{Filter, Letter, Whole, at, scan};

use super::{Desk, list, people};
use crate::args::dlq::Choice;
use crate::failure::invalid;
use crate::output;

/// How many candidates are named where several fit.
const NAMED: usize = 5;

/// The one letter that `text` stands for: its number, or the id of its event.
pub(super) async fn one(desk: &Desk, text: &str) -> anyhow::Result<Letter> {
    if let Ok(number) = text.parse()
        && let Some(found) = at(&desk.jetstream, number).await?
    {
        return Ok(found.letter);
    }
    let filter = Filter { id: Some(text.to_owned()), ..Filter::default() };
    let found = scan(&desk.jetstream, &filter).await?;
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(anyhow!(
            "there is no dead letter {text:?}: none has this number, and no event with this id died; \
             `spine dlq list --status all` lists them"
        )),
        several => only_open(desk, several).await?.ok_or_else(|| ambiguous(text, several)),
    }
}

/// The one that nobody dealt with: an event that is redriven and dies again has one letter more each time.
async fn only_open(desk: &Desk, letters: &[Letter]) -> anyhow::Result<Option<Letter>> {
    let marked = marks::last(&desk.jetstream).await?;
    let mut open = letters.iter().filter(|letter| !marked.contains_key(&letter.letter));
    Ok(open.next().filter(|_| open.next().is_none()).cloned())
}

fn ambiguous(text: &str, found: &[Letter]) -> anyhow::Error {
    let named = found.iter().rev().take(NAMED);
    let named =
        named.map(|letter| format!("\n  {}  {}  died {}", letter.letter, letter.reason, output::when(letter.died_at)));
    let more = if found.len() > NAMED { "\n  and more" } else { "" };
    invalid(format!("{text:?} may be any of these letters; name one by its number:{}{more}", named.collect::<String>()))
}

/// The letter whole.
pub(super) async fn whole(desk: &Desk, letter: u64) -> anyhow::Result<Whole> {
    at(&desk.jetstream, letter).await?.with_context(|| format!("letter {letter} is not in the stream any more"))
}

/// The letters to deal with, the first first. `again` lets those be dealt with that somebody dealt with before.
pub(super) async fn several(desk: &Desk, choice: &Choice, again: bool) -> anyhow::Result<Vec<Letter>> {
    let filter = choice.which.filter();
    let ways = [!choice.letters.is_empty(), !filter.is_empty(), choice.all];
    match ways.iter().filter(|way| **way).count() {
        0 => {
            Err(invalid("name letters, give filters, or say --all; `spine dlq list` with the same filters shows which"))
        }
        1 if choice.letters.is_empty() => {
            let rows = list::listed(desk, &filter).await?;
            Ok(rows.into_iter().filter(|row| row.status == list::OPEN).map(|row| row.letter).collect())
        }
        1 => named(desk, &choice.letters, again).await,
        _ => Err(invalid("name letters, or give filters, or say --all: one of these")),
    }
}

async fn named(desk: &Desk, names: &[String], again: bool) -> anyhow::Result<Vec<Letter>> {
    let mut letters: Vec<Letter> = Vec::new();
    for name in names {
        let letter = one(desk, name).await?;
        if letters.iter().any(|known| known.letter == letter.letter) {
            continue;
        }
        let marks = marks::of(&desk.jetstream, letter.letter).await?;
        if let (Some(last), false) = (marks.last(), again) {
            refuse(&letter, last)?;
        }
        letters.push(letter);
    }
    Ok(letters)
}

fn refuse(letter: &Letter, last: &Mark) -> anyhow::Result<()> {
    bail!(
        "letter {} was {}; nothing was done; `spine dlq redrive {0} --again` publishes its event once more",
        letter.letter,
        people::mark(last)
    )
}
