//! JSON as CEL sees it: an object or a list is looked into where an expression does, and never copied.

use std::sync::OnceLock;

use cel::ExecutionError;
use cel::common::traits::{self, Adder, Container, Indexer, Iterable, Sizer};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelNull, CelString, CelUInt, LIST_TYPE, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use serde_json::{Map, Number, Value};

use super::equality;

/// The CEL value of a JSON value, which it borrows. A whole number is an `int`, so that `i.qty * 2` works.
pub(super) fn val(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => val_of_number(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => Box::new(List { items, vals: OnceLock::new() }),
        Value::Object(map) => Box::new(Object { map, keys: OnceLock::new() }),
    }
}

fn val_of_number<'v>(number: &Number) -> Box<dyn Val + 'v> {
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => Box::new(CelInt::from(int)),
        (None, Some(uint)) => Box::new(CelUInt::from(uint)),
        (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
    }
}

/// A JSON array.
#[derive(Debug)]
struct List<'v> {
    items: &'v [Value],
    /// The items, made when something iterates.
    vals: OnceLock<Vec<Box<dyn Val + 'v>>>,
}

/// A JSON object.
#[derive(Debug)]
struct Object<'v> {
    map: &'v Map<String, Value>,
    /// The keys, made when something iterates.
    keys: OnceLock<Vec<Box<dyn Val + 'v>>>,
}

impl<'v> List<'v> {
    fn vals(&self) -> &[Box<dyn Val + 'v>] {
        self.vals.get_or_init(|| self.items.iter().map(val).collect())
    }
}

impl Val for List<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &LIST_TYPE
    }

    fn as_adder<'b, 'w>(&'b self) -> Option<&'b (dyn Adder + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        equality::equal(self, other)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(List { items: self.items, vals: OnceLock::new() })
    }
}

impl Val for Object<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        equality::equal(self, other)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(Object { map: self.map, keys: OnceLock::new() })
    }
}

impl Adder for List<'_> {
    fn add<'b, 'w>(&'b self, other: &(dyn Val + 'w)) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let Some(rest) = other.as_iterable().filter(|_| equality::is_list(other)) else {
            let types = vec!["list".into(), other.get_type().name().to_owned()];
            return Err(ExecutionError::no_such_overload("_+_", types));
        };
        let mut sum: Vec<Box<dyn Val + 'w>> = self.items.iter().map(|item| val(item) as Box<dyn Val + 'w>).collect();
        let mut rest = rest.iter();
        while let Some(item) = rest.next() {
            sum.push(item.clone_as_boxed());
        }
        Ok(CowVal::owned(CelList::from(sum)))
    }
}

impl Container for List<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.items.iter().any(|item| equality::equal(val(item).as_ref(), value)))
    }
}

impl Container for Object<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        match key_text(key) {
            Some(_) => Ok(self.find(key).is_some()),
            None => Err(wrong_index(key, "a text")),
        }
    }
}

impl Indexer for List<'_> {
    fn get<'b, 'w>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let at = position(index)?;
        let item = at.and_then(|at| self.items.get(at)).map(|item| CowVal::Owned(val(item) as Box<dyn Val + 'w>));
        item.ok_or_else(|| ExecutionError::IndexOutOfBounds(index.try_into().unwrap_or(cel::Value::Null)))
    }

    fn steal<'w>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl<'v> Object<'v> {
    fn find(&self, key: &dyn Val) -> Option<&'v Value> {
        self.map.get(key.downcast_ref::<CelString<'_>>()?.inner())
    }
}

impl Indexer for Object<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        if let Some(item) = self.find(key) {
            return Ok(CowVal::Owned(val(item) as Box<dyn Val + 'w>));
        }
        Err(match key_text(key) {
            Some(text) => ExecutionError::no_such_key(&text),
            None => wrong_index(key, "a text"),
        })
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Iterable for List<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Vals(self.vals().iter()))
    }
}

impl Iterable for Object<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        let key = |key| Box::new(CelString::from(key)) as Box<dyn Val + '_>;
        Box::new(Vals(self.keys.get_or_init(|| self.map.keys().map(String::as_str).map(key).collect()).iter()))
    }
}

impl Sizer for List<'_> {
    fn size(&self) -> CelInt {
        size(self.items.len())
    }
}

impl Sizer for Object<'_> {
    fn size(&self) -> CelInt {
        size(self.map.len())
    }
}

struct Vals<'b, 'v>(std::slice::Iter<'b, Box<dyn Val + 'v>>);

impl<'b, 'v: 'w, 'w> traits::Iterator<'b, 'w> for Vals<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.0.next().map(|val| val.as_ref() as &'b (dyn Val + 'w))
    }
}

fn size(len: usize) -> CelInt {
    CelInt::from(i64::try_from(len).unwrap_or(i64::MAX))
}

/// Where in a list an index points; `None` for one that no list can have.
fn position(index: &dyn Val) -> Result<Option<usize>, ExecutionError> {
    if let Some(int) = index.downcast_ref::<CelInt>() {
        return Ok(usize::try_from(*int.inner()).ok());
    }
    if let Some(uint) = index.downcast_ref::<CelUInt>() {
        return Ok(usize::try_from(*uint.inner()).ok());
    }
    let whole = index.downcast_ref::<CelDouble>().map(|double| *double.inner()).filter(|double| double.fract() == 0.0);
    // The text of a whole double has no fraction, so that it parses as an integer, if there is one.
    whole.map(|double| format!("{double}").parse().ok()).ok_or_else(|| wrong_index(index, "a whole number"))
}

/// The text of a value that a map may have as a key.
fn key_text(key: &dyn Val) -> Option<String> {
    None.or_else(|| key.downcast_ref::<CelString<'_>>().map(|text| text.inner().to_owned()))
        .or_else(|| key.downcast_ref::<CelInt>().map(|int| int.inner().to_string()))
        .or_else(|| key.downcast_ref::<CelUInt>().map(|uint| uint.inner().to_string()))
        .or_else(|| key.downcast_ref::<CelDouble>().map(|double| double.inner().to_string()))
        .or_else(|| key.downcast_ref::<CelBool>().map(|truth| truth.inner().to_string()))
}

fn wrong_index(key: &dyn Val, want: &str) -> ExecutionError {
    ExecutionError::UnexpectedType { got: key.get_type().name().to_owned(), want: want.to_owned() }
}
