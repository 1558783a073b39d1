//! Which types functions take, and what they give.

use cel::common::ast::{CallExpr, IdedExpr};

use super::Type;
use super::infer::{Inference, present, shown};

/// How a function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `f(x)`
    Global,
    /// `x.f()`
    Member,
    Both,
}

/// A function: how it is called, with how many arguments (`x` of `x.f()` is one), an example.
struct Function {
    name: &'static str,
    form: Form,
    arguments: usize,
    example: &'static str,
}

const fn function(name: &'static str, form: Form, arguments: usize, example: &'static str) -> Function {
    Function { name, form, arguments, example }
}

const FUNCTIONS: &[Function] = &[
    function("bool", Form::Global, 1, "bool('true')"),
    function("bytes", Form::Global, 1, "bytes('a')"),
    function("contains", Form::Member, 2, "event.subject.contains('vip')"),
    function("double", Form::Global, 1, "double(event.data.total)"),
    function("dyn", Form::Global, 1, "dyn(1)"),
    function("endsWith", Form::Member, 2, "event.subject.endsWith('.pdf')"),
    function("hasValue", Form::Member, 1, "event.data.?coupon.hasValue()"),
    function("int", Form::Global, 1, "int(event.data.total)"),
    function("matches", Form::Both, 2, "event.subject.matches('^[0-9]+$')"),
    function("or", Form::Member, 2, "event.data.?a.or(event.data.?b)"),
    function("orValue", Form::Member, 2, "event.data.?coupon.orValue('none')"),
    function("secret", Form::Global, 1, "secret('crm-token')"),
    function("size", Form::Both, 1, "size(event.data.items)"),
    function("startsWith", Form::Member, 2, "event.subject.startsWith('order-')"),
    function("string", Form::Global, 1, "string(event.data.total)"),
    function("type", Form::Global, 1, "type(event.data.total) == int"),
    function("uint", Form::Global, 1, "uint(1)"),
    function("value", Form::Member, 1, "event.data.?coupon.value()"),
];

/// The names of the functions of the expression language; operators and macros are not among them.
pub fn function_names() -> Vec<&'static str> {
    FUNCTIONS.iter().map(|function| function.name).collect()
}

impl<'a> Inference<'a> {
    /// The type that a function gives. A function that there is not is somebody else's to refuse.
    pub(super) fn function(&mut self, node: &'a IdedExpr, call: &'a CallExpr) -> Type {
        let arguments: Vec<Type> =
            call.target.iter().map(AsRef::as_ref).chain(&call.args).map(|argument| self.infer(argument)).collect();
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == call.func_name) else {
            return Type::Dyn;
        };
        if let Some(message) = wrong_form(function, call) {
            return self.refuse(node, message);
        }
        match result(function.name, &arguments) {
            Ok(found) => found,
            Err(wrong) => self.refuse(
                node,
                format!("{}() can't take {}, as in {}", function.name, wrong, shown_call(call)) + &hint(function),
            ),
        }
    }
}

fn hint(function: &Function) -> String {
    format!("; write e.g. {}", function.example)
}

fn wrong_form(function: &Function, call: &CallExpr) -> Option<String> {
    let name = function.name;
    let given = call.args.len() + usize::from(call.target.is_some());
    let form = if call.target.is_some() { Form::Member } else { Form::Global };
    if function.form != Form::Both && function.form != form && given == function.arguments {
        return Some(format!("{name}() is called otherwise; write e.g. {}", function.example));
    }
    let fits = function.form == Form::Both || function.form == form;
    let count = |all: usize| if form == Form::Member { all.saturating_sub(1) } else { all };
    (!fits || given != function.arguments).then(|| {
        let (wanted, given) = (count(function.arguments), count(given));
        format!(
            "{name}() takes {wanted} argument{} here, and {given} stand there; write e.g. {}",
            if wanted == 1 { "" } else { "s" },
            function.example
        )
    })
}

fn shown_call(call: &CallExpr) -> String {
    let arguments: Vec<_> = call.args.iter().map(shown).collect();
    let target = call.target.as_ref().map(|target| format!("{}.", shown(target))).unwrap_or_default();
    format!("{target}{}({})", call.func_name, arguments.join(", "))
}

/// The type that a function gives for as many arguments as it takes; the type that it can't take.
fn result(name: &str, arguments: &[Type]) -> Result<Type, String> {
    use Type::{Bool, Bytes, Double, Dyn, Int, List, Map, Null, Object, Optional, String, Uint};
    let [first, rest @ ..] = arguments else { return Ok(Dyn) };
    let take = |fits: bool, gives: Type| if fits || *first == Dyn { Ok(gives) } else { Err(first.to_string()) };
    match name {
        "size" => take(matches!(first, String | Bytes | List(_) | Map(_) | Object(_)), Int),
        "contains" | "startsWith" | "endsWith" | "matches" => {
            take(*first == String, Bool)?;
            rest.iter()
                .find(|argument| !matches!(argument, String | Dyn))
                .map_or(Ok(Bool), |wrong| Err(wrong.to_string()))
        }
        "int" | "uint" | "double" => {
            let gives = if name == "int" {
                Int
            } else if name == "uint" {
                Uint
            } else {
                Double
            };
            take(matches!(first, Int | Uint | Double | String), gives)
        }
        "bool" => take(matches!(first, Bool | String), Bool),
        "string" => take(matches!(first, Bool | Int | Uint | Double | String | Bytes), String),
        "bytes" => take(matches!(first, String | Bytes), Bytes),
        "type" => Ok(Type::Type),
        "secret" => Ok(String),
        "hasValue" => take(matches!(first, Optional(_)), Bool),
        "value" => take(matches!(first, Optional(_)), present(first.clone())),
        "orValue" => {
            let other = rest.first().cloned().unwrap_or(Null);
            take(matches!(first, Optional(_)), present(first.clone()).join(other))
        }
        "or" => match rest {
            [second] if !matches!(second, Optional(_) | Dyn) => Err(second.to_string()),
            _ => take(matches!(first, Optional(_)), first.clone()),
        },
        _ => Ok(Dyn),
    }
}
