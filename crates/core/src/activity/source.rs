//! `kind: Source`: who may send what.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::TypePattern;
use crate::event::Event;
use crate::names::{KEY_ID_EXTENSION, SIGNATURE_EXTENSION};
use crate::signature::PublicKey;

/// What is known of a source of events, or of several.
#[derive(Clone, Debug)]
pub struct Source {
    /// `metadata.name`.
    pub name: String,
    /// `spec.description`, empty if there is none.
    pub description: String,
    /// `spec.source`: the `source` of its events, with `*` standing for any run of characters.
    pub source: String,
    /// `spec.types`: what it may send; `None` is everything.
    pub types: Option<Vec<TypePattern>>,
    /// `spec.signature`.
    pub signature: Signing,
    /// `spec.keys`; ids are unique.
    pub keys: Vec<SourceKey>,
}

/// Whether events are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// Signatures are not looked at.
    #[default]
    None,
    /// A signature that is there must be right.
    Optional,
    /// There must be one, and it must be right.
    Required,
}

/// A key that events of a source may be signed with.
#[derive(Clone, Debug)]
pub struct SourceKey {
    /// `id`: what `spinekeyid` says.
    pub id: String,
    /// `publicKey`.
    pub public_key: PublicKey,
    /// `notAfter`: the last moment in which the stream may take an event that is signed with it.
    pub not_after: Option<OffsetDateTime>,
}

impl Source {
    /// Whether events of this type may come from it.
    pub fn may_send(&self, event_type: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|one| one.matches(event_type)))
    }

    /// What is wrong with the event's signature. `at` is when the stream took the event.
    pub fn check_signature(&self, event: &Event, at: OffsetDateTime) -> Result<(), String> {
        let is_signed = [SIGNATURE_EXTENSION, KEY_ID_EXTENSION].iter().any(|name| event.extensions.contains_key(*name));
        if self.signature == Signing::None || self.signature == Signing::Optional && !is_signed {
            return Ok(());
        }
        if !event.extensions.contains_key(SIGNATURE_EXTENSION) {
            return Err(format!("there is no `{SIGNATURE_EXTENSION}`"));
        }
        let id = event.extensions.get(KEY_ID_EXTENSION).and_then(serde_json::Value::as_str);
        let id = id.ok_or_else(|| format!("there is no `{KEY_ID_EXTENSION}`, which says by which key it is signed"))?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or_else(|| format!("key {id:?} is not known"))?;
        if let Some(end) = key.not_after.filter(|end| at > *end) {
            let end = end.format(&Rfc3339).unwrap_or_default();
            return Err(format!("key {id:?} was good until {end}, and the event came later"));
        }
        match key.public_key.verifies(event) {
            true => Ok(()),
            false => {
                Err(format!("it is not what key {id:?} signed: the event was changed, or signed with another key"))
            }
        }
    }
}
