//! Static types of expressions: what can be told wrong before any event is there.
//!
//! Invariant: what an event, a context source or a task's output decides is [`Type::Dyn`], and never an error.

mod call;
mod infer;
mod operator;
mod suggest;

pub use call::function_names;

use std::collections::BTreeMap;
use std::fmt;

use cel::common::ast::IdedExpr;

use super::CompileError;
use super::guard::Column;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when there is a value.
    Dyn,
    /// `true` or `false`.
    Bool,
    /// A whole number with a sign.
    Int,
    /// A whole number without one, as `1u`.
    Uint,
    /// A number with a fraction, as `1.0`.
    Double,
    /// A text.
    String,
    /// Bytes, as `b'x'`.
    Bytes,
    /// `null`.
    Null,
    /// A type, as `type(1)` gives.
    Type,
    /// What `.?a` gives: a value, or none.
    Optional(Box<Type>),
    /// A list, and the type of its items.
    List(Box<Type>),
    /// A map, and the type of its values.
    Map(Box<Type>),
    /// A map whose fields are known.
    Object(Object),
}

/// Known fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    fields: BTreeMap<String, Type>,
    /// Whether other fields may be there.
    open: bool,
}

/// The types of the variables that an expression sees. One that is not told is [`Type::Dyn`].
#[derive(Clone, Debug, Default)]
pub struct TypeEnv(BTreeMap<String, Type>);

impl TypeEnv {
    /// An environment without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// This environment with one more variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, r#type: Type) -> Self {
        self.0.insert(name.into(), r#type);
        self
    }

    fn get(&self, name: &str) -> Option<&Type> {
        self.0.get(name)
    }
}

impl Type {
    /// An object with exactly these fields.
    pub fn closed<N: Into<String>>(fields: impl IntoIterator<Item = (N, Type)>) -> Self {
        Type::Object(Object { fields: named(fields), open: false })
    }

    /// An object with these fields and maybe others.
    pub fn open<N: Into<String>>(fields: impl IntoIterator<Item = (N, Type)>) -> Self {
        Type::Object(Object { fields: named(fields), open: true })
    }

    /// A CloudEvent: the attributes of its specification 1.0, `data`, and any extensions.
    pub fn event() -> Self {
        let attributes = ["id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema"];
        Self::open(attributes.map(|name| (name, Type::String)).into_iter().chain([("data", Type::Dyn)]))
    }

    /// `run`.
    pub fn run() -> Self {
        Self::closed([
            ("id", Type::String),
            ("activity", Type::String),
            ("revision", Type::Int),
            // The time, or null if no schedule started the run.
            ("scheduledFor", Type::Dyn),
        ])
    }

    /// `tasks.X`.
    pub fn task() -> Self {
        Self::closed([("status", Type::String), ("output", Type::Dyn), ("error", Type::Dyn)])
    }

    /// `tasks`, of any ids: they are known by [`super::Expression::task_references`].
    pub fn tasks() -> Self {
        Type::Map(Box::new(Self::task()))
    }

    /// Fails with a sentence if a value of this type can't be a condition.
    pub fn check_condition(&self) -> Result<(), String> {
        match self {
            Type::Dyn | Type::Bool => Ok(()),
            other => Err(format!("gives {other}, and a condition must give true or false")),
        }
    }

    /// Fails with a sentence if a value of this type can't be a text.
    pub fn check_text(&self) -> Result<(), String> {
        match self {
            Type::Dyn | Type::String => Ok(()),
            other => Err(format!("gives {other}, and a text is needed")),
        }
    }

    /// Fails with a sentence if a value of this type can't be a whole number.
    pub fn check_whole(&self) -> Result<(), String> {
        match self {
            Type::Dyn | Type::Int | Type::Uint => Ok(()),
            other => Err(format!("gives {other}, and a whole number is needed")),
        }
    }

    /// Fails with a sentence if a value of this type can't be gone through item by item.
    pub fn check_list(&self) -> Result<(), String> {
        match self {
            Type::Dyn | Type::List(_) => Ok(()),
            other => Err(format!("gives {other}, and a list is needed")),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::Uint | Type::Double)
    }

    fn is_map(&self) -> bool {
        matches!(self, Type::Map(_) | Type::Object(_))
    }

    /// The type of a value that is of one of two types.
    fn join(self, other: Type) -> Type {
        match (self, other) {
            (a, b) if a == b => a,
            (Type::List(a), Type::List(b)) => Type::List(Box::new(a.join(*b))),
            (Type::Optional(a), Type::Optional(b)) => Type::Optional(Box::new(a.join(*b))),
            (a, b) if a.is_map() && b.is_map() => Type::Map(Box::new(Type::Dyn)),
            _ => Type::Dyn,
        }
    }

    /// Whether a value of this type can equal one of another.
    fn can_equal(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => a.can_equal(b),
            (a, b) => (a.is_number() && b.is_number()) || (a.is_map() && b.is_map()) || a == b,
        }
    }
}

/// What people call a value of the type.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Dyn => "any value",
            Type::Bool => "true or false",
            Type::Int => "an int",
            Type::Uint => "a uint",
            Type::Double => "a double",
            Type::String => "a text",
            Type::Bytes => "bytes",
            Type::Null => "null",
            Type::Type => "a type",
            Type::Optional(_) => "a value that may be absent",
            Type::List(_) => "a list",
            Type::Map(_) | Type::Object(_) => "a map",
        })
    }
}

fn named<N: Into<String>>(fields: impl IntoIterator<Item = (N, Type)>) -> BTreeMap<String, Type> {
    fields.into_iter().map(|(name, field)| (name.into(), field)).collect()
}

/// The type that a tree gives. Fails with all that can't be.
pub(super) fn infer(tree: &IdedExpr, env: &TypeEnv, column: Column<'_>) -> Result<Type, Vec<CompileError>> {
    let mut inference = infer::Inference { env, column, bound: Vec::new(), errors: Vec::new() };
    let found = inference.infer(tree);
    if let (Type::Optional(_), []) = (&found, inference.errors.as_slice()) {
        inference.refuse(tree, "gives a value that may be absent; end it with `.orValue(…)`");
    }
    inference.errors.sort_by_key(|error| error.column);
    if inference.errors.is_empty() { Ok(found) } else { Err(inference.errors) }
}
