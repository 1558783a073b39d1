//! What a misspelt name was meant to be.

use crate::words;

/// `did you mean …?` with the nearest name, or all there are.
pub(super) fn suggest(name: &str, known: &[&str], shown: impl Fn(&str) -> String) -> String {
    match words::nearest(name, known) {
        Some(near) => format!("did you mean `{}`?", shown(near)),
        None => format!("there are {}", words::list(known)),
    }
}
