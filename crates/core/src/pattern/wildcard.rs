//! Texts in which `*` stands for any run of characters.

use std::fmt;

use super::MAX_STARS;

/// What stands between the stars; one part if there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wildcard {
    written: String,
    parts: Vec<String>,
}

impl Wildcard {
    /// A pattern's wildcard: at most [`MAX_STARS`] stars, `\*` and `\\` for the characters themselves.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        let mut parts = vec![String::new()];
        let mut after_star = false;
        let mut chars = written.chars();
        while let Some(c) = chars.next() {
            if c == '*' && after_star {
                return Err("`wildcard` takes no two `*` in a row; one says the same".into());
            }
            after_star = c == '*';
            match (c, parts.last_mut()) {
                ('*', _) => parts.push(String::new()),
                ('\\', Some(part)) => part.push(escaped(chars.next())?),
                (_, Some(part)) => part.push(c),
                (_, None) => {}
            }
        }
        match parts.len() - 1 {
            stars if stars > MAX_STARS => Err(format!("`wildcard` takes at most {MAX_STARS} `*`, not {stars}")),
            _ => Ok(Self { written: written.to_owned(), parts }),
        }
    }

    /// The `source` of a trigger: any number of stars, and no escapes.
    pub(crate) fn of_source(written: &str) -> Self {
        Self { written: written.to_owned(), parts: written.split('*').map(str::to_owned).collect() }
    }

    /// What stands between the stars.
    pub(crate) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// What a text must start with.
    pub(crate) fn head(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    /// What a text must end with.
    pub(crate) fn tail(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// Whether `text` is like this. Linear in the length of the text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let [head, middle @ .., tail] = self.parts.as_slice() else { return self.head() == text };
        let Some(rest) = text.strip_prefix(head.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(tail.as_str()) else { return false };
        for part in middle {
            match rest.find(part.as_str()) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

fn escaped(c: Option<char>) -> Result<char, String> {
    match c {
        Some(c @ ('*' | '\\')) => Ok(c),
        Some(c) => {
            Err(format!("`wildcard` knows the escapes `\\*` and `\\\\`, not `\\{c}`; write `\\\\` for a backslash"))
        }
        None => Err("`wildcard` ends in a lone backslash; write `\\\\` for a backslash".into()),
    }
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(Wildcard::parse(pattern).unwrap().matches(text), expected, "{pattern} {text}");
    }

    #[test]
    fn stars_stand_for_any_run_of_characters() {
        check("a*c", "abc", true);
        check("a*c", "ac", true);
        check("a*c", "ab", false);
        check("*", "", true);
        check("a*b*c", "a-b-b-c", true);
        check("ab*ba", "aba", false);
        check("abc", "abc", true);
        check("abc", "abcd", false);
        check("*a*a*", "a", false);
        check("*a*a*", "aa", true);
        check("*ab*ab", "ab-ab-ab", true);
        check("a*ä*", "xa", false);
        check(r"a\*b\\*", r"a*b\c", true);
        check(r"a\*b", "axb", false);
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for (pattern, part) in
            [("a**b", "in a row"), ("*a*b*c*d*", "at most 4"), (r"a\b", "escapes"), (r"a\", "lone backslash")]
        {
            let message = Wildcard::parse(pattern).unwrap_err();
            assert!(message.contains(part), "{pattern}: {message}");
        }
    }

    #[test]
    fn a_source_has_no_escapes() {
        assert!(Wildcard::of_source(r"a\*").matches(r"a\b"));
        assert!(Wildcard::of_source("a**b").matches("ab"));
    }
}
