use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};
use spine_core::expression::{Expression, MAX_SOURCE_BYTES, Scope};

use super::{env, scope};

/// What a spawned thread has, and the worker's too.
const STACK: usize = 2 * 1024 * 1024;

fn on_a_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().unwrap()
}

/// Everything that can be done with an expression, within bounded time.
fn attack(source: String, scope: Scope) -> Result<Value, String> {
    on_a_small_stack(move || {
        let began = Instant::now();
        let outcome = Expression::compile(&source).map_err(|error| error.to_string()).and_then(|expression| {
            let _told = expression.check_types(&env());
            expression.evaluate(&scope).map_err(|error| error.message)
        });
        let start: String = source.chars().take(40).collect();
        // Wide, since tests run unoptimised and side by side; what is feared takes minutes or for ever.
        assert!(began.elapsed() < Duration::from_secs(20), "{start}: {:?}", began.elapsed());
        if let Ok(value) = &outcome {
            assert!(value.to_string().len() <= spine_core::expression::MAX_RESULT_BYTES, "{start}");
        }
        outcome
    })
}

fn refused(source: impl Into<String>, part: &str) {
    let source = source.into();
    let error = attack(source.clone(), scope()).err().unwrap_or_else(|| panic!("{source} should be refused"));
    assert!(error.contains(part), "{source:.60}: {error:?} should contain {part:?}");
}

#[test]
fn long_and_deep_texts_are_refused() {
    for part in ["+1", "[0]", ".a", "?1:1", "&&true", "||true", "==1", " in [1]", ".map(x,x)", "*2", "-1"] {
        refused(format!("1{}", part.repeat(2000)), "at most 1024");
        // As long as it may be, or as long as what goes wrong first.
        let longest = format!("1{}", part.repeat((MAX_SOURCE_BYTES - 1) / part.len()));
        let _bounded = attack(longest, scope());
    }
    for (open, inside, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{1:", "1", "}"),
        ("!", "true", ""),
        ("-", "x", ""),
        ("- ", "1", ""),
        ("f(", "1", ")"),
        ("has(a.", "b", ")"),
        ("[1].map(x,", "x", ")"),
        ("true?", "1", ":1"),
        ("[1,", "1", "]"),
        ("a[", "0", "]"),
        ("{'a':[", "1", "]}"),
        ("dyn(", "1", ")"),
        ("(", "", ""),
        ("[", "", ""),
        ("{", "", ""),
        ("'", "", ""),
        ("\"\\", "", ""),
        ("?", "", ""),
        (".?a", "", ""),
        ("${", "", ""),
        ("//", "", ""),
        ("\n", "1", ""),
        ("a.b(", "1", ")"),
        ("((-", "1", "))"),
        ("1?1?", "1", ":1:1"),
    ] {
        for count in [20, 60, 90, 120, 500, 2000] {
            let _bounded = attack(format!("{}{inside}{}", open.repeat(count), close.repeat(count)), scope());
        }
    }
    refused(format!("1{}", "+1".repeat(400)), "too large");
    refused(format!("{}1{}", "(".repeat(400), ")".repeat(400)), "nested too deep");
}

#[test]
fn the_deepest_expressions_fit_a_small_stack() {
    for part in ["+ event.data.total", "+ 1", "[0]", ".a", ".?a"] {
        for count in 40..64 {
            let source = format!("event.data.total {}", part.repeat(count));
            let _bounded = attack(source, scope());
        }
    }
    for (open, close) in [
        ("[", "]"),
        ("[1].map(x, [", "])"),
        ("{'a': ", "}"),
        ("dyn(", ")"),
        ("[0][", "]"),
        ("[event.data.ids.exists(x, x == 1), ", "]"),
        ("size([", "])"),
        ("event.data.total in [", "]"),
    ] {
        for count in 1..64 {
            let _bounded = attack(format!("{}event.data.total{}", open.repeat(count), close.repeat(count)), scope());
            let inside = format!("[1].map(y, {}y{})", open.repeat(count), close.repeat(count));
            let _bounded = attack(inside, scope());
        }
    }
}

#[test]
fn what_grows_by_doubling_is_refused() {
    refused("['x'].map(a, a + a).map(b, b + b)", "a number on one side");
    let doubling = |each: &str| format!("[['x']]{}", format!(".map(a, {each})").repeat(40));
    refused(doubling("[a, a]"), "too much memory");
    refused(doubling("{'x': a, 'y': a}"), "too much memory");
    refused(doubling("[a, [a, a]]"), "too much memory");
    refused(format!("{}.size()", doubling("[a, a]")), "too much memory");
    refused(format!("{} == [] || true", doubling("[a, a]")), "too much memory");
    refused(format!("[1].exists(z, {} == [])", doubling("[a, a]")), "too much memory");
    refused("[1].map(a, [1].map(b, [1].map(c, 1)))", "macros");
}

#[test]
fn long_lists_and_texts_are_bounded() {
    let text = "ab".repeat(250_000);
    let list: Vec<u32> = (0..20_000).collect();
    let scope = Scope::new().with("event", json!({"t": text, "l": list, "m": vec![json!({"t": text}); 3]}));
    let check = |source: &str, part: &str| {
        let error = attack(source.into(), scope.clone()).err().unwrap_or_else(|| panic!("{source} should be refused"));
        assert!(error.contains(part), "{source}: {error:?} should contain {part:?}");
    };
    check("event.l.exists(a, event.l.exists(b, a == b + 1000000))", "too much work");
    check("event.l.map(a, event.l)", "bytes that are allowed");
    check("event.l.map(a, event.l.map(b, [a, b, a, b, a, b]))", "too much");
    check(
        "event.l.map(a, [1, 2, 3, 4, 5, 6, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a])",
        "too much memory",
    );
    check("event.l.filter(a, -1 in event.l).size() > 0", "too much work");
    check("event.l.filter(a, event.l + [1] == event.l + [2])", "number on one side");
    check("event.l.filter(a, event.t.contains('abb')) == []", "too much work");
    check("event.l.filter(a, event.t.matches('abb')) == []", "too much work");
    check("event.l.filter(a, event.t == event.m[0].t).size() == 1", "too much work");
    check("event.l.filter(a, event.t <= event.m[0].t).size() == 1", "too much work");
    check("event.l.filter(a, size(event.t) == 1) == []", "too much work");
    check("event.l.filter(a, event.m == event.m) == []", "too much work");
    check("event.t.matches('(a|b)*a(a|b){500}c')", "too much work");
    check(&format!("event.t{}", " + event.t".repeat(60)), "too much memory");
    check(&format!("size(event.l{})", " + event.l".repeat(60)), "too much memory");
    check("event.t", "bytes that are allowed");
    check("[event.t]", "bytes that are allowed");
    check("event.l.all(a, event.l.all(b, a != b || true)) || true", "too much work");

    for (source, expected) in [
        ("event.l.exists(a, a == 19999)", json!(true)),
        ("event.l.map(a, a * 2).filter(a, a > 39990).size()", json!(4)),
        ("19999 in event.l && !(event.t.contains('ac'))", json!(true)),
        ("event.t.matches('^(ab)+$')", json!(true)),
        ("(event.t + event.t).size()", json!(1_000_000)),
        ("event.l[0:1]", json!(null)),
    ] {
        if let Ok(value) = attack(source.into(), scope.clone()) {
            assert_eq!(value, expected, "{source}");
        } else {
            assert_eq!(expected, json!(null), "{source}");
        }
    }
}

#[test]
fn arithmetic_fails_and_never_panics() {
    for source in [
        "1 / 0",
        "1 % 0",
        "1u / 0u",
        "1u % 0u",
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "-(-9223372036854775808)",
        "-9223372036854775808 / -1",
        "-9223372036854775808 % -1",
        "9223372036854775807 * 2",
        "0u - 1u",
        "18446744073709551615u + 1u",
        "int(1e300)",
        "int('99999999999999999999')",
        "uint(-1)",
        "1.0 / 0.0",
        "0.0 / 0.0",
        "[1][9223372036854775807]",
        "[1][-1]",
        "event.data.ids[1e300]",
        "event.data.ids[-1]",
        "event.data.ids[0.5]",
        "event.data.ids[18446744073709551615u]",
        "99999999999999999999",
        "1e999",
        "'\\ud800'",
        "{1: 1, 1u: 2}",
        "string(b'\\xff')",
        "int(0.0 / 0.0)",
        "event.data.big + event.data.big",
        "[1, 2].map(x, x / 0)",
    ] {
        refused(source, "");
    }
}

#[test]
fn regular_expressions_are_bounded() {
    for pattern in ["(a+)+$", "(a|a)*b", "(x*)*y", "((((a*)*)*)*)*b"] {
        let source = format!("'{}'.matches('{pattern}')", "a".repeat(500));
        let _bounded = attack(source, scope());
    }
    for pattern in ["a{1000}{1000}", "a{99999}", "(((a{99}){99}){99}){99}", "\\\\pL{5000}"] {
        refused(format!("event.type.matches('{pattern}')"), "too large");
    }
    refused(format!("event.type.matches('{}')", "(".repeat(900)), "regular expression");
    refused(format!("event.type.matches('{}{}')", "(".repeat(400), ")".repeat(400)), "regular expression");
    refused(["event.type.matches('a')"; 9].join("||"), "at most 8");
}

fn token() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "event",
        "event.data",
        "event.data.items",
        "event.type",
        "tasks.a",
        "run.id",
        "x",
        "i",
        "1",
        "1u",
        "1.5",
        "'a'",
        "\"b\"",
        "b'c'",
        "r'\\'",
        "true",
        "null",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "{'a': 1}",
        "[1, 2]",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        "in",
        "&&",
        "||",
        "!",
        "?",
        ":",
        ",",
        ".",
        ".?",
        "[?",
        ".map(i,",
        ".filter(i,",
        ".exists(i,",
        ".all(i,",
        ".exists_one(i,",
        "has(",
        "size(",
        "int(",
        "string(",
        "type(",
        ".matches('a')",
        ".matches(",
        ".startsWith('a')",
        ".orValue(",
        ".optMap(i,",
        "optional.of(",
        "optional.none()",
        "secret('a')",
        "secret(",
        "matches(",
        "@result",
        "@meter",
        "\\",
        "'",
        "ä",
        "$",
        "${",
        " and ",
        " ",
        "// x\n",
        "\n",
        "=",
        "&",
        "0x1F",
        "9e9",
        "_",
        "__result__",
        ".event",
        "Foo{",
        "a:1}",
        "\u{0}",
        "🦀",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// No text makes compiling, checking or evaluating panic.
    #[test]
    fn nothing_panics(tokens in prop::collection::vec(token(), 0..16), spaced in any::<bool>()) {
        let source = tokens.join(if spaced { " " } else { "" });
        match Expression::compile(&source) {
            Ok(expression) => {
                let _told = expression.check_types(&env());
                let _value = expression.evaluate(&scope());
            }
            Err(error) => {
                let most = source.chars().count() + 1;
                prop_assert!(error.column.is_none_or(|column| (1..=most).contains(&column)), "{source:?}: {error:?}");
                prop_assert!(!error.message.contains("Error"), "the parser's own words: {source:?}: {error:?}");
            }
        }
    }
}
