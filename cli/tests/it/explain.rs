//! `spine explain` and `spine test` without any server; what people read is kept as snapshots.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::world::spine;

const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop");
const ORDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/events/order-placed.json");

/// Runs a command in a folder; its exit code, and all that it printed.
fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = spine(folder, args, &BTreeMap::new()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Explains an event by the shop's files.
fn explain(event: &Value, given: Option<&str>) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("event.json"), event.to_string()).unwrap();
    let mut args = vec!["explain", "event.json", "--file", SHOP];
    if let Some(given) = given {
        fs::write(folder.path().join("given.yaml"), given).unwrap();
        args.extend(["--given", "given.yaml"]);
    }
    run(folder.path(), &args)
}

fn order(changes: &Value) -> Value {
    let mut event: Value = serde_json::from_str(&fs::read_to_string(ORDER).unwrap()).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

const GIVEN: &str =
    "config: {crm_url: http://crm, stock_url: http://stock}\ncontext: {history: [{orders: 1, spent: 10}]}\n";

#[test]
fn a_match_shows_what_would_be_done_as_far_as_that_is_known() {
    let (code, text) = explain(&order(&json!({})), Some(GIVEN));
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(text);
}

#[test]
fn given_results_lead_to_the_end_of_the_run() {
    let tasks =
        "tasks: {score: {output: {risk: 0.9}}, reserve: [{output: {id: a}}, {error: {type: Gone, message: no}}]}";
    let given = GIVEN.replace("context: {", "context: {customer: {tier: gold}, ");
    let (code, text) = explain(&order(&json!({})), Some(&format!("{given}{tasks}")));
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(text);
}

const GREETING: &str = "apiVersion: spine/v1
kind: Activity
metadata: {name: greeting}
spec:
  on: [{event: com.test.asked}]
  context:
    customer: {http: {url: \"http://crm/customers/${ event.data.id }\"}, default: null}
  tasks: [{id: greet, uses: emit, with: {type: com.test.greeted, data: {name: \"${ context.customer.name }\"}}}]
";

#[test]
fn a_default_that_stands_in_is_said_to_be_assumed_and_so_is_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("greeting.yaml"), GREETING).unwrap();
    fs::write(folder.path().join("given.yaml"), "context: {customer: {name: Ada}}").unwrap();
    let event =
        json!({"specversion": "1.0", "type": "com.test.asked", "source": "/test", "id": "1", "data": {"id": 7}});
    fs::write(folder.path().join("event.json"), event.to_string()).unwrap();
    let explain =
        |more: &[&str]| run(folder.path(), &[&["explain", "event.json", "--file", "greeting.yaml"], more].concat()).1;
    insta::assert_snapshot!(explain(&[]));
    let data: Value = serde_json::from_str(&explain(&["--output", "json"])).unwrap();
    let run = &data["runs"][0];
    assert_eq!(
        run["context"]["customer"],
        json!({"lookup": {"http": {"url": "http://crm/customers/7"}}, "value": null, "assumed": true})
    );
    assert_eq!((&run["status"], &run["outcomeIfAssumed"]["status"]), (&Value::Null, &json!("failed")), "{run:#}");

    let text = explain(&["--given", "given.yaml"]);
    assert!(text.contains("= {\"name\":\"Ada\"}") && text.contains("outcome    completed"), "{text}");
    let data: Value = serde_json::from_str(&explain(&["--given", "given.yaml", "--output", "json"])).unwrap();
    assert_eq!(data["runs"][0]["status"], "completed");
    assert!(data["runs"][0]["context"]["customer"].get("assumed").is_none(), "{data:#}");
}

#[test]
fn a_near_miss_names_the_field_that_failed() {
    let items = json!([{"sku": "lamp-7", "quantity": 1}]);
    let (_, text) = explain(&order(&json!({"data": {"customer_id": "ada", "total": 80, "items": items}})), None);
    assert!(
        text.contains("- order-review revision 1 does not match: data.total is 80, wanted numeric >= 100"),
        "{text}"
    );
}

#[test]
fn a_type_that_was_probably_meant_otherwise_is_named() {
    let (_, text) = explain(&order(&json!({"type": "com.shop.order.place"})), None);
    assert!(text.contains("no activity listens to this type"), "{text}");
    assert!(text.contains("~ order-review listens to com.shop.order.placed"), "{text}");
}

/// Two activities for each of twelve types, 31 for one of them that want `n` and `m`, and one for a type that
/// differs from that in a letter.
fn many() -> String {
    let activity = |name: &str, event_type: &str, wanted: &Value| {
        json!({
            "apiVersion": "spine/v1", "kind": "Activity", "metadata": {"name": name},
            "spec": {
                "on": [{"event": event_type, "match": {"data": wanted}}],
                "tasks": [{"id": "say", "uses": "emit", "with": {"type": "com.test.said"}}],
            },
        })
        .to_string()
    };
    let pairs = (0..12).flat_map(|at| {
        ["a", "b"].map(|name| activity(&format!("{name}-{at}"), &format!("big.t{at}"), &json!({"n": [1], "m": [1]})))
    });
    let crowd = (0..30).map(|at| activity(&format!("crowd-{at:02}"), "big.t7", &json!({"n": [1], "m": [1]})));
    let near_miss = activity("with-n-alone", "big.t7", &json!({"n": [1], "m": [2]}));
    let letter = activity("letter", "big.tt7", &json!({"n": [1]}));
    pairs.chain(crowd).chain([near_miss, letter]).collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn among_many_activities_only_the_nearest_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("many.yaml"), many()).unwrap();
    let explain = |event_type: &str, n: u32, more: &[&str]| {
        let event =
            json!({"specversion": "1.0", "type": event_type, "source": "/test", "id": "1", "data": {"n": n, "m": 2}});
        fs::write(folder.path().join("event.json"), event.to_string()).unwrap();
        run(folder.path(), &[&["explain", "event.json", "--file", "many.yaml"], more].concat()).1
    };
    let count = |text: &str, what: &str| text.lines().filter(|line| line.contains(what)).count();

    // A type that nobody listens to: the nearest types, each once.
    let text = explain("big.t99", 1, &[]);
    assert_eq!(count(&text, "was meant?"), 5, "{text}");
    assert!(
        text.contains(
            "decision   unmatched: no activity listens to this type\n           ~ 2 activities listen to big.t9; "
        ),
        "{text}"
    );
    assert!(text.contains("           and 8 more types that are near; --all shows them"), "{text}");
    let text = explain("big.t99", 1, &["--all"]);
    assert_eq!((count(&text, "was meant?"), count(&text, "more")), (13, 0), "{text}");

    // A type that others listen to, none of which matches: the nearest misses, and no types that are numbered beside it.
    let text = explain("big.t7", 0, &[]);
    assert_eq!((count(&text, " - "), count(&text, "was meant?")), (20, 1), "{text}");
    assert!(
        text.contains("- with-n-alone ") && text.contains("and 13 more that do not match; --all shows them"),
        "{text}"
    );
    assert!(text.contains("~ letter listens to big.tt7; is that the type that was meant?"), "{text}");
    assert_eq!(count(&explain("big.t7", 0, &["--all"]), " - "), 33);
    let data: Value = serde_json::from_str(&explain("big.t7", 0, &["--output", "json"])).unwrap();
    let names: Vec<&str> =
        data["verdicts"].as_array().unwrap().iter().map(|verdict| verdict["activity"].as_str().unwrap()).collect();
    assert!(names.len() == 33 && names[..20].contains(&"with-n-alone"), "{names:?}");

    // A match: no other type was meant.
    let text = explain("big.t7", 1, &[]);
    assert_eq!((count(&text, " + "), count(&text, "was meant?")), (1, 0), "{text}");
}

#[test]
fn an_event_that_may_not_come_in_says_why() {
    let (_, text) = explain(&order(&json!({"data": {"total": 80}})), None);
    assert!(text.contains("would be rejected: schema_violation: data"), "{text}");
    let (_, text) = explain(&json!({"specversion": "1.0", "type": "a"}), None);
    assert!(text.contains("would be rejected: invalid_event: "), "{text}");
    let (_, text) = explain(&order(&json!({"spinehops": "17"})), None);
    assert!(text.contains("would be rejected: too_many_hops: "), "{text}");
}

#[test]
fn what_is_given_is_checked() {
    let (code, text) = explain(&order(&json!({})), Some("contxt: {}"));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("given.yaml: ") && text.contains("contxt"), "{text}");
    let (code, text) = run(tempfile::tempdir().unwrap().path(), &["explain", "no-file", "--file", SHOP]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("\"no-file\" is no file"), "{text}");
}

#[test]
fn the_shops_tests_pass() {
    let (code, text) = run(Path::new(SHOP), &["test"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("6 passed, 0 failed"), "{text}");
}

const TEST: &str = "apiVersion: spine/v1
kind: ActivityTest
metadata: {name: echo}
spec:
  activity: echo
  cases:
    - name: wrong
      event: {type: com.test.asked, data: {n: 1}}
      expect:
        matched: true
        tasks: {answer: {with: {data: {n: 2}}}}
        status: failed
    - name: kept
      event: {type: com.test.asked, data: {n: 5}}
    - name: no event
      event: {type: com..test}
      expect: {decision: started}
";
const ECHO: &str = "apiVersion: spine/v1
kind: Activity
metadata: {name: echo}
spec:
  on: [{event: com.test.asked}]
  tasks: [{id: answer, uses: emit, with: {type: com.test.answered, data: {n: \"${ event.data.n }\"}}}]
";

#[test]
fn a_failed_case_names_what_was_seen_and_what_was_wanted() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("echo.yaml"), ECHO).unwrap();
    fs::write(folder.path().join("echo.test.yaml"), TEST).unwrap();
    let (code, text) = run(folder.path(), &["test"]);
    assert_eq!(code, Some(1), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_golden_file_is_written_and_then_holds() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("echo.yaml"), ECHO).unwrap();
    fs::write(folder.path().join("echo.test.yaml"), TEST).unwrap();
    let kept = |args: &[&str]| run(folder.path(), &[&["test", "--case", "kept"], args].concat());
    assert_eq!(kept(&[]).0, Some(1));
    assert_eq!(kept(&["--update"]).0, Some(0));
    assert_eq!(kept(&[]).0, Some(0));
    fs::write(folder.path().join("echo.yaml"), ECHO.replace("event.data.n", "event.data.n + 1")).unwrap();
    let (code, text) = kept(&[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("-        n: 5") && text.contains("+        n: 6"), "{text}");
}

#[test]
fn a_test_without_its_activity_says_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("echo.yaml"), ECHO).unwrap();
    fs::write(folder.path().join("echo.test.yaml"), TEST.replace("activity: echo", "activity: ecco")).unwrap();
    let (code, text) = run(folder.path(), &["test"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("echo.test.yaml:5:13: spec.activity: there is no activity `ecco`") && text.contains("`echo`"),
        "{text}"
    );
    let empty = tempfile::tempdir().unwrap();
    let (code, text) = run(empty.path(), &["test"]);
    assert_eq!(code, Some(2), "{text}");
}
