//! CEL values to JSON, within a bound.

use std::any::Any;
use std::io;
use std::sync::{Arc, OnceLock};

use cel::common::types::{CelBool, CelDouble, CelInt, CelString, CelType, CelUInt, Kind, Type};
use cel::common::value::{StaticVal, Val};
use serde_json::{Map, Number, Value};

use super::{MAX_RESULT_BYTES, equality};

/// The JSON value of a CEL value. Fails for what JSON can't hold (a type, a non-finite number), and as
/// soon as its text is over the bound.
pub(super) fn to_json(val: &dyn Val) -> Result<Value, String> {
    Writer { left: MAX_RESULT_BYTES }.write(val)
}

/// Where the result of an evaluation is written. The interpreter could return it only in a form of its own,
/// with all that it borrows copied.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet(Arc<OnceLock<Result<Value, String>>>);

static SHEET: Type = Type::new_unspecified_type("@sheet");

impl Sheet {
    pub(super) fn write(&self, result: Result<Value, String>) {
        let _written_once = self.0.set(result);
    }

    /// What was written; an error if nothing was.
    pub(super) fn read(self) -> Result<Value, String> {
        let written = Arc::try_unwrap(self.0).map_or_else(|shared| shared.get().cloned(), OnceLock::into_inner);
        written.unwrap_or_else(|| Err("gave no value".into()))
    }
}

impl Val for Sheet {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &SHEET
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Sheet {}

/// A JSON value that is small enough to be a result.
pub(super) fn bounded(value: &Value) -> Result<Value, String> {
    let mut count = Count { left: MAX_RESULT_BYTES };
    serde_json::to_writer(&mut count, value).map_err(|_| too_large())?;
    Ok(value.clone())
}

fn too_large() -> String {
    format!("the result has more than the {MAX_RESULT_BYTES} bytes that are allowed")
}

struct Writer {
    left: usize,
}

impl Writer {
    fn write(&mut self, val: &dyn Val) -> Result<Value, String> {
        match val.get_type().kind() {
            Kind::List => self.write_list(val),
            Kind::Map => self.write_map(val),
            _ => {
                let value = scalar(val)?;
                self.take(&value)?;
                Ok(value)
            }
        }
    }

    fn write_list(&mut self, list: &dyn Val) -> Result<Value, String> {
        self.spend(2 + equality::len(list).saturating_sub(1))?;
        let mut items = list.as_iterable().ok_or("gave a list without items")?.iter();
        let mut out = Vec::new();
        while let Some(item) = items.next() {
            out.push(self.write(item)?);
        }
        Ok(Value::Array(out))
    }

    fn write_map(&mut self, map: &dyn Val) -> Result<Value, String> {
        self.spend(2 + (2 * equality::len(map)).saturating_sub(1))?;
        let fields = map.as_indexer().ok_or("gave a map without fields")?;
        let mut keys = map.as_iterable().ok_or("gave a map without keys")?.iter();
        let mut out = Map::new();
        while let Some(key) = keys.next() {
            let name = key_text(key)?;
            self.take(&Value::from(name.as_str()))?;
            let item = fields.get(key).map_err(|error| error.to_string())?;
            out.insert(name, self.write(item.as_ref())?);
        }
        Ok(Value::Object(out))
    }

    fn take(&mut self, value: &Value) -> Result<(), String> {
        let mut count = Count { left: self.left };
        serde_json::to_writer(&mut count, value).map_err(|_| too_large())?;
        self.left = count.left;
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }
}

fn scalar(val: &dyn Val) -> Result<Value, String> {
    if let Some(text) = val.downcast_ref::<CelString<'_>>() {
        return Ok(Value::from(text.inner()));
    }
    if let Some(int) = val.downcast_ref::<CelInt>() {
        return Ok(Value::from(*int.inner()));
    }
    if let Some(truth) = val.downcast_ref::<CelBool>() {
        return Ok(Value::from(*truth.inner()));
    }
    if let Some(uint) = val.downcast_ref::<CelUInt>() {
        return Ok(Value::from(*uint.inner()));
    }
    if let Some(double) = val.downcast_ref::<CelDouble>() {
        let number = Number::from_f64(*double.inner()).map(Value::Number);
        return number.ok_or_else(|| format!("gave {}, which JSON can't hold", double.inner()));
    }
    match val.get_type().kind() {
        Kind::NullType => Ok(Value::Null),
        Kind::Type => Ok(Value::from(val.downcast_ref::<CelType>().map_or("type", CelType::name))),
        Kind::Opaque => Err("gave a value that may be absent; end it with `.orValue(…)`".into()),
        _ => Err(format!("gave a {}, which JSON can't hold", val.get_type().name())),
    }
}

fn key_text(key: &dyn Val) -> Result<String, String> {
    match scalar(key)? {
        Value::String(text) => Ok(text),
        other => Ok(other.to_string()),
    }
}

/// Counts the bytes of a JSON text, and fails when there are too many.
struct Count {
    left: usize,
}

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("too large"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
