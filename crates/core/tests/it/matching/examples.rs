//! The operators as Event Ruler's documentation shows them, through the pattern and through the index.

use serde_json::{Value, json};
use spine_core::matching::Index;
use spine_core::pattern::Pattern;

use super::{event, listener, matched, naive};

/// For each of these data, whether the pattern (of data) matches.
fn check(pattern: Value, cases: &[(Value, bool)]) {
    let pattern = json!({"data": pattern});
    let index = Index::build(1, vec![listener("a", &pattern)]);
    for (data, expected) in cases {
        let event = event(data.clone());
        let json = event.to_json();
        assert_eq!(Pattern::compile(&pattern).unwrap().check(&json).is_ok(), *expected, "check {pattern} {data}");
        assert_eq!(!matched(&index, &event).is_empty(), *expected, "index {pattern} {data}");
        assert_eq!(naive::holds(&pattern, &json), *expected, "naive {pattern} {data}");
    }
}

/// As [`check`], of one field: the values that match, and those that do not.
fn field(alternatives: Value, good: &[Value], bad: &[Value]) {
    let good = good.iter().map(|value| (json!({"x": value}), true));
    let bad = bad.iter().map(|value| (json!({"x": value}), false));
    check(json!({"x": alternatives}), &good.chain(bad).collect::<Vec<_>>());
}

/// The elements of a list.
macro_rules! values {
    ($($list:tt)*) => { json!([$($list)*]).as_array().unwrap() };
}

#[test]
fn literals() {
    field(
        json!(["initializing", "running"]),
        values!["running", ["stopped", "running"]],
        values!["Running", 1, null, []],
    );
    field(json!([80]), values![80, 80.0, [1, [80]]], values!["80", 80.5, {"y": 80}]);
    field(json!([null]), values![null, [1, null]], values!["null", [], {}, false]);
    field(json!([true]), values![true], values!["true", 1, false]);
    field(json!([""]), values![""], values!["a", null]);
    field(json!([9_007_199_254_740_993_u64]), values![9_007_199_254_740_993_u64], values![9_007_199_254_740_992_u64]);
}

#[test]
fn prefixes_and_suffixes() {
    field(json!([{"prefix": "us-gov-"}]), values!["us-gov-", "us-gov-west"], values!["us-", "US-GOV-west", 5]);
    field(
        json!([{"prefix": {"equals-ignore-case": "EventB"}}]),
        values!["EventBridge", "eventBridge", "EVENTB"],
        values!["event", 1],
    );
    field(json!([{"suffix": "jpg"}]), values!["a.jpg", ["b.png", "c.jpg"]], values!["a.JPG", "jp"]);
    field(json!([{"suffix": {"equals-ignore-case": ".JPG"}}]), values!["a.jpg", ".jPg"], values!["a.jpeg"]);
}

#[test]
fn any_case() {
    field(json!([{"equals-ignore-case": "EventBridge"}]), values!["eventbridge", "EVENTBRIDGE"], values!["event", 1]);
    field(json!([{"equals-ignore-case": "Straße"}]), values!["STRASSE", "straße"], values!["strase"]);
}

#[test]
fn wildcards() {
    field(
        json!([{"wildcard": "arn:aws:s3:::*/*.png"}]),
        values!["arn:aws:s3:::b/a.png"],
        values!["arn:aws:s3:::a.png"],
    );
    field(json!([{"wildcard": "*"}]), values!["", "x"], values![1, null, []]);
    field(json!([{"wildcard": r"\*x\\*"}]), values![r"*x\", r"*x\y"], values!["ax", r"*x"]);
    field(json!([{"wildcard": "a*b*c*d*"}]), values!["abcd", "a-b-c-d-"], values!["abdc"]);
}

#[test]
fn anything_but() {
    field(
        json!([{"anything-but": "initializing"}]),
        values!["running", 5, ["initializing", "x"]],
        values!["initializing", null, true, [], {}],
    );
    field(json!([{"anything-but": 123}]), values![124, "123"], values![123, 123.0]);
    field(
        json!([{"anything-but": ["stopped", "overloaded"]}]),
        values!["x"],
        values!["stopped", ["stopped", "overloaded"]],
    );
    field(json!([{"anything-but": [100, 200, 300]}]), values![150], values![100, 300]);
    field(json!([{"anything-but": {"prefix": "init"}}]), values!["x", ["initx", "x"]], values!["init", "initx", 5]);
    field(json!([{"anything-but": {"prefix": ["a", "b"]}}]), values!["x"], values!["a", "bc"]);
    field(json!([{"anything-but": {"suffix": ["1", "2"]}}]), values!["x3"], values!["x1", "x2"]);
    field(json!([{"anything-but": {"equals-ignore-case": ["a", "b"]}}]), values!["c"], values!["A", "b"]);
    field(json!([{"anything-but": {"wildcard": "*/lib/*"}}]), values!["/usr/bin/"], values!["/usr/lib/x"]);
    field(json!([{"anything-but": "a"}, {"anything-but": "b"}]), values!["a", "b", "c"], values![null]);
    check(json!({"x": [{"anything-but": "a"}]}), &[(json!({}), false)]);
}

#[test]
fn ranges() {
    field(json!([{"numeric": ["<", 10]}]), values![9.99, -1], values![10, "5"]);
    field(json!([{"numeric": [">", 0, "<=", 5]}]), values![5, 0.1, 5.0], values![0, 5.000001]);
    field(json!([{"numeric": ["=", 301.8]}]), values![301.8], values![301.80001]);
    field(
        json!([{"numeric": [">", 9_007_199_254_740_992_u64]}]),
        values![9_007_199_254_740_993_u64],
        values![9_007_199_254_740_992_u64],
    );
}

#[test]
fn networks() {
    field(
        json!([{"cidr": "10.0.0.0/24"}]),
        values!["10.0.0.255", ["x", "10.0.0.1"]],
        values!["10.0.1.0", "10.0.0.1/32", "x", 1],
    );
    field(json!([{"cidr": "2001:db8::/32"}]), values!["2001:db8::1"], values!["2001:db9::1", "10.0.0.1"]);
    field(json!([{"cidr": "::/0"}]), values!["::1"], values!["10.0.0.1"]);
}

#[test]
fn existence() {
    field(json!([{"exists": true}]), values![1, null, [], {}, {"y": 1}, ""], &[]);
    check(json!({"x": [{"exists": false}]}), &[(json!({}), true), (json!({"x": null}), false), (json!([]), true)]);
    check(
        json!({"x": [{"exists": false}, "a"]}),
        &[(json!({}), true), (json!({"x": "a"}), true), (json!({"x": "b"}), false)],
    );
    check(
        json!({"x": {"y": [{"exists": false}]}}),
        &[
            (json!({}), true),
            (json!({"x": 1}), true),
            (json!({"x": [{"y": 1}, {}]}), false),
            (json!({"x": [{}]}), true),
        ],
    );
}

#[test]
fn or() {
    let metric = json!({"metricName": ["CPUUtilization"], "$or": [{"metricType": ["MetricType"]}, {"namespace": ["AWS/EC2", "AWS/ES"]}]});
    check(
        metric,
        &[
            (json!({"metricName": "CPUUtilization", "metricType": "MetricType"}), true),
            (json!({"metricName": "CPUUtilization", "namespace": "AWS/ES"}), true),
            (json!({"metricName": "CPUUtilization", "namespace": "AWS/S3"}), false),
            (json!({"metricName": "ReadLatency", "metricType": "MetricType"}), false),
        ],
    );
    let same_field = json!({"x": [{"prefix": "a"}], "$or": [{"x": [{"suffix": "b"}]}, {"y": [1]}]});
    check(
        same_field,
        &[
            (json!({"x": "ab"}), true),
            (json!({"x": "ac"}), false),
            (json!({"x": "ac", "y": 1}), true),
            (json!({"x": ["a", "b"]}), true),
        ],
    );
}

#[test]
fn paths() {
    check(json!({"a.b": [1]}), &[(json!({"a.b": 1}), true), (json!({"a": {"b": 1}}), false)]);
    check(json!({"a": {"b": [1]}}), &[(json!({"a": {"b": 1}}), true), (json!({"a.b": 1}), false)]);
    let uncorrelated = json!({"items": {"sku": ["x"], "qty": [2]}});
    check(uncorrelated, &[(json!({"items": [{"sku": "x", "qty": 1}, {"sku": "y", "qty": 2}]}), true)]);
}
