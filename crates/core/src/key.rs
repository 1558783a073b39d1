//! The identity of an event, as one short token.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A short, collision-resistant stand-in for (source, id), which identify an event
/// (CloudEvents 1.0.2, section 3.1, "id"). It is `Nats-Msg-Id`, part of workflow ids, and part of the
/// subject that the event's decision stands on: 16 hex digits for the id, then 32 for both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventKey(String);

impl EventKey {
    /// The key of the event with this source and id.
    pub fn new(source: &str, id: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update((source.len() as u64).to_be_bytes());
        hasher.update(source);
        hasher.update(id);
        Self(format!("{}{}", id_token(id), hex(&hasher.finalize()[..16])))
    }

    /// The part that depends on the id alone.
    pub fn id_token(&self) -> &str {
        self.0.get(..16).unwrap_or_default()
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 16 hex digits that stand for an event id, whatever its source.
pub fn id_token(id: &str) -> String {
    hex(&Sha256::digest(id)[..8])
}

/// 32 hex digits that stand for a text of any length.
pub(crate) fn long_token(text: &str) -> String {
    hex(&Sha256::digest(text)[..16])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_id_both_count_and_do_not_run_into_each_other() {
        assert_ne!(EventKey::new("a", "bc"), EventKey::new("ab", "c"));
        assert_ne!(EventKey::new("a", "x"), EventKey::new("b", "x"));
        assert_eq!(EventKey::new("a", "x"), EventKey::new("a", "x"));
    }

    #[test]
    fn the_id_alone_finds_the_key() {
        let key = EventKey::new("https://shop.example", "order 1");
        assert_eq!(key.id_token(), id_token("order 1"));
        assert_eq!(key.as_str().len(), 48);
    }
}
