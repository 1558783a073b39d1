use serde_json::json;

use super::*;

fn check(pattern: Value, expected: Result<(), &str>) {
    let event = json!({"type": "a.b", "data": {"total": 80, "country": "DE", "vip": true, "none": null, "a.b": 1,
        "nested": [[1], [2, [3]]], "empty": [], "object": {},
        "items": [{"sku": "x-1", "tags": ["red", "big"]}, {"sku": "y-2"}], "big": 9_007_199_254_740_993_u64}});
    let got = Pattern::compile(&pattern)
        .unwrap()
        .check(&event)
        .map_err(|m| format!("{} is {}, wanted {}", m.path, m.seen, m.wanted));
    assert_eq!(got.as_ref().map_err(String::as_str).copied(), expected, "{pattern}");
}

#[test]
fn operators() {
    check(json!({"data": {"total": [80]}}), Ok(()));
    check(json!({"data": {"total": [80.0]}}), Ok(()));
    check(json!({"data": {"total": ["80"]}}), Err("data.total is 80, wanted \"80\""));
    check(json!({"data": {"total": [{"numeric": [">=", 500]}]}}), Err("data.total is 80, wanted numeric >= 500"));
    check(json!({"data": {"total": [{"numeric": [">", 0, "<=", 80]}]}}), Ok(()));
    check(
        json!({"data": {"total": [{"numeric": [">", 0, "<", 80]}]}}),
        Err("data.total is 80, wanted numeric > 0 and < 80"),
    );
    check(
        json!({"data": {"country": [{"anything-but": ["AT", "DE"]}]}}),
        Err("data.country is \"DE\", wanted anything but \"AT\", \"DE\""),
    );
    check(json!({"data": {"coupon": [{"exists": false}]}}), Ok(()));
    check(json!({"data": {"coupon": [{"exists": true}]}}), Err("data.coupon is missing, wanted to exist"));
    check(
        json!({"data": {"coupon": [{"anything-but": "x"}]}}),
        Err("data.coupon is missing, wanted anything but \"x\""),
    );
    check(json!({"data": {"country": [{"prefix": "X"}, {"suffix": "E"}]}}), Ok(()));
    check(json!({"data": {"country": [{"equals-ignore-case": "de"}]}}), Ok(()));
    check(json!({"data": {"none": [null], "vip": [true]}}), Ok(()));
    check(json!({"type": ["a.c", "a.b"]}), Ok(()));
    check(json!({"data": {"a.b": [1]}}), Ok(()));
}

#[test]
fn any_element_of_an_array_may_match() {
    check(json!({"data": {"items": {"sku": ["y-2"], "tags": ["big"]}}}), Ok(()));
    check(
        json!({"data": {"items": {"tags": ["small"]}}}),
        Err("data.items.tags is [\"red\",\"big\"], wanted \"small\""),
    );
}

#[test]
fn large_integers_are_exact() {
    check(json!({"data": {"big": [9_007_199_254_740_993_u64]}}), Ok(()));
    check(
        json!({"data": {"big": [9_007_199_254_740_992_u64]}}),
        Err("data.big is 9007199254740993, wanted 9007199254740992"),
    );
    check(json!({"data": {"big": [{"numeric": [">", 9_007_199_254_740_992_u64]}]}}), Ok(()));
}

#[test]
fn nested_lists_are_lists() {
    check(json!({"data": {"nested": [3]}}), Ok(()));
    check(json!({"data": {"nested": [4]}}), Err("data.nested is [[1],[2,[3]]], wanted 4"));
}

#[test]
fn whatever_stands_there_exists() {
    for field in ["none", "empty", "items", "total", "object"] {
        check(json!({"data": {field: [{"exists": true}]}}), Ok(()));
    }
    check(json!({"data": {"total": [{"exists": false}]}}), Err("data.total is 80, wanted to be missing"));
    check(json!({"data": {"empty": {"x": [{"exists": false}]}, "total": {"x": [{"exists": false}]}}}), Ok(()));
    check(
        json!({"data": {"items": {"tags": [{"exists": false}]}}}),
        Err("data.items.tags is [\"red\",\"big\"], wanted to be missing"),
    );
}

#[test]
fn an_or_says_what_fails_in_each_alternative() {
    let or = |a, b| json!({"data": {"total": [80], "$or": [{"country": [a]}, {"vip": [b]}]}});
    check(or(json!("AT"), json!(true)), Ok(()));
    check(or(json!("DE"), json!(false)), Ok(()));
    check(
        or(json!("AT"), json!(false)),
        Err(
            "data.$or is without a match (1: data.country is \"DE\", wanted \"AT\"; 2: data.vip is true, wanted false), wanted one of 2 alternatives to hold",
        ),
    );
    let many: Vec<Value> = (0..9).map(|at| json!({"x": [at]})).collect();
    let got = Pattern::compile(&json!({"$or": many})).unwrap().check(&json!({})).unwrap_err();
    assert!(got.seen.ends_with("5: x is missing, wanted 4; and 4 more)"), "{got}");
}

#[test]
fn long_values_are_cut() {
    let pattern = Pattern::compile(&json!({"a": [{"prefix": "x".repeat(1000)}]})).unwrap();
    let got = pattern.check(&json!({"a": "ä".repeat(1000)})).unwrap_err();
    assert_eq!((got.seen.chars().count(), got.wanted.chars().count()), (81, 401));
}

/// The one error in this pattern: its pointer, and a part of its message.
fn refused(pattern: Value, pointer: &str, part: &str) {
    let errors = Pattern::compile(&pattern).unwrap_err();
    let [(at, message)] = errors.as_slice() else { panic!("{errors:#?}") };
    assert!(at == pointer && message.contains(part), "{at}: {message}");
}

#[test]
fn what_is_wrong_is_named() {
    refused(json!([]), "", "an object of fields, not a list");
    refused(json!({}), "", "has no field");
    refused(json!({"data": {}}), "/data", "has no field");
    refused(json!({"a": []}), "/a", "is empty");
    refused(json!({"a": 5}), "/a", "write [5]");
    refused(json!({"a": [[1]]}), "/a/0", "not a list");
    refused(json!({"a": [{}]}), "/a/0", "exactly one key");
    refused(json!({"a": [{"prefix": "a", "suffix": "b"}]}), "/a/0", "exactly one key");
    refused(json!({"a/b": [{"prefx": "x"}]}), "/a~1b/0", "unknown operator `prefx`; did you mean `prefix`?");
    refused(json!({"a": [1, {"prefix": ""}]}), "/a/1", "not empty");
    refused(json!({"a": [{"prefix": {"suffix": "x"}}]}), "/a/0", "{equals-ignore-case: text}");
    refused(json!({"a": [{"suffix": 5}]}), "/a/0", "a text, not a number");
    refused(json!({"a": [{"wildcard": "a**"}]}), "/a/0", "in a row");
    refused(json!({"a": [{"cidr": "10.0.0.0/33"}]}), "/a/0", "0 to 32");
    refused(json!({"a": [{"exists": "no"}]}), "/a/0", "true or false, not a text");
    refused(json!({"a": [{"anything-but": []}]}), "/a/0", "at least one");
    refused(json!({"a": [{"anything-but": [null]}]}), "/a/0", "not null");
    refused(json!({"a": [{"anything-but": {"numeric": ["=", 1]}}]}), "/a/0", "takes no `numeric`");
    refused(json!({"a": [{"anything-but": {"prefix": []}}]}), "/a/0", "at least one");
    refused(json!({"a": [{"anything-but": {"prefix": ["a", ""]}}]}), "/a/0", "not empty");
    refused(json!({"$or": []}), "/$or", "there is none");
    refused(json!({"$or": [{"a": [1]}]}), "/$or", "there is one");
    refused(json!({"$or": {"a": [1]}}), "/$or", "not an object");
    refused(json!({"$or": [{"a": [1]}, {}]}), "/$or/1", "has no field");
    refused(json!({"$or": [{"a": [1]}, 5]}), "/$or/1", "not a number");
}

#[test]
fn ranges_that_hold_nothing_are_refused() {
    for (range, part) in [
        (json!([">", 5, "<", 3]), "no number is > 5 and < 3"),
        (json!([">", 5, "<=", 5]), "no number"),
        (json!([">=", 5, "<", 5]), "no number"),
        (json!([">", 1, ">", 2]), "one lower and one upper"),
        (json!(["<", 1, "<=", 2]), "one lower and one upper"),
        (json!([">", 1, "=", 2]), "alone"),
        (json!(["=>", 1]), "knows <, <=, =, >= and >"),
        (json!(["<"]), "a comparison and a number"),
        (json!(["<", "1"]), "a comparison and a number"),
        (json!([">", 1, "<", 2, "<", 3]), "a comparison and a number"),
        (json!(5), "a comparison and a number"),
    ] {
        refused(json!({"a": [{"numeric": range}]}), "/a/0", part);
    }
    assert!(Pattern::compile(&json!({"a": [{"numeric": ["<=", 5, ">=", 5]}]})).is_ok());
}

#[test]
fn all_that_is_wrong_is_reported_at_once() {
    let wrong = json!({"data": {"a": [], "b": [{"wildcard": "x**"}], "c": [{"prefx": "x"}], "d": 5,
        "e": [{"numeric": ["<"]}], "f": [{"anything-but": []}], "$or": []}});
    assert_eq!(Pattern::compile(&wrong).unwrap_err().len(), 7);
}

#[test]
fn size_is_bounded() {
    let nested = |depth| (1..depth).fold(json!({"a": [1]}), |inner, _| json!({"a": inner}));
    assert!(Pattern::compile(&nested(MAX_DEPTH)).is_ok());
    refused(nested(MAX_DEPTH + 1), &"/a".repeat(MAX_DEPTH), "nested too deep");
    let list = |count: usize| json!({"a": (0..count).collect::<Vec<_>>()});
    assert!(Pattern::compile(&list(MAX_ALTERNATIVES)).is_ok());
    refused(list(MAX_ALTERNATIVES + 1), "/a", "at most 1000");
    refused(json!({"a": [{"anything-but": vec![1; MAX_ALTERNATIVES + 1]}]}), "/a/0", "at most 1000");
    let text = |bytes| "x".repeat(bytes);
    assert!(Pattern::compile(&json!({"a": [text(MAX_TEXT_BYTES)]})).is_ok());
    for value in [
        json!(text(MAX_TEXT_BYTES + 1)),
        json!({"prefix": text(MAX_TEXT_BYTES + 1)}),
        json!({"anything-but": text(MAX_TEXT_BYTES + 1)}),
    ] {
        refused(json!({"a": [value]}), "/a/0", "at most 2048");
    }
    refused(json!({text(MAX_TEXT_BYTES + 1): [1]}), &format!("/{}", text(MAX_TEXT_BYTES + 1)), "at most 2048");
    let fields: serde_json::Map<String, Value> = (0..6).map(|at| (at.to_string(), list(999)["a"].clone())).collect();
    refused(Value::Object(fields), "/5", "too many parts");
}

#[test]
fn combinations_are_bounded() {
    let or = |count: i32| (0..count).map(|at| json!({"x": [at]})).collect::<Vec<_>>();
    let nested =
        |ways: [i32; 3]| json!({"a": {"$or": or(ways[0])}, "b": {"$or": or(ways[1])}, "c": {"$or": or(ways[2])}});
    let pattern = Pattern::compile(&nested([10, 10, 10])).unwrap();
    assert_eq!(pattern.conjunctions().len(), 1000);
    refused(nested([11, 10, 10]), "", "make 1100 combinations; at most 1000");
    let list: Vec<i32> = (0..100).collect();
    refused(json!({"a": {"$or": or(100)}, "b": list}), "", "repeat 10100 values");
    let doubling: serde_json::Map<String, Value> = (0..200).map(|at| (at.to_string(), json!({"$or": or(2)}))).collect();
    refused(Value::Object(doubling), "", "combinations; at most 1000");
}
