//! The tokens of an expression's text, as far as telling its mistakes needs them.

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    Text,
    /// A text whose closing quote is missing.
    OpenText,
    /// An operator or a bracket.
    Symbol,
    /// A character that no expression has.
    Unknown,
}

/// A token, and where it starts in characters from 1.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) column: usize,
}

impl Token {
    /// Whether it is this operator or bracket.
    pub(super) fn is(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }
}

/// Symbols, those that start with another one first. Some are no CEL, but what people write for it.
const SYMBOLS: &[&str] = &[
    "===", "!==", "==", "!=", "<=", ">=", "=>", "=<", "<>", "&&", "||", "**", "++", "${", "=", "<", ">", "!", "&", "|",
    "+", "-", "*", "/", "%", "?", ":", ",", ".", "(", ")", "[", "]", "{", "}",
];

/// Cuts a text into tokens.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        if chars[at..].starts_with(&['/', '/']) {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
            continue;
        }
        let (kind, len) = next(&chars[at..]);
        tokens.push(Token { kind, text: chars[at..at + len].iter().collect(), column: at + 1 });
        at += len;
    }
    tokens
}

/// The kind and the length of the token at the start of `rest`.
fn next(rest: &[char]) -> (Kind, usize) {
    let prefix = rest.iter().take(2).take_while(|c| "rRbB".contains(**c)).count();
    if matches!(rest.get(prefix), Some('"' | '\'')) {
        return text(rest, prefix);
    }
    match rest.first() {
        Some(c) if c.is_ascii_digit() => (Kind::Number, number(rest)),
        Some(c) if c.is_ascii_alphabetic() || *c == '_' => {
            (Kind::Name, rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count())
        }
        _ => match SYMBOLS.iter().find(|symbol| rest.iter().take(symbol.len()).copied().eq(symbol.chars())) {
            Some(symbol) => (Kind::Symbol, symbol.len()),
            None => (Kind::Unknown, 1),
        },
    }
}

fn number(rest: &[char]) -> usize {
    let mut len = 0;
    while let Some(c) = rest.get(len) {
        let exponent = matches!(c, '+' | '-') && matches!(rest[len - 1], 'e' | 'E') && rest[1] != 'x';
        let fraction = *c == '.' && rest.get(len + 1).is_some_and(char::is_ascii_digit);
        if !(c.is_ascii_alphanumeric() || exponent || fraction) {
            break;
        }
        len += 1;
    }
    len
}

fn text(rest: &[char], prefix: usize) -> (Kind, usize) {
    let quote = rest[prefix];
    let raw = rest[..prefix].iter().any(|c| matches!(c, 'r' | 'R'));
    let triple = rest[prefix..].starts_with(&[quote; 3]);
    let close = if triple { 3 } else { 1 };
    let mut at = prefix + close;
    while let Some(c) = rest.get(at) {
        if *c == '\\' && !raw {
            at += 2;
        } else if *c == quote && rest[at..].iter().take(close).filter(|c| **c == quote).count() == close {
            return (Kind::Text, at + close);
        } else if *c == '\n' && !triple {
            break;
        } else {
            at += 1;
        }
    }
    (Kind::OpenText, at.min(rest.len()))
}
