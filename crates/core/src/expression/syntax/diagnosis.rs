//! What is wrong with a text that the parser refused: the first mistake, and what would be right.

use super::super::CompileError;
use super::token::{Kind, Token, tokens};

/// Words that CEL keeps for itself.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// Operators that stand between two values.
const BINARY: &[&str] = &["==", "!=", "<=", ">=", "<", ">", "&&", "||", "+", "-", "*", "/", "%", "in"];

/// The first mistake in a text, if it is one of those that people make.
pub(super) fn diagnose(source: &str) -> Option<CompileError> {
    let tokens = tokens(source);
    let mut reader = Reader { open: Vec::new(), last: None, end: source.trim_end().chars().count() + 1 };
    for (at, token) in tokens.iter().enumerate() {
        if let Err(message) = reader.read(token, tokens.get(at + 1)) {
            return Some(CompileError::at(Some(token.column), message));
        }
        reader.last = Some(token.clone());
    }
    reader.finish().err()
}

/// Reads tokens and knows whether a value or an operator may come next.
struct Reader {
    open: Vec<Open>,
    last: Option<Token>,
    end: usize,
}

/// A bracket, or the `?` of a condition, that is not closed yet.
struct Open {
    symbol: String,
    column: usize,
}

impl Reader {
    fn read(&mut self, token: &Token, next: Option<&Token>) -> Result<(), String> {
        check_alone(token)?;
        let field = self.last.as_ref().is_some_and(|last| last.is("."));
        match token.kind {
            Kind::Symbol if field && !token.is("?") => {
                Err(format!("the name of a field is missing between `.` and `{}`", token.text))
            }
            Kind::Symbol => self.read_symbol(token),
            Kind::Name if field => Ok(()),
            Kind::Name if token.text == "in" => self.need_value_before(token),
            Kind::Name => {
                check_word(token, next, self.after_value())?;
                self.read_value(token)
            }
            _ => self.read_value(token),
        }
    }

    fn read_value(&self, token: &Token) -> Result<(), String> {
        if self.after_value() {
            return Err(format!("an operator is missing before `{}`, e.g. `==`, `&&` or `+`", shown(token)));
        }
        Ok(())
    }

    fn read_symbol(&mut self, token: &Token) -> Result<(), String> {
        match token.text.as_str() {
            "(" | "[" | "{" => {
                self.open.push(Open { symbol: token.text.clone(), column: token.column });
                Ok(())
            }
            ")" | "]" | "}" => self.close(token),
            "?" if self
                .last
                .as_ref()
                .is_some_and(|last| last.is(".") || last.is("[") || last.is("{") || last.is(",")) =>
            {
                Ok(())
            }
            "?" => {
                self.need_value_before(token)?;
                self.open.push(Open { symbol: "?".into(), column: token.column });
                Ok(())
            }
            ":" => self.read_colon(token),
            "!" | "-" if !self.after_value() => Ok(()),
            "!" => {
                Err("`!` stands before a condition; write `!=` for \"is not\", or `&& !` to join two conditions".into())
            }
            "." => Ok(()),
            _ => self.need_value_before(token),
        }
    }

    fn read_colon(&mut self, token: &Token) -> Result<(), String> {
        self.need_value_before(token)?;
        match self.open.last().map(|open| open.symbol.as_str()) {
            Some("?") => {
                self.open.pop();
                Ok(())
            }
            Some("{") => Ok(()),
            _ => Err("`:` needs a `?` before it, as in `condition ? a : b`".into()),
        }
    }

    fn close(&mut self, token: &Token) -> Result<(), String> {
        if let Some(last) = self.last.as_ref().filter(|last| is_binary(last)) {
            return Err(format!("a value is missing between `{}` and `{}`", last.text, token.text));
        }
        let wanted = match token.text.as_str() {
            ")" => "(",
            "]" => "[",
            _ => "{",
        };
        match self.open.pop() {
            None => Err(format!("`{}` closes nothing; a `{wanted}` is missing before it", token.text)),
            Some(open) if open.symbol == "?" => {
                Err(format!("the `?` at column {} has no `:`; write `condition ? a : b`", open.column))
            }
            Some(open) if open.symbol != wanted => {
                Err(format!("`{}` can't close the `{}` at column {}", token.text, open.symbol, open.column))
            }
            Some(_) => Ok(()),
        }
    }

    fn need_value_before(&self, token: &Token) -> Result<(), String> {
        match &self.last {
            _ if self.after_value() => Ok(()),
            None => Err(format!("a value is missing before `{}`", token.text)),
            Some(last) => Err(format!("a value is missing between `{}` and `{}`", last.text, token.text)),
        }
    }

    /// Whether what was read last ends a value, so that an operator may follow.
    fn after_value(&self) -> bool {
        self.last.as_ref().is_some_and(|last| match last.kind {
            Kind::Name => last.text != "in",
            Kind::Number | Kind::Text => true,
            _ => last.is(")") || last.is("]") || last.is("}"),
        })
    }

    fn finish(&self) -> Result<(), CompileError> {
        if let Some(last) = self.last.as_ref().filter(|last| is_binary(last) || last.is("!")) {
            let message = format!("the expression ends after `{}`; a value is missing", last.text);
            return Err(CompileError::at(Some(last.column), message));
        }
        if let Some(open) = self.open.last() {
            let message = match open.symbol.as_str() {
                "?" => "this `?` has no `:`; write `condition ? a : b`".to_owned(),
                symbol => format!("this `{symbol}` is never closed"),
            };
            return Err(CompileError::at(Some(open.column), message));
        }
        match &self.last {
            Some(last) if last.is(".") => Err(CompileError::at(
                Some(last.column),
                "the expression ends after `.`; the name of a field is missing",
            )),
            Some(last) if last.is(":") || last.is(",") => Err(CompileError::at(
                Some(self.end),
                format!("the expression ends after `{}`; a value is missing", last.text),
            )),
            _ => Ok(()),
        }
    }
}

/// What is wrong with a token wherever it stands.
fn check_alone(token: &Token) -> Result<(), String> {
    match token.kind {
        Kind::OpenText => {
            let quote = token.text.trim_start_matches(['r', 'R', 'b', 'B']).chars().next().unwrap_or('"');
            Err(format!("the text that starts here has no closing {quote}"))
        }
        Kind::Unknown => Err(match token.text.as_str() {
            "“" | "”" | "„" | "‘" | "’" | "`" | "´" => {
                format!("`{}` is no quote of an expression; write \" or '", token.text)
            }
            ";" => "an expression has no `;`; it is one value".into(),
            "$" => "`$` has no meaning here; write a variable by its name alone, e.g. event.data.total".into(),
            "^" | "~" | "@" | "#" | "\\" => format!("`{}` has no meaning in an expression", token.text),
            other if other.chars().all(char::is_alphabetic) => {
                format!("`{other}` can't stand in a name, which has letters a to z, digits and `_`; write x['name']")
            }
            other => format!("{other:?} has no meaning in an expression"),
        }),
        Kind::Symbol => match token.text.as_str() {
            "=" | "===" => Err(format!("`{}` compares nothing; write `==`", token.text)),
            "!==" | "<>" => Err(format!("`{}` is no operator; write `!=`", token.text)),
            "=>" => Err("`=>` is no operator; write `>=`".into()),
            "=<" => Err("`=<` is no operator; write `<=`".into()),
            "&" => Err("`&` is no operator; write `&&` for \"and\"".into()),
            "|" => Err("`|` is no operator; write `||` for \"or\"".into()),
            "**" => Err("`**` is no operator; multiply with `*`".into()),
            "++" => Err("`++` is no operator; add with `+`".into()),
            "${" => Err("`${ }` stands around an expression in a text, and not inside of one; leave it out".into()),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// What is wrong with a word that is no field.
fn check_word(token: &Token, next: Option<&Token>, after_value: bool) -> Result<(), String> {
    let before_value = next.is_some_and(|next| {
        matches!(next.kind, Kind::Name | Kind::Number | Kind::Text) && next.text != "in" || next.is("!")
    });
    let lower = token.text.to_lowercase();
    match lower.as_str() {
        "and" if after_value => Err(format!("`{}` is no operator; write `&&`", token.text)),
        "or" if after_value => Err(format!("`{}` is no operator; write `||`", token.text)),
        "is" | "equals" if after_value => Err(format!("`{}` is no operator; write `==`", token.text)),
        "not" if after_value && next.is_some_and(|next| next.text == "in") => {
            Err("`not in` is no operator; write `!(a in b)`".into())
        }
        "not" if before_value || next.is_some_and(|next| next.is("(")) => {
            Err(format!("`{}` is no operator; write `!`, as in !(a == b)", token.text))
        }
        "if" | "else" => Err(format!("`{}` is a reserved word; write `condition ? a : b`", token.text)),
        "for" | "while" | "loop" => Err(format!(
            "`{}` is a reserved word; go through a list with items.exists(i, …) or items.map(i, …)",
            token.text
        )),
        "let" | "var" | "const" => {
            Err(format!("`{}` is a reserved word; an expression has no variables of its own", token.text))
        }
        _ if RESERVED.contains(&token.text.as_str()) => {
            Err(format!("`{}` is a reserved word; it can't be a name here", token.text))
        }
        _ => Ok(()),
    }
}

fn is_binary(token: &Token) -> bool {
    matches!(token.kind, Kind::Symbol | Kind::Name) && BINARY.contains(&token.text.as_str())
}

fn shown(token: &Token) -> String {
    super::clip(&token.text)
}
