//! What commands print and how they end, without any server.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::spine;

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = spine(folder.path(), args, &BTreeMap::new()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop");
const INVALID: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/examples/invalid");

#[test]
fn the_example_is_right() {
    let (code, stdout, stderr) =
        run(&["check", &format!("{EXAMPLES}/activities"), &format!("{EXAMPLES}/event-types"), "-o", "json"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["documents"].as_array().unwrap().len(), 8);
}

#[test]
fn wrong_files_end_with_2_and_say_where() {
    let (code, stdout, stderr) = run(&["check", INVALID, "-o", "json"]);
    assert_eq!(code, Some(2), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let problems = report["problems"].as_array().unwrap();
    assert!(problems.len() >= 20 && problems.iter().all(|problem| problem["line"].as_u64() >= Some(1)), "{stdout}");
}

#[test]
fn wrong_usage_ends_with_2_and_what_is_away_with_1() {
    assert_eq!(run(&["nonsense"]).0, Some(2));
    assert_eq!(run(&["check", "/does/not/exist"]).0, Some(2));
    let (code, stdout, stderr) = run(&["get", "--database-url", "postgres://spine@127.0.0.1:1/spine"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("PostgreSQL at postgres://"), "{stderr}");
    let (code, _, stderr) = run(&["publish", "--type", "com.shop..placed", "--source", "s"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("type"), "{stderr}");
}

#[test]
fn version_completions_and_configuration_need_no_server() {
    assert_eq!(run(&["version"]).1, format!("spine {}\n", env!("CARGO_PKG_VERSION")));
    assert!(run(&["completions", "bash"]).1.contains("_spine"));
    let (code, stdout, _) = run(&["config", "show", "--database-url", "postgres://me:hidden@db.example/spine"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("database.url") && !stdout.contains("hidden"), "{stdout}");
}

#[test]
fn a_wrong_door_of_the_ingress_is_refused_by_its_key_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let hook =
        "[ingress.hooks.github]\nstyle = \"github\"\nsecrets = [\"hidden\"]\nsource = \"/x\"\ntype = \"x.{event}\"\n";
    std::fs::write(folder.path().join("spine.toml"), hook).unwrap();
    let run = |args: &[&str]| spine(folder.path(), args, &BTreeMap::new()).output().unwrap();
    let refused = run(&["ingress"]);
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("`ingress.hooks.github.secrets`: entry 1 is not the name of one of [secrets]"), "{stderr}");
    let shown = String::from_utf8(run(&["config", "show"]).stdout).unwrap();
    assert!(shown.contains("ingress.hooks.github") && !format!("{shown}{stderr}").contains("hidden"), "{shown}");
}

#[test]
fn a_wrong_schema_is_reported_where_it_stands_beside_everything_else() {
    let (code, stdout, stderr) = run(&["check", &format!("{INVALID}/schemas.yaml")]);
    assert_eq!(code, Some(2), "{stderr}");
    let expected = std::fs::read_to_string(format!("{INVALID}/schemas.expected.txt")).unwrap();
    let found: Vec<&str> = stdout.lines().filter_map(|line| line.strip_prefix(&format!("{INVALID}/"))).collect();
    assert_eq!(found, expected.lines().collect::<Vec<_>>());
}

#[test]
fn one_name_in_two_files_is_refused_with_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let event_type = |name: &str| {
        format!("apiVersion: spine/v1\nkind: EventType\nmetadata: {{name: {name}}}\nspec: {{schema: true}}\n")
    };
    let [first, second] = ["first.yaml", "second.yaml"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&first, event_type("a.b")).unwrap();
    std::fs::write(&second, format!("{}---\n{}", event_type("a.c"), event_type("a.b"))).unwrap();
    let event = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/events/order-placed.json");
    let expected = format!("{second}:6:1: metadata.name: EventType a.b stands in two files; first at {first}:1:1\n");
    for args in [
        vec!["check", &first, &second],
        vec!["explain", event, "--file", &first, "--file", &second],
        vec!["diff", "-f", &first, "-f", &second],
        vec!["apply", "-f", &first, "-f", &second],
    ] {
        let (code, stdout, stderr) = run(&args);
        assert_eq!(code, Some(2), "{args:?}: {stdout}{stderr}");
        assert!(format!("{stdout}{stderr}").contains(&expected), "{args:?}: {stdout}{stderr}");
    }
}

#[test]
fn a_file_named_twice_is_read_once() {
    let types = format!("{EXAMPLES}/event-types");
    let (code, stdout, stderr) = run(&["check", &types, &format!("{types}/com.shop.order.placed.yaml"), "-o", "json"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["files"], 4);
}
