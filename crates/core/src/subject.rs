//! NATS subjects that activities may send to.

/// First parts of the subjects of our own streams, and what no one but clients' libraries uses.
const RESERVED: [&str; 5] = ["events", "dead", "dead_marks", "decisions", "_INBOX"];
/// The most bytes of a subject; servers take more, but no stream or log is read well with such.
pub const MAX_BYTES: usize = 256;

/// Whether an activity may send a message to this subject; says what is wrong with it.
pub fn check(subject: &str) -> Result<(), String> {
    let mut parts = subject.split('.');
    let first = parts.next().unwrap_or_default();
    if subject.len() > MAX_BYTES {
        return Err(format!("a subject has at most {MAX_BYTES} bytes"));
    }
    if subject.chars().any(|c| c.is_whitespace() || c.is_control() || c == '*' || c == '>') {
        return Err("a subject that is sent to has no spaces, `*` or `>`".into());
    }
    if first.is_empty() || parts.any(str::is_empty) {
        return Err("a subject is made of parts joined by dots, none of them empty".into());
    }
    if first.starts_with('$') || RESERVED.contains(&first) {
        return Err(format!(
            "subjects below `{first}` belong to NATS and to Spine itself; `uses: emit` publishes an event"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_taken_or_refused() {
        for right in ["a", "orders.new", "audit.com-shop.7_x", "a.$b", "event.s"] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        let long = "a".repeat(MAX_BYTES + 1);
        for wrong in [
            "",
            ".a",
            "a.",
            "a..b",
            "a b",
            "a.*",
            "a.>",
            "$JS.API.x",
            "events.a",
            "dead",
            "dead_marks.7",
            "decisions.x.y",
            "_INBOX.x",
            "a\n",
            &long,
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
