//! When two values are equal: lists item by item, maps key by key, whichever of them is borrowed JSON.

use cel::common::types::{CelOptional, CelString, Kind};
use cel::common::value::Val;

/// Whether two values are equal.
pub(super) fn equal(a: &dyn Val, b: &dyn Val) -> bool {
    equal_within(a, b, &mut |_| Ok::<(), std::convert::Infallible>(())).unwrap_or(false)
}

/// Whether two values are equal. `charge` is told the work before it is done, and may end it.
pub(super) fn equal_within<E>(
    a: &dyn Val,
    b: &dyn Val,
    charge: &mut impl FnMut(usize) -> Result<(), E>,
) -> Result<bool, E> {
    match (a.get_type().kind(), b.get_type().kind()) {
        (Kind::List, Kind::List) => equal_lists(a, b, charge),
        (Kind::Map, Kind::Map) => equal_maps(a, b, charge),
        (Kind::String, Kind::String) => {
            charge(a.downcast_ref::<CelString<'_>>().map_or(1, |text| 1 + text.len() / 16))?;
            Ok(a.equals(b))
        }
        (Kind::List | Kind::Map, _) | (_, Kind::List | Kind::Map) => Ok(false),
        (Kind::Opaque, Kind::Opaque) => equal_optionals(a, b, charge),
        _ => {
            charge(1)?;
            Ok(a.equals(b))
        }
    }
}

fn equal_optionals<E>(a: &dyn Val, b: &dyn Val, charge: &mut impl FnMut(usize) -> Result<(), E>) -> Result<bool, E> {
    let (Some(left), Some(right)) = (a.downcast_ref::<CelOptional<'_>>(), b.downcast_ref::<CelOptional<'_>>()) else {
        return Ok(a.equals(b));
    };
    match (left.option(), right.option()) {
        (Some(a), Some(b)) => equal_within(a, b, charge),
        (a, b) => Ok(a.is_none() && b.is_none()),
    }
}

/// Whether a value is a list.
pub(super) fn is_list(val: &dyn Val) -> bool {
    val.get_type().kind() == Kind::List
}

/// The number of items of a list or a map.
pub(super) fn len(val: &dyn Val) -> usize {
    val.as_sizer().and_then(|sizer| usize::try_from(*sizer.size().inner()).ok()).unwrap_or(0)
}

fn equal_lists<E>(a: &dyn Val, b: &dyn Val, charge: &mut impl FnMut(usize) -> Result<(), E>) -> Result<bool, E> {
    let (Some(left), Some(right)) = (a.as_iterable(), b.as_iterable()) else { return Ok(false) };
    if len(a) != len(b) {
        return Ok(false);
    }
    // Iterating borrowed JSON makes its items.
    charge(len(a) + 1)?;
    let (mut left, mut right) = (left.iter(), right.iter());
    while let (Some(a), Some(b)) = (left.next(), right.next()) {
        if !equal_within(a, b, charge)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps<E>(a: &dyn Val, b: &dyn Val, charge: &mut impl FnMut(usize) -> Result<(), E>) -> Result<bool, E> {
    let (Some(left), Some(right)) = (a.as_indexer(), b.as_indexer()) else { return Ok(false) };
    let Some(keys) = a.as_iterable().filter(|_| len(a) == len(b)) else { return Ok(false) };
    charge(len(a) + 1)?;
    let mut keys = keys.iter();
    while let Some(key) = keys.next() {
        let (Ok(a), Ok(b)) = (left.get(key), right.get(key)) else { return Ok(false) };
        if !equal_within(a.as_ref(), b.as_ref(), charge)? {
            return Ok(false);
        }
    }
    Ok(true)
}
