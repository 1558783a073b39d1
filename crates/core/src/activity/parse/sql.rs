//! What statements of context sources and tasks have in common.

use std::collections::BTreeSet;

use super::decoder::{Cursor, Decoder, Fields};
use super::expressions::template;
use super::scope::Scope;
use crate::expression::Template;

/// A statement with its arguments, for a database that the operator names.
pub(super) struct Statement {
    pub(super) query: String,
    pub(super) args: Vec<Template>,
    pub(super) database: String,
}

pub(super) fn statement(d: &mut Decoder, fields: &Fields<'_>, scope: &Scope<'_>) -> Option<Statement> {
    let query = fields.get("query").and_then(|at| Some((query(d, &at)?, at)));
    let items = d.list(fields, "args");
    let args: Vec<_> = items.iter().filter_map(|at| template(d, at, scope)).collect();
    let database = fields.get("database").and_then(|at| d.constant(&at)).map(str::to_owned);
    let (query, query_at) = query?;
    if let Err(message) = check_placeholders(&query, items.len()) {
        d.problem(&query_at, message);
    }
    Some(Statement { query, args, database: database? })
}

fn query(d: &mut Decoder, at: &Cursor<'_>) -> Option<String> {
    let text = d.text(at)?;
    if text.trim().is_empty() {
        d.problem(at, "must not be empty");
    }
    if text.contains("${") {
        d.problem(at, "`${ … }` can't stand in a query, where it could change what the query does; write $1 and put it into `args`");
        return None;
    }
    Some(text.to_owned())
}

fn check_placeholders(query: &str, args: usize) -> Result<(), String> {
    let used = placeholders(query);
    let count = |n: usize| if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") };
    if let Some(n) = used.iter().find(|n| **n == 0 || **n > args) {
        return Err(format!("the query uses ${n}, but `args` has {}", count(args)));
    }
    match (1..=args).find(|n| !used.contains(n)) {
        Some(n) => Err(format!("`args` has {}, but the query does not use ${n}", count(args))),
        None => Ok(()),
    }
}

/// The numbers of all `$n`, those in literals, quoted names and comments left out.
fn placeholders(query: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut rest = query;
    while let Some(at) = rest.find(['\'', '"', '-', '/', '$']) {
        let here = &rest[at..];
        let end = match here.as_bytes() {
            [b'-', b'-', ..] => here.find('\n'),
            [b'/', b'*', ..] => here.find("*/").map(|end| end + 2),
            [b'\'' | b'"', ..] => here[1..].find(&here[..1]).map(|end| end + 2),
            [b'$', ..] => {
                let digits = here[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(here.len() - 1);
                found.extend(here[1..=digits].parse::<usize>().ok());
                Some(1 + digits)
            }
            _ => Some(1),
        };
        rest = &here[end.unwrap_or(here.len())..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[usize]) {
        assert_eq!(placeholders(query).into_iter().collect::<Vec<_>>(), expected, "{query}");
    }

    #[test]
    fn placeholders_are_found_where_they_count() {
        check("select $1, $2 where a = $1", &[1, 2]);
        check("select '$1 it''s $2', \"$3\" -- $4\n, $5 /* $6 */ / $7", &[5, 7]);
        check("select $, $$ '$1", &[]);
        check("select 1 - $10", &[10]);
    }
}
