//! How deep a text is nested, told from its tokens alone: the parser recurses, so this comes before it.

use super::super::CompileError;
use super::super::guard::MAX_DEPTH;
use super::token::{Kind, Token, tokens};

/// Refuses what is nested deeper than its tree may be.
pub(super) fn check(source: &str) -> Result<(), CompileError> {
    let tokens = tokens(source);
    let before = std::iter::once(None).chain(tokens.iter().map(Some));
    // For each bracket that is open, and outside of all, how many conditions stand in one another there.
    let mut open = vec![0];
    for (token, before) in tokens.iter().zip(before) {
        read(&mut open, token, before);
        if open.len() - 1 + open.iter().sum::<usize>() > MAX_DEPTH {
            let message = format!(
                "the expression is nested too deep: brackets and `? :` may stand {MAX_DEPTH} deep in one another"
            );
            return Err(CompileError::at(Some(token.column), message));
        }
    }
    Ok(())
}

fn read(open: &mut Vec<usize>, token: &Token, before: Option<&Token>) {
    match (token.text.as_str(), open.as_mut_slice()) {
        _ if token.kind != Kind::Symbol => {}
        ("(" | "[" | "{", _) => open.push(0),
        (")" | "]" | "}", [_, _, ..]) => drop(open.pop()),
        (",", [.., conditions]) => *conditions = 0,
        ("?", [.., conditions]) if !is_optional(before) => *conditions += 1,
        _ => {}
    }
}

/// Whether the `?` after this token is the one of `.?a`, `[?a]` or `{?a: b}`.
fn is_optional(before: Option<&Token>) -> bool {
    before.is_some_and(|before| [".", "[", "{", ","].iter().any(|symbol| before.is(symbol)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As deep as may be is taken, one deeper is refused at this column.
    fn bounded(open: &str, inner: &str, close: &str, column: usize) {
        let nested = |depth: usize| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(check(&nested(MAX_DEPTH)), Ok(()), "{open}");
        for depth in [MAX_DEPTH + 1, 500] {
            let error = check(&nested(depth)).unwrap_err();
            assert_eq!(error.column, Some(column), "{open}");
            assert!(error.message.contains("nested too deep") && error.message.contains("64"), "{error}");
        }
    }

    #[test]
    fn whatever_the_parser_recurses_into_is_bounded() {
        bounded("(", "1", ")", 65);
        bounded("[", "1", "]", 65);
        bounded("{1:", "1", "}", 64 * 3 + 1);
        bounded("f(", "1", ")", 65 * 2);
        bounded("a[", "1", "]", 65 * 2);
        bounded("a?b:", "c", "", 64 * 4 + 2);
        let both = |depth: usize| check(&format!("{}1{}", "(a?b:".repeat(depth), ")".repeat(depth)));
        assert!(both(MAX_DEPTH / 2).is_ok() && both(MAX_DEPTH / 2 + 1).is_err());
    }

    #[test]
    fn what_stands_side_by_side_is_not_nested() {
        for flat in ["(1)+", "[1]+", "'((('+", "a.?b+", "-", "!", "f(a ? b : c)+"] {
            assert_eq!(check(&format!("{}1", flat.repeat(70))), Ok(()), "{flat}");
        }
        assert_eq!(check(&format!("[{}1]", "a ? b : c,".repeat(70))), Ok(()));
        assert_eq!(check(&format!("{}1", ")".repeat(70))), Ok(()));
    }
}
