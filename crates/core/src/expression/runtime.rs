//! The functions that `rewrite` puts into an expression's tree, and the environment that holds them.

use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelString, DYN_TYPE, Kind, Type};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::equality;
use super::meter::Meter;
use super::regex::Pattern;
use super::value::Sheet;

/// `a == b`, also between lists and maps of JSON and of the expression.
pub(super) const EQUAL: &str = "@equal";
/// `a in b`, likewise.
pub(super) const CONTAINED: &str = "@contained";
/// `a + b`, its memory counted.
pub(super) const ADD: &str = "@add";
/// What a macro iterates over, its work counted; of a map the keys, in order.
pub(super) const EACH: &str = "@each";
/// A value that is about to be copied.
pub(super) const COPY: &str = "@copy";
/// A text that is about to be looked through.
pub(super) const TEXT: &str = "@text";
/// `text.matches(pattern)`.
pub(super) const MATCHES: &str = "@matches";
/// The expression's value, written down as JSON.
pub(super) const RESULT: &str = "@json";

type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// The standard functions and ours.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    #[expect(clippy::expect_used, reason = "the names below are ours alone, and a test evaluates them")]
    declare(&mut env).expect("no function of the standard library starts with @");
    Arc::new(env)
});

fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    let any = |count: usize| -> Vec<Type> { (0..count).map(|_| DYN_TYPE).collect() };
    env.add_overload(EQUAL, EQUAL, any(3), equal)?;
    env.add_overload(CONTAINED, CONTAINED, any(3), contained)?;
    env.add_overload(ADD, ADD, any(3), add)?;
    env.add_overload(EACH, EACH, any(3), each)?;
    env.add_overload(COPY, COPY, any(2), copy)?;
    env.add_overload(TEXT, TEXT, any(2), text)?;
    env.add_overload(MATCHES, MATCHES, any(3), matches)?;
    env.add_overload(RESULT, RESULT, any(2), result)
}

fn meter<'m>(arg: &'m CowVal<'_, '_>) -> Result<&'m Meter, ExecutionError> {
    arg.downcast_ref::<Meter>().ok_or_else(|| ExecutionError::undeclared_reference("@meter"))
}

fn equal<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let meter = meter(&args[2])?;
    let equal = equality::equal_within(args[0].as_ref(), args[1].as_ref(), &mut |steps| meter.work(steps))?;
    Ok(CowVal::owned(CelBool::from(equal)))
}

fn contained<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (value, within, meter) = (args[0].as_ref(), args[1].as_ref(), meter(&args[2])?);
    let overload = || {
        ExecutionError::no_such_overload("@in", vec![value.get_type().name().into(), within.get_type().name().into()])
    };
    let Some(items) = within.as_iterable().filter(|_| equality::is_list(within)) else {
        meter.work(1)?;
        let container = within.as_container().ok_or_else(overload)?;
        return container.contains(value).map(|found| CowVal::owned(CelBool::from(found))).map_err(|_| overload());
    };
    meter.work(equality::len(within))?;
    let mut items = items.iter();
    while let Some(item) = items.next() {
        if equality::equal_within(item, value, &mut |steps| meter.work(steps))? {
            return Ok(CowVal::owned(CelBool::from(true)));
        }
    }
    Ok(CowVal::owned(CelBool::from(false)))
}

fn add<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (left, right, meter) = (args[0].as_ref(), args[1].as_ref(), meter(&args[2])?);
    let overload =
        || ExecutionError::no_such_overload("_+_", vec![left.get_type().name().into(), right.get_type().name().into()]);
    for operand in [left, right] {
        meter.copy(operand)?;
        // Of borrowed text and JSON the copy is counted as a reference, and a sum takes all of it.
        let items = if equality::is_list(operand) { equality::len(operand) } else { 0 };
        meter.build(operand.downcast_ref::<CelString<'_>>().map_or(48 * items, |text| text.len()))?;
    }
    if equality::is_list(left) != equality::is_list(right) {
        return Err(overload());
    }
    let sum = left.as_adder().ok_or_else(overload)?.add(right).map_err(|error| match error {
        ExecutionError::Overflow(..) => error,
        _ => overload(),
    })?;
    Ok(CowVal::Owned(sum.into_owned()))
}

fn each<'b, 'v>(mut args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let parts = args[2].downcast_ref::<CelInt>().and_then(|parts| usize::try_from(*parts.inner()).ok()).unwrap_or(1);
    let meter = meter(&args[1])?.clone();
    meter.work(equality::len(args[0].as_ref()).saturating_mul(parts))?;
    let range = args.swap_remove(0);
    // Its items are copied one by one.
    meter.work(super::meter::bytes(range.as_ref(), usize::MAX) / 64)?;
    match range.downcast_ref::<CelMap<'_>>() {
        Some(map) => Ok(CowVal::owned(sorted_keys(map))),
        None => Ok(range),
    }
}

/// The keys of a map of the expression's own, which holds them in random order.
fn sorted_keys<'v>(map: &CelMap<'v>) -> CelList<'v> {
    let mut keys: Vec<_> = map.inner().keys().cloned().collect();
    keys.sort();
    CelList::from(keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect::<Vec<Box<dyn Val + 'v>>>())
}

fn copy<'b, 'v>(mut args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    meter(&args[1])?.copy(args[0].as_ref())?;
    Ok(args.swap_remove(0))
}

fn text<'b, 'v>(mut args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    if args[0].get_type().kind() == Kind::String {
        let len = args[0].downcast_ref::<CelString<'_>>().map_or(0, |text| text.len());
        meter(&args[1])?.work(1 + len / 16)?;
    }
    Ok(args.swap_remove(0))
}

fn matches<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let pattern = args[1].downcast_ref::<Pattern>().ok_or_else(|| ExecutionError::undeclared_reference("@pattern"))?;
    let Some(text) = args[0].downcast_ref::<CelString<'_>>() else {
        let types = vec![args[0].get_type().name().to_owned(), "string".into()];
        return Err(ExecutionError::no_such_member_overload("matches", types));
    };
    meter(&args[2])?.work(pattern.steps(text.inner()))?;
    Ok(CowVal::owned(CelBool::from(pattern.is_match(text.inner()))))
}

fn result<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let sheet = args[1].downcast_ref::<Sheet>().ok_or_else(|| ExecutionError::undeclared_reference("@sheet"))?;
    sheet.write(super::value::to_json(args[0].as_ref()));
    Ok(CowVal::owned(CelBool::from(true)))
}
