//! What evaluating an expression may cost, counted while it is evaluated.
//!
//! `rewrite` puts the calls that count into the tree; work is charged before it is done, and memory
//! before it is taken. An error inside `exists` or beside `||` can be swallowed by the interpreter, so
//! whoever evaluates asks [`Meter::exceeded`] in the end.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::ExecutionError;
use cel::common::types::{CelBytes, CelList, CelMap, CelOptional, CelString, Type};
use cel::common::value::{StaticVal, Val};

/// The most steps: parts of the tree evaluated, items compared, 16 bytes of text looked at.
const MAX_STEPS: usize = 20_000_000;
/// The most bytes that an expression may build, all its intermediate values together.
const MAX_BUILT_BYTES: usize = 32 * 1024 * 1024;

static METER: Type = Type::new_unspecified_type("@meter");

/// Counts what one evaluation costs.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    steps: AtomicUsize,
    bytes: AtomicUsize,
}

impl Meter {
    /// Counts work that is about to be done.
    pub(super) fn work(&self, steps: usize) -> Result<(), ExecutionError> {
        add(&self.0.steps, steps);
        self.check()
    }

    /// Counts the memory that a copy of `val` is about to take.
    pub(super) fn copy(&self, val: &dyn Val) -> Result<(), ExecutionError> {
        let left = MAX_BUILT_BYTES.saturating_sub(self.0.bytes.load(Ordering::Relaxed));
        self.build(bytes(val, left))
    }

    /// Counts memory that is about to be taken, in bytes.
    pub(super) fn build(&self, bytes: usize) -> Result<(), ExecutionError> {
        add(&self.0.bytes, bytes);
        self.check()
    }

    /// Why the evaluation cost too much, if it did.
    pub(super) fn exceeded(&self) -> Option<String> {
        if self.0.steps.load(Ordering::Relaxed) > MAX_STEPS {
            return Some(format!(
                "too much work: over {MAX_STEPS} steps; nest no macros over long lists, or send less in one event"
            ));
        }
        (self.0.bytes.load(Ordering::Relaxed) > MAX_BUILT_BYTES)
            .then(|| format!("too much memory: the lists and texts it builds have over {MAX_BUILT_BYTES} bytes"))
    }

    fn check(&self) -> Result<(), ExecutionError> {
        self.exceeded().map_or(Ok(()), |message| Err(ExecutionError::function_error("@meter", message)))
    }
}

fn add(count: &AtomicUsize, more: usize) {
    count.store(count.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
}

/// About the bytes that a copy of `val` takes; stops counting over `limit`. Borrowed JSON and text are
/// copied as a reference.
pub(super) fn bytes(val: &dyn Val, limit: usize) -> usize {
    const SCALAR: usize = 48;
    if let Some(text) = val.downcast_ref::<CelString<'_>>() {
        return SCALAR + if text.as_borrowed().is_some() { 0 } else { text.len() };
    }
    if let Some(list) = val.downcast_ref::<CelList<'_>>() {
        return sum(list.inner().iter().map(|item| item.as_ref()), SCALAR, limit);
    }
    if let Some(map) = val.downcast_ref::<CelMap<'_>>() {
        return sum(map.inner().values().map(|item| item.as_ref()), 2 * SCALAR, limit);
    }
    if let Some(optional) = val.downcast_ref::<CelOptional<'_>>() {
        return SCALAR + optional.option().map_or(0, |val| bytes(val, limit));
    }
    SCALAR + val.downcast_ref::<CelBytes<'_>>().map_or(0, |bytes| bytes.inner().len())
}

fn sum<'a>(items: impl Iterator<Item = &'a (dyn Val + 'a)>, each: usize, limit: usize) -> usize {
    let mut total = each;
    for item in items {
        if total > limit {
            break;
        }
        total += each + bytes(item, limit - total);
    }
    total
}

impl Val for Meter {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &METER
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Meter {}
