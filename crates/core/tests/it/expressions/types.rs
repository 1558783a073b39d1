use spine_core::expression::Expression;
use spine_core::expression::types::{Type, TypeEnv};

use super::{env, scope};

/// Expressions that are right, of which each gives a value.
const RIGHT: &[&str] = &[
    // The documentation and the examples.
    "event.data.items.exists(i, i.sku == \"gift-card\")",
    "event.data.items.size() > 0",
    "tasks.score.output.risk > 0.8",
    "tasks.score.output.risk <= 0.8",
    "tasks.reserve.output.map(r, r.id)",
    "context.history[0].orders",
    "context.low",
    "config.crm_url",
    "event.data",
    "event.data.total > 100 ? 1 : 3",
    "tasks.review.output == null",
    "tasks.score.status == \"completed\"",
    "event.type == \"com.shop.order.placed\"",
    "item.sku + '-' + string(index)",
    "event.subject + ' looks risky'",
    // Attributes.
    "event.id != event.subject",
    "event.time < '2027'",
    "event['type'].startsWith('com.shop.')",
    "event.tenant == 'acme'",
    "has(event.subject) && has(event.data.coupon)",
    "has(event.data.nothing)",
    "has(event.nothing) || run.revision > 1",
    "event.?traceparent.orValue('none') == 'none'",
    "event.data.?nothing.orValue(0) > 1",
    "event.data.?address.?city.orValue('') == 'Wien'",
    "event.data[?'nothing'].hasValue()",
    "event.data.?total.or(event.data.?weight).value() > 1",
    "run.scheduledFor.startsWith('2026') && run.activity.size() > 3",
    // Numbers.
    "event.data.total * 2 - 1 >= 3 % 2",
    "double(event.data.total) * 1.2 + 1.0",
    "int(event.data.weight) + 1",
    "1 == 1.0 && 1u == 1 && 1 < 1.5",
    "-event.data.total < 0 && -1.5 < 0.0",
    "event.data.weight * 2.0 == 3.0",
    "event.data.big > 1u",
    "uint(5) / 2u == 2u",
    "event.data.total in [620, 1.5]",
    // Texts.
    "event.subject.matches('^order-[0-9]+$')",
    "matches(event.subject, 'order')",
    "event.subject.endsWith('7') || event.subject.contains('x')",
    "size(event.subject) == 7 && event.data.note.size() == 6",
    "string(event.data.total) + string(1.5) + string(true)",
    "bytes('a') + b'b' == b'ab'",
    "'a' < 'b' && b'a' < b'b' && false < true",
    "bool('true') && int('7') == 7 && double('1.5') == 1.5",
    // Lists and maps.
    "event.data.items[0].sku == event.data.items[event.data.ids[0] - 1].sku",
    "event.data.ids[0.0] == 1",
    "event.data.ids + [4] == [1, 2, 3, 4]",
    "[1, 'a', null][1] == 'a'",
    "{'a': 1, 'b': [2]}.b[0] == 2",
    "{1: 'x', true: 'y'}[1] == 'x'",
    "{'city': 'Wien', 'zip': '1010'} == event.data.address",
    "'city' in event.data.address && 'x' in event.data.items[0].tags",
    "event.data.country in ['AT', 'DE']",
    "'type' in event",
    "[] == [] && {} == {}",
    "[[1], ['a']] == [[1], event.data.ids]",
    "dyn([1]) == 'a'",
    "size({'a': 1}) + size([1, 2])",
    // Macros.
    "event.data.items.all(i, i.qty > 0)",
    "event.data.items.exists_one(i, i.qty == 3)",
    "event.data.items.filter(i, i.qty > 2).map(i, i.sku) == ['b']",
    "event.data.items.map(i, i.qty > 2, i.qty * 2)",
    "event.data.items.map(i, double(i.qty) * i.price)",
    "event.data.items.exists(i, event.data.ids.exists(id, id == i.qty))",
    "event.data.address.map(k, k) == ['city', 'zip']",
    "event.exists(name, name.startsWith('t'))",
    "[[1, 2], [3]].map(l, l.map(x, x * 2))[0][1] == 4",
    "[{'n': 1}].map(o, o.n + 1) == [2]",
    // Types.
    "type(event.data.total) == int && type('a') == string && type(null) == null_type",
    "type(event.data.items) == list && type(event.data) == map",
    "(event.data.vip ? event.data.total : event.type) != null",
    "dyn(1) == 'x' || dyn('x') + 'y' == 'xy'",
    "true ? [1] : ['a']",
];

#[test]
fn what_gives_a_value_is_never_refused() {
    for source in RIGHT {
        let expression = Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        if let Err(errors) = expression.check_types(&env()) {
            panic!("{source}: {errors:?}");
        }
        expression.evaluate(&scope()).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The first error's column and text; where text is `|`, what comes after is in it too.
fn check(source: &str, column: usize, parts: &str) {
    let expression = Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let errors = expression.check_types(&env()).err().unwrap_or_else(|| panic!("{source} should be refused"));
    let shown = format!("{}: {}", errors[0].column.unwrap_or(0), errors[0].message);
    for part in parts.split('|') {
        assert!(shown.contains(part), "{source}: {shown:?} should contain {part:?}");
    }
    assert_eq!(errors[0].column, Some(column), "{source}: {shown}");
}

#[test]
fn what_can_never_be_right_is_refused_with_what_would_be() {
    for (source, column, parts) in [
        ("event.type == 5", 12, "`==` compares a text with an int|never equal|in quotes"),
        ("5 != event.type", 3, "`!=` compares an int with a text"),
        ("event.subject == null", 15, "!has(event.subject)"),
        ("type(event.data) == 'map'", 18, "type(x) == int"),
        ("[1] == {'a': 1}", 5, "a list with a map"),
        ("event.id > 3", 10, "`>` can't order a text and an int|int(x)"),
        ("run > 3", 5, "can't order a map|size"),
        ("event.type - 1", 12, "`-` can't take a text and an int|int(x)"),
        ("1 + \"a\"", 3, "`+` can't take an int and a text|string(…) around an int"),
        ("'größe' == 1", 9, "a text with an int"),
        ("1 + 'größe' + 'a'", 3, "string(…) around an int"),
        ("2 * 1.5", 3, "`*` can't take an int and a double|double(…) around an int"),
        ("1.5 % 2.0", 5, "whole numbers"),
        ("1 + 1u", 3, "int(…) or uint(…)"),
        ("true + 1", 6, "can't take true or false"),
        ("[1] + 1", 5, "a list and an int"),
        ("-event.type", 1, "`-` needs an int or a double"),
        ("event.type && true", 6, "`&&` needs conditions|a text"),
        ("true || run.revision", 12, "`||` needs conditions|an int"),
        ("!event.type", 7, "`!` needs conditions"),
        ("event.type ? 1 : 2", 6, "condition must be true or false"),
        ("run.revison > 1", 4, "there is no `run.revison`; did you mean `run.revision`?"),
        ("tasks.x.outputs", 8, "did you mean `tasks.x.output`?"),
        ("tasks['x'].stat", 11, "there is no `….stat`"),
        ("run['idd']", 4, "did you mean `run.id`?"),
        ("has(run.nothing)", 4, "there are `activity`, `id`, `revision` and `scheduledFor`"),
        ("event.type.length", 11, "a text has no fields"),
        ("[1].first", 4, "take an item first"),
        ("size(5)", 5, "size() can't take an int"),
        ("event.id.size(1)", 14, "takes 0 arguments"),
        ("size(event.id, 1)", 5, "takes 1 argument here"),
        ("run.revision.startsWith('a')", 24, "can't take an int"),
        ("event.type.startsWith(5)", 22, "can't take an int"),
        ("startsWith(event.type, 'a')", 11, "event.subject.startsWith"),
        ("event.type.int()", 15, "is called otherwise|int(event.data.total)"),
        ("event.type.orValue('x')", 19, "orValue() can't take a text"),
        ("event.type.all(c, c == 'a')", 6, "goes through a list or the keys of a map|a text"),
        ("event.type[0]", 11, "a text can't be indexed"),
        ("[1]['a']", 4, "indexed by a whole number"),
        ("'a' in event.type", 5, "text.contains('x')"),
        ("'a' in [1, 2]", 5, "each item is an int"),
        ("5 in run", 3, "which are texts"),
        ("{null: 1}", 2, "key must be"),
        ("[1].exists(i, i)", 15, "needs conditions|an int"),
        ("[1].filter(i, 'x')", 15, "condition must be"),
        ("['a'].map(i, i * 2)", 16, "`*` can't take a text"),
        ("event.?subject == 'x'", 16, "never equal|orValue"),
        ("event.?subject", 6, "end it with `.orValue(…)`"),
    ] {
        check(source, column, parts);
    }
}

#[test]
fn each_mistake_is_told_once_and_all_of_them_are() {
    let expression = Expression::compile("(event.type - 1) * 2 > 3 && run.idd == 'x'").unwrap();
    let errors = expression.check_types(&env()).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.column).collect::<Vec<_>>(), [Some(13), Some(32)]);
}

#[test]
fn the_type_of_the_whole_is_known() {
    let given = |source: &str| Expression::compile(source).unwrap().check_types(&env()).unwrap();
    assert_eq!(
        given("event.type").check_condition().unwrap_err(),
        "gives a text, and a condition must give true or false"
    );
    assert_eq!(given("event.type").check_list().unwrap_err(), "gives a text, and a list is needed");
    for condition in
        ["event.data.vip", "event.type == 'x'", "[1].exists(i, i == 1)", "has(event.data.a)", "tasks.a.output"]
    {
        given(condition).check_condition().unwrap();
    }
    for list in ["event.data.items", "[1].map(i, i)", "true ? [1] : event.data.x", "event.?data.orValue([])"] {
        given(list).check_list().unwrap();
    }
    for (source, expected) in [
        ("[1].map(i, string(i))", Type::List(Box::new(Type::String))),
        ("1 + event.data.total", Type::Int),
        ("true ? 1 : 'a'", Type::Dyn),
        ("event.?id.orValue('x')", Type::String),
        ("[1, 2].filter(i, i > 1)", Type::List(Box::new(Type::Int))),
    ] {
        assert_eq!(given(source), expected, "{source}");
    }
}

#[test]
fn a_variable_that_is_not_told_may_be_anything() {
    let expression = Expression::compile("x.a.b > 1 && y + 'a' == z").unwrap();
    assert_eq!(expression.check_types(&TypeEnv::new()).unwrap(), Type::Bool);
}
