//! JSON whose strings may hold `${ … }`.

mod subject;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::types::{Type, TypeEnv};
use super::{CompileError, EvalError, Expression, Scope};

/// A JSON value whose strings may hold CEL in `${ … }`. A string that is exactly one `${ … }` keeps the
/// value's type; elsewhere the value is put into the text. `$${` is a literal `${`.
#[derive(Clone, Debug)]
pub struct Template(Part);

#[derive(Clone, Debug)]
enum Part {
    Constant(Value),
    /// An expression, and the number of characters before it.
    Whole(Expression, usize),
    Text(Vec<Piece>),
    List(Vec<Part>),
    Object(BTreeMap<String, Part>),
}

#[derive(Clone, Debug)]
enum Piece {
    Literal(String),
    /// An expression, and the number of characters before it.
    Expression(Expression, usize),
}

impl Template {
    /// Compiles every string of `value`. Fails with the JSON pointer of each string that is wrong.
    pub fn compile(value: &Value) -> Result<Self, Vec<(String, CompileError)>> {
        let mut errors = Vec::new();
        let part = compile(value, "", &mut errors);
        if errors.is_empty() { Ok(Self(part)) } else { Err(errors) }
    }

    /// The variables that its expressions read.
    pub fn variables(&self) -> BTreeSet<String> {
        self.collect(Expression::variables)
    }

    /// The tasks that its expressions read.
    pub fn task_references(&self) -> BTreeSet<String> {
        self.collect(Expression::task_references)
    }

    /// The context sources that its expressions read.
    pub fn context_references(&self) -> BTreeSet<String> {
        self.collect(Expression::context_references)
    }

    /// Those of `tasks` and `context` that its expressions read otherwise than by a name.
    pub fn nameless_references(&self) -> BTreeSet<String> {
        self.collect(Expression::nameless_references)
    }

    /// The secrets that its expressions read.
    pub fn secrets(&self) -> BTreeSet<String> {
        self.collect(Expression::secrets)
    }

    /// What can never be evaluated; see [`Expression::check_types`].
    pub fn check_types(&self, env: &TypeEnv) -> Vec<CompileError> {
        let mut errors = Vec::new();
        self.0.each(&mut |expression, before| {
            for error in expression.check_types(env).err().into_iter().flatten() {
                let column = error.column.map(|column| before + column);
                errors.push(CompileError { column, ..error });
            }
        });
        errors
    }

    /// The type that it gives where it is exactly one expression.
    pub fn type_of(&self, env: &TypeEnv) -> Option<Type> {
        match &self.0 {
            Part::Whole(expression, _) => expression.check_types(env).ok(),
            _ => None,
        }
    }

    /// The functions that its expressions call.
    pub fn functions(&self) -> BTreeSet<String> {
        self.collect(Expression::functions)
    }

    /// Whether there is no expression in it.
    pub fn is_constant(&self) -> bool {
        let mut constant = true;
        self.0.each(&mut |_, _| constant = false);
        constant
    }

    /// Whether, as an address, its scheme, host and port stand in the text or come from `config` alone, so
    /// that no event decides whom a request goes to.
    pub fn has_fixed_host(&self) -> bool {
        let pieces = match &self.0 {
            Part::Text(pieces) => pieces.as_slice(),
            Part::Whole(expression, _) => return is_trusted(expression),
            _ => return true,
        };
        for (at, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Literal(literal) => {
                    let after_scheme =
                        literal.split_once("://").filter(|_| at == 0).map_or(literal.as_str(), |(_, rest)| rest);
                    if after_scheme.contains(['/', '?', '#']) {
                        return true;
                    }
                }
                Piece::Expression(expression, _) if !is_trusted(expression) => return false,
                Piece::Expression(..) => {}
            }
        }
        true
    }

    /// The value with every expression replaced by its value. Fails as [`Expression::evaluate`] does.
    pub fn render(&self, scope: &Scope) -> Result<Value, EvalError> {
        self.0.render(scope)
    }

    /// The rendered text; a value that is not a string is written as JSON.
    pub fn render_text(&self, scope: &Scope) -> Result<String, EvalError> {
        Ok(text(&self.0.render(scope)?))
    }

    /// The rendered text of an address. Values are percent-encoded, so that data from an event can't
    /// reach another path or host; only an expression over `config` alone, which the operator
    /// controls, is put in as it is.
    pub fn render_url(&self, scope: &Scope) -> Result<String, EvalError> {
        let Part::Text(pieces) = &self.0 else { return self.render_text(scope) };
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Expression(expression, _) => {
                    let value = text(&expression.evaluate(scope)?);
                    out.push_str(&if is_trusted(expression) { value } else { expression.encode(&value)? });
                }
            }
        }
        Ok(out)
    }

    fn collect(&self, of: impl Fn(&Expression) -> &BTreeSet<String>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        self.0.each(&mut |expression, _| all.extend(of(expression).iter().cloned()));
        all
    }
}

impl Part {
    fn each(&self, visit: &mut impl FnMut(&Expression, usize)) {
        match self {
            Part::Constant(_) => {}
            Part::Whole(expression, before) => visit(expression, *before),
            Part::Text(pieces) => pieces.iter().for_each(|piece| {
                if let Piece::Expression(expression, before) = piece {
                    visit(expression, *before);
                }
            }),
            Part::List(parts) => parts.iter().for_each(|part| part.each(visit)),
            Part::Object(parts) => parts.values().for_each(|part| part.each(visit)),
        }
    }

    fn render(&self, scope: &Scope) -> Result<Value, EvalError> {
        Ok(match self {
            Part::Constant(value) => value.clone(),
            Part::Whole(expression, _) => expression.evaluate(scope)?,
            Part::Text(pieces) => {
                let pieces: Result<Vec<_>, _> = pieces.iter().map(|piece| piece.render(scope)).collect();
                Value::from(pieces?.concat())
            }
            Part::List(parts) => Value::Array(parts.iter().map(|part| part.render(scope)).collect::<Result<_, _>>()?),
            Part::Object(parts) => {
                let entries = parts.iter().map(|(name, part)| Ok((name.clone(), part.render(scope)?)));
                Value::Object(entries.collect::<Result<Map<_, _>, _>>()?)
            }
        })
    }
}

impl Expression {
    /// A value as part of an address. Dots alone are a way up the path, which clients resolve even when
    /// they are encoded, so they are refused.
    fn encode(&self, value: &str) -> Result<String, EvalError> {
        match value {
            "." | ".." => Err(self.error(format!("gave {value:?}, which may not stand in an address"))),
            value => Ok(percent_encode(value)),
        }
    }
}

impl Piece {
    fn render(&self, scope: &Scope) -> Result<String, EvalError> {
        match self {
            Piece::Literal(literal) => Ok(literal.clone()),
            Piece::Expression(expression, _) => Ok(text(&expression.evaluate(scope)?)),
        }
    }
}

fn compile(value: &Value, pointer: &str, errors: &mut Vec<(String, CompileError)>) -> Part {
    match value {
        Value::String(source) => compile_text(source).unwrap_or_else(|error| {
            errors.push((pointer.to_owned(), error));
            Part::Constant(Value::Null)
        }),
        Value::Array(items) => Part::List(
            items.iter().enumerate().map(|(i, item)| compile(item, &format!("{pointer}/{i}"), errors)).collect(),
        ),
        Value::Object(map) => {
            let mut part = |(name, item): (&String, &Value)| {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                (name.clone(), compile(item, &format!("{pointer}/{escaped}"), errors))
            };
            Part::Object(map.iter().map(&mut part).collect())
        }
        constant => Part::Constant(constant.clone()),
    }
}

fn compile_text(source: &str) -> Result<Part, CompileError> {
    let mut pieces = split(source)?;
    match pieces.as_mut_slice() {
        [] => Ok(Part::Constant(Value::from(""))),
        [Piece::Literal(literal)] => Ok(Part::Constant(Value::from(std::mem::take(literal)))),
        [Piece::Expression(expression, before)] => Ok(Part::Whole(expression.clone(), *before)),
        _ => Ok(Part::Text(pieces)),
    }
}

/// Cuts a text into literals and expressions.
fn split(source: &str) -> Result<Vec<Piece>, CompileError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = source;
    while let Some(at) = rest.find('$') {
        literal.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            literal.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let start = source.len() - after.len();
            let end = end_of_expression(after).ok_or_else(|| CompileError {
                message: "`${` has no `}` that ends it; write `$${` for a literal `${`".into(),
                column: Some(source[..start].chars().count() - 1),
            })?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            let (expression, before) = compile_at(&after[..end], source, start)?;
            pieces.push(Piece::Expression(expression, before));
            rest = &after[end + 1..];
        } else {
            literal.push('$');
            rest = &rest[1..];
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Compiles the expression that starts at byte `start` of `source`, and tells the characters before it;
/// columns count in `source`.
fn compile_at(expression: &str, source: &str, start: usize) -> Result<(Expression, usize), CompileError> {
    let trimmed = expression.trim_start();
    let before = source[..start].chars().count() + expression[..expression.len() - trimmed.len()].chars().count();
    let expression = Expression::compile(trimmed.trim_end())
        .map_err(|error| CompileError { column: Some(before + error.column.unwrap_or(1)), message: error.message })?;
    Ok((expression, before))
}

/// Where the `}` stands that ends an expression: outside of its own braces and text literals.
fn end_of_expression(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0usize, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

/// Whether an expression reads only what the operator controls.
fn is_trusted(expression: &Expression) -> bool {
    expression.variables().iter().all(|name| name == "config")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, section 2.3.
pub(crate) fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        Scope::new()
            .with("event", json!({"subject": "a/b ../c", "data": {"n": 7, "list": [1, 2]}}))
            .with("config", json!({"url": "https://shop.example/api"}))
    }

    fn check(template: Value, expected: Value) {
        assert_eq!(Template::compile(&template).unwrap().render(&scope()).unwrap(), expected, "{template}");
    }

    #[test]
    fn a_lone_expression_keeps_its_type_and_a_mixed_one_gives_text() {
        check(json!("${ event.data.n }"), json!(7));
        check(json!("n is ${event.data.n}, list is ${ event.data.list }"), json!("n is 7, list is [1,2]"));
        check(json!("$${ not } $5 ${ {'a': '}'}.a }"), json!("${ not } $5 }"));
        check(json!({"a": ["${ event.data.list }", 1, null]}), json!({"a": [[1, 2], 1, null]}));
    }

    #[test]
    fn data_in_an_address_is_encoded_and_config_is_not() {
        let template = Template::compile(&json!("${ config.url }/orders/${ event.subject }")).unwrap();
        assert_eq!(template.render_url(&scope()).unwrap(), "https://shop.example/api/orders/a%2Fb%20..%2Fc");
    }

    #[test]
    fn data_never_decides_the_host_of_an_address() {
        for (address, fixed) in [
            ("https://shop.example/${ event.subject }", true),
            ("https://shop.example?q=${ event.subject }", true),
            ("${ config.url }/orders/${ event.subject }", true),
            ("https://${ config.host }:80/x", true),
            ("${ config.url }", true),
            ("${ event.data.url }", false),
            ("https://${ event.data.host }/x", false),
            ("https://shop.example${ event.data.host }/x", false),
            ("${ config.url }${ event.subject }", false),
            ("${ config.url + event.subject }", false),
        ] {
            assert_eq!(Template::compile(&json!(address)).unwrap().has_fixed_host(), fixed, "{address}");
        }
    }

    #[test]
    fn errors_say_which_string_and_where() {
        let errors = Template::compile(&json!({"a": ["ok", "x ${ 1 + }"], "b": "${ open"})).unwrap_err();
        let places: Vec<_> = errors.iter().map(|(pointer, error)| (pointer.as_str(), error.column.is_some())).collect();
        assert_eq!(places, [("/a/1", true), ("/b", true)]);
    }
}
