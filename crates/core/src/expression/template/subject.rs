//! Templates as NATS subjects: data fills parts of a subject, and never chooses which subject it is.

use super::{Part, Piece, Template, is_trusted, text};
use crate::expression::{EvalError, Scope};
use crate::subject;

impl Template {
    /// The subject with `x` in place of every expression, to check what is written.
    pub fn subject_outline(&self) -> String {
        match &self.0 {
            Part::Constant(value) => text(value),
            Part::Text(pieces) => pieces.iter().map(Piece::outline).collect(),
            _ => "x".to_owned(),
        }
    }

    /// Whether, as a subject, its first part stands in the text or comes from `config` alone, so that no event
    /// decides whom a message goes to.
    pub fn has_fixed_first_part(&self) -> bool {
        let pieces = match &self.0 {
            Part::Text(pieces) => pieces.as_slice(),
            Part::Whole(expression, _) => return is_trusted(expression),
            _ => return true,
        };
        for piece in pieces {
            match piece {
                Piece::Literal(literal) if literal.contains('.') => return true,
                Piece::Expression(expression, _) if !is_trusted(expression) => return false,
                _ => {}
            }
        }
        true
    }

    /// The rendered subject. A value that is not the operator's can't be more than one part of it.
    pub fn render_subject(&self, scope: &Scope) -> Result<String, EvalError> {
        let rendered = match &self.0 {
            Part::Text(pieces) => {
                pieces.iter().map(|piece| piece.render_part(scope)).collect::<Result<String, EvalError>>()?
            }
            _ => self.render_text(scope)?,
        };
        subject::check(&rendered).map_err(|message| EvalError { expression: self.subject_source(), message })?;
        Ok(rendered)
    }

    fn subject_source(&self) -> String {
        match &self.0 {
            Part::Text(pieces) => pieces.iter().map(Piece::source).collect(),
            Part::Whole(expression, _) => expression.source().to_owned(),
            _ => self.subject_outline(),
        }
    }
}

impl Piece {
    fn outline(&self) -> &str {
        match self {
            Piece::Literal(literal) => literal,
            Piece::Expression(..) => "x",
        }
    }

    fn source(&self) -> String {
        match self {
            Piece::Literal(literal) => literal.clone(),
            Piece::Expression(expression, _) => format!("${{ {} }}", expression.source()),
        }
    }

    fn render_part(&self, scope: &Scope) -> Result<String, EvalError> {
        match self {
            Piece::Expression(expression, _) if !is_trusted(expression) => {
                let value = text(&expression.evaluate(scope)?);
                match value.contains('.') {
                    true => {
                        Err(expression.error("gave a text with a dot in it, which is more than one part of a subject"))
                    }
                    false => Ok(value),
                }
            }
            piece => piece.render(scope),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(source: &str) -> Template {
        Template::compile(&json!(source)).unwrap()
    }

    #[test]
    fn data_never_decides_the_first_part_of_a_subject() {
        for (subject, fixed) in [
            ("orders.${ event.id }", true),
            ("${ config.prefix }.${ event.id }", true),
            ("${ config.subject }", true),
            ("a-${ config.zone }.x", true),
            ("${ event.type }", false),
            ("orders${ event.id }.x", false),
            ("${ config.prefix }${ event.id }", false),
        ] {
            assert_eq!(template(subject).has_fixed_first_part(), fixed, "{subject}");
        }
    }

    #[test]
    fn data_fills_one_part_and_config_may_fill_several() {
        let scope = Scope::new()
            .with("event", json!({"id": "7", "type": "a.b", "star": "*", "none": ""}))
            .with("config", json!({"prefix": "eu.shop", "own": "events"}));
        let check = |subject: &str, expected: Result<&str, &str>| {
            let rendered = template(subject).render_subject(&scope).map_err(|error| error.to_string());
            match (rendered, expected) {
                (Ok(rendered), expected) => assert_eq!(Ok(rendered.as_str()), expected),
                (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
                (Err(message), Ok(_)) => panic!("{message}"),
            }
        };
        check("${ config.prefix }.orders.${ event.id }", Ok("eu.shop.orders.7"));
        check("orders.${ event.type }", Err("expression `event.type`: gave a text with a dot"));
        check("orders.${ event.star }", Err("expression `orders.${ event.star }`: a subject that is sent to has no"));
        check("orders.${ event.none }", Err("none of them empty"));
        check("${ config.own }.x", Err("belong to NATS and to Spine"));
    }
}
