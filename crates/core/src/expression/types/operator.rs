//! Which types operators take, and what they give.

use cel::common::ast::{CallExpr, IdedExpr, operators};

use super::super::rewrite::text_of;
use super::Type;
use super::infer::{Inference, present, shown};

impl<'a> Inference<'a> {
    /// The type of a call of an operator or a function.
    pub(super) fn call(&mut self, node: &'a IdedExpr, call: &'a CallExpr) -> Type {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.condition(condition);
                let yes = self.infer(yes);
                yes.join(self.infer(no))
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                self.logical(&call.func_name, left);
                self.logical(&call.func_name, right);
                Type::Bool
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [operand]) => {
                self.logical(&call.func_name, operand);
                Type::Bool
            }
            (operators::NEGATE, [operand]) => match self.infer(operand) {
                number @ (Type::Dyn | Type::Int | Type::Double) => number,
                other => self.refuse(node, format!("`-` needs an int or a double, and this is {other}")),
            },
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => self.equality(node, call, left, right),
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [left, right],
            ) => self.order(node, call, left, right),
            (operators::IN, [value, within]) => self.within(node, value, within),
            (operators::INDEX, [of, index]) => {
                let found = self.infer(of);
                self.index(node, of, found, index)
            }
            (operators::OPT_INDEX, [of, index]) => {
                let found = present(self.infer(of));
                Type::Optional(Box::new(present(self.index(node, of, found, index))))
            }
            (operators::OPT_SELECT, [of, name]) => {
                let found = present(self.infer(of));
                let field = self.field(node, of, found, text_of(&name.expr).unwrap_or_default());
                Type::Optional(Box::new(present(field)))
            }
            (name, [left, right]) if symbol(name) != name => self.arithmetic(node, symbol(name), left, right),
            _ => self.function(node, call),
        }
    }

    fn logical(&mut self, operator: &str, operand: &'a IdedExpr) {
        let found = self.infer(operand);
        if !matches!(found, Type::Bool | Type::Dyn) {
            let symbol = operator.trim_matches('_');
            self.refuse(
                operand,
                format!("`{symbol}` needs conditions, and this is {found}; compare it, e.g. with `==`"),
            );
        }
    }

    fn equality(&mut self, node: &IdedExpr, call: &CallExpr, left: &'a IdedExpr, right: &'a IdedExpr) -> Type {
        let (a, b) = (self.infer(left), self.infer(right));
        if !a.can_equal(&b) {
            let hint = match (&a, &b) {
                (Type::Type, Type::String) | (Type::String, Type::Type) => {
                    "; write the type by its name, as in type(x) == int".into()
                }
                (Type::Null, _) => format!("; where it may be missing, write !has({})", shown(right)),
                (_, Type::Null) => format!("; where it may be missing, write !has({})", shown(left)),
                (Type::String, b) if b.is_number() => {
                    "; write the number in quotes, or convert the text, e.g. int(x)".into()
                }
                (a, Type::String) if a.is_number() => {
                    "; write the number without quotes, or convert the text, e.g. int(x)".into()
                }
                (Type::Optional(_), _) | (_, Type::Optional(_)) => "; end it with `.orValue(…)`".into(),
                _ => String::new(),
            };
            let symbol = call.func_name.trim_matches('_');
            self.refuse(node, format!("`{symbol}` compares {a} with {b}, which are never equal{hint}"));
        }
        Type::Bool
    }

    fn order(&mut self, node: &IdedExpr, call: &CallExpr, left: &'a IdedExpr, right: &'a IdedExpr) -> Type {
        let (a, b) = (self.infer(left), self.infer(right));
        let ordered =
            |found: &Type| matches!(found, Type::Dyn | Type::Bool | Type::String | Type::Bytes) || found.is_number();
        if !ordered(&a) || !ordered(&b) || !a.can_equal(&b) {
            let symbol = call.func_name.trim_matches('_');
            let hint = match (&a, &b) {
                (Type::String, b) if b.is_number() => "; convert the text, e.g. int(x) or double(x)",
                (a, Type::String) if a.is_number() => "; convert the text, e.g. int(x) or double(x)",
                (Type::List(_) | Type::Map(_) | Type::Object(_), b) if b.is_number() => "; take its size(…)",
                _ => "",
            };
            self.refuse(node, format!("`{symbol}` can't order {a} and {b}{hint}"));
        }
        Type::Bool
    }

    fn within(&mut self, node: &IdedExpr, value: &'a IdedExpr, within: &'a IdedExpr) -> Type {
        let (found, container) = (self.infer(value), self.infer(within));
        match container {
            Type::Dyn => {}
            Type::List(item) if found.can_equal(&item) => {}
            Type::List(item) => {
                self.refuse(node, format!("`in` looks for {found} in a list of which each item is {item}"));
            }
            Type::Object(_) if !matches!(found, Type::Dyn | Type::String) => {
                self.refuse(node, format!("`in` looks for {found} among the keys of a map, which are texts"));
            }
            Type::Map(_) | Type::Object(_) => {}
            Type::String => {
                self.refuse(
                    node,
                    "`in` needs a list or a map on its right, and this is a text; write text.contains('x')",
                );
            }
            other => {
                self.refuse(node, format!("`in` needs a list or a map on its right, and this is {other}"));
            }
        }
        Type::Bool
    }

    fn index(&mut self, node: &IdedExpr, of: &'a IdedExpr, found: Type, index: &'a IdedExpr) -> Type {
        let at = self.infer(index);
        match (found, at) {
            (Type::Dyn, _) => Type::Dyn,
            (Type::List(item), at) if at == Type::Dyn || at.is_number() => *item,
            (Type::List(_), at) => self.refuse(node, format!("a list is indexed by a whole number, and this is {at}")),
            (Type::Object(object), Type::String) => match text_of(&index.expr) {
                Some(field) => self.field(node, of, Type::Object(object), field),
                None => Type::Dyn,
            },
            (Type::Object(_), Type::Dyn) => Type::Dyn,
            (Type::Object(_), at) => self.refuse(node, format!("its fields have names, and this is {at}")),
            (Type::Map(value), Type::Dyn | Type::String | Type::Bool | Type::Int | Type::Uint | Type::Double) => *value,
            (Type::Map(_), at) => self.refuse(node, format!("a map is indexed by a text, and this is {at}")),
            (Type::Optional(inner), _) => {
                let item = self.index(node, of, *inner, index);
                Type::Optional(Box::new(present(item)))
            }
            (other, _) => self.refuse(node, format!("{other} can't be indexed; only a list or a map can")),
        }
    }

    fn arithmetic(&mut self, node: &IdedExpr, symbol: &str, left: &'a IdedExpr, right: &'a IdedExpr) -> Type {
        let (a, b) = (self.infer(left), self.infer(right));
        let takes = |found: &Type| match found {
            Type::Dyn | Type::Int | Type::Uint => true,
            Type::Double => symbol != "%",
            Type::String | Type::Bytes | Type::List(_) => symbol == "+",
            _ => false,
        };
        match (a, b) {
            (a, b) if !takes(&a) || !takes(&b) => self.refuse(node, refusal(symbol, &a, &b)),
            (Type::Dyn, known) | (known, Type::Dyn) => match known {
                Type::List(_) => Type::List(Box::new(Type::Dyn)),
                known => known,
            },
            (Type::List(a), Type::List(b)) => Type::List(Box::new(a.join(*b))),
            (a, b) if a == b => a,
            (a, b) => self.refuse(node, refusal(symbol, &a, &b)),
        }
    }
}

/// Why an operator can't take two types, and what would be right.
fn refusal(symbol: &str, a: &Type, b: &Type) -> String {
    let hint = match (a, b) {
        (Type::Double, other) | (other, Type::Double) if other.is_number() && symbol != "%" => {
            format!("; write double(…) around {other}")
        }
        (Type::Double, _) | (_, Type::Double) if symbol == "%" => "; it takes whole numbers, e.g. int(x)".into(),
        (Type::String, other) | (other, Type::String)
            if symbol == "+" && (other.is_number() || *other == Type::Bool) =>
        {
            format!("; write string(…) around {other}")
        }
        (Type::String, _) | (_, Type::String) if symbol != "+" => "; convert the text, e.g. int(x) or double(x)".into(),
        (a, b) if a.is_number() && b.is_number() => "; write int(…) or uint(…) around one of them".into(),
        _ => String::new(),
    };
    format!("`{symbol}` can't take {a} and {b}{hint}")
}

/// The symbol of an arithmetic operator; any other name as it is.
fn symbol(name: &str) -> &str {
    match name {
        operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO => {
            name.trim_matches('_')
        }
        other => other,
    }
}
