//! `kind: Source`.

use super::decoder::{Decoder, Fields};
use super::{Document, definition, description, grammar, labels};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::activity::format::{SOURCE_KEY, SOURCE_METADATA, SOURCE_SPEC};
use crate::activity::{Signing, Source, SourceKey};
use crate::event::MAX_ATTRIBUTE_BYTES;
use crate::signature::PublicKey;

/// Each star costs a search in the text, once for each event.
const MAX_STARS: usize = 8;

pub(super) fn decode(d: &mut Decoder, document: &Fields<'_>) -> Option<Document> {
    let metadata = document.get("metadata").and_then(|at| d.map(&at, &SOURCE_METADATA));
    let name =
        metadata.as_ref().and_then(|fields| fields.get("name")).and_then(|at| d.parsed(&at, grammar::activity_name));
    if let Some(fields) = &metadata {
        labels(d, fields);
    }
    let spec = document.get("spec").and_then(|at| d.map(&at, &SOURCE_SPEC))?;
    let description = description(d, &spec);
    let source = spec.get("source").and_then(|at| {
        let text = d.constant(&at)?;
        pattern(text).map_err(|message| d.problem(&at, message)).ok()
    });
    let types = d.list(&spec, "types");
    let types = types.iter().filter_map(|at| d.parsed(at, grammar::type_pattern)).collect();
    let types = spec.has("types").then_some(types);
    let signature = match d.word(&spec, "signature") {
        Some("required") => Signing::Required,
        Some("optional") => Signing::Optional,
        _ => Signing::None,
    };
    let keys = keys(d, &spec);
    if let Some(at) = spec.get("signature") {
        match (signature, spec.has("keys")) {
            (Signing::None, true) => d.problem(&at, "with `keys` it is `required` or `optional`"),
            (Signing::Required | Signing::Optional, false) => d.problem(&at, "`keys` is missing beside it"),
            _ => {}
        }
    }
    let value = Source { description, source: source?, types, signature, keys, name: name? };
    Some(Document::Source(Box::new(definition(d, document, value))))
}

fn keys(d: &mut Decoder, spec: &Fields<'_>) -> Vec<SourceKey> {
    let mut keys: Vec<SourceKey> = Vec::new();
    for at in d.list(spec, "keys") {
        let Some(fields) = d.map(&at, &SOURCE_KEY) else { continue };
        let id = fields.get("id").and_then(|at| d.parsed(&at, key_id));
        let public_key = fields.get("publicKey").and_then(|at| d.parsed(&at, PublicKey::parse));
        let not_after = fields.get("notAfter").and_then(|at| d.parsed(&at, moment));
        if let (Some(id), Some(at)) = (&id, fields.get("id"))
            && keys.iter().any(|key| key.id == *id)
        {
            d.problem(&at, format!("key {id:?} stands here for the second time"));
        }
        if let (Some(id), Some(public_key)) = (id, public_key) {
            keys.push(SourceKey { id, public_key, not_after });
        }
    }
    keys
}

/// The id of a key.
fn key_id(text: &str) -> Result<String, String> {
    let right = (1..=64).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let message = || "a key's id has 1 to 64 letters, digits, `.`, `_` and `-`".to_owned();
    right.then(|| text.to_owned()).ok_or_else(message)
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "not a time; write it as in 2027-01-31T12:00:00Z (RFC 3339)".to_owned())
}

fn pattern(text: &str) -> Result<String, String> {
    if text.len() > MAX_ATTRIBUTE_BYTES {
        return Err(format!("a source has at most {MAX_ATTRIBUTE_BYTES} bytes"));
    }
    match text.matches('*').count() {
        stars if stars > MAX_STARS => Err(format!("at most {MAX_STARS} `*` are allowed, not {stars}")),
        _ => Ok(text.to_owned()),
    }
}
