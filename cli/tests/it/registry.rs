//! The commands that change what the registry holds, on a real stack.

use serde_json::{Value, json};

use crate::world::{SOURCE, World};

fn echo(extra: &str) -> String {
    format!(
        "apiVersion: spine/v1\nkind: Activity\nmetadata: {{name: echo}}\nspec:\n  on: [{{event: com.test.asked}}]\n  \
         tasks: [{{id: answer, uses: emit, with: {{type: com.test.answered{extra}}}}}]\n"
    )
}

const HOURLY: &str = "apiVersion: spine/v1
kind: Activity
metadata: {name: hourly}
spec:
  on: [{schedule: {calendar: {minute: 5, dayOfWeek: mon}}}]
  tasks: [{id: a, uses: emit, with: {type: com.test.hour}}]
";
const TYPE: &str = "{apiVersion: spine/v1, kind: EventType, metadata: {name: com.test.asked}, spec: {schema: true}}";

fn failure(world: &World, args: &[&str]) -> (Option<i32>, String) {
    let output = world.spine(args).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_can_be_done_to_an_activity() {
    let world = World::boot().await;
    let folder = world.folder.path().join("definitions");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let path = folder.to_str().unwrap();
    write("echo.yaml", &echo(""));
    write("hourly.yaml", HOURLY);
    write("type.yaml", TYPE);

    let (code, text) = failure(&world, &["diff", "-f", path]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("+  name: echo") && text.contains("3 documents differ"), "{text}");
    let applied = world.json(&["apply", "-f", path]);
    assert_eq!(applied["schedules"], json!([{"schedule": "spine/hourly/0", "change": "created"}]));
    assert_eq!(world.ok(&["diff", "-f", path]).trim(), "");

    write("echo.yaml", &echo(", subject: x"));
    let (_, text) = failure(&world, &["diff", "-f", path]);
    assert!(text.contains("+      subject: x") && text.contains("1 document differs"), "{text}");
    let told = world.ok(&["apply", "-f", path, "--dry-run"]);
    assert!(told.contains("1 -> 2"), "{told}");
    assert_eq!(world.json(&["get"])[0]["revision"], 1);
    world.ok(&["apply", "-f", path]);

    let shown = world.ok(&["show", "echo"]);
    assert!(shown.starts_with("# revision 2, current, enabled\n# sha256:") && shown.contains("subject: x"), "{shown}");
    assert_eq!(world.json(&["show", "echo", "--revision", "1"])["current"], false);
    assert!(world.ok(&["show", "event-type", "com.test.asked"]).contains("schema: true"));

    let rolled = world.json(&["rollback", "echo"]);
    assert_eq!((&rolled["applied"][0]["previous"], &rolled["applied"][0]["revision"]), (&json!(2), &json!(1)));
    world.ok(&["disable", "echo", "hourly", "--reason", "too loud"]);
    assert_eq!(world.json(&["get"]).as_array().unwrap().iter().filter(|row| row["enabled"] == false).count(), 2);
    let enabled = world.json(&["enable", "hourly"]);
    assert_eq!(enabled["schedules"], json!([{"schedule": "spine/hourly/0", "change": "updated"}]));

    let history = world.json(&["history", "echo"]);
    let actions: Vec<&Value> = history["changes"].as_array().unwrap().iter().map(|change| &change["action"]).collect();
    assert_eq!(actions, ["disabled", "rolled_back", "updated", "created"]);
    assert!(world.ok(&["history", "echo"]).contains("too loud"));

    assert_eq!(failure(&world, &["delete", "activity", "hourly"]).0, Some(2));
    let deleted = world.json(&["delete", "activity", "hourly", "--yes"]);
    assert_eq!(deleted["schedules"], json!([{"schedule": "spine/hourly/0", "change": "deleted"}]));
    let (code, text) = failure(&world, &["show", "hourly"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(world.ok(&["show", "hourly", "--revision", "1"]).contains("# revision 1, not current, deleted"));
    let (code, text) = failure(&world, &["enable", "ecco"]);
    assert!(code == Some(1) && text.contains("there is no activity \"ecco\"; did you mean \"echo\"?"), "{text}");
    let (code, text) = failure(&world, &["rollback", "echo", "--to", "9"]);
    assert!(code == Some(1) && text.contains("has no revision 9"), "{text}");

    std::fs::remove_file(folder.join("type.yaml")).unwrap();
    let told = world.json(&["apply", "-f", path, "--prune", "--dry-run"]);
    let last = told["applied"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["name"], &last["change"]), (&json!("com.test.asked"), &json!("deleted")));
    let (code, text) = failure(&world, &["apply", "-f", path, "--prune"]);
    assert!(code == Some(2) && text.contains("EventType com.test.asked is deleted; pass --yes"), "{text}");
    world.ok(&["apply", "-f", path, "--prune", "--yes"]);
    assert_eq!(world.json(&["get", "event-types"]), json!([]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_executes_yet_is_refused_with_its_place() {
    let world = World::boot().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/examples/valid/flow.yaml");
    let (code, text) = failure(&world, &["apply", "-f", path]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("nothing was applied")
            && text.contains(":7:3: spec.flow: `flow` is checked, but not executed yet"),
        "{text}"
    );
    assert_eq!(world.json(&["get"]), json!([]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_activity_starts_nothing_and_the_decision_says_so() {
    let world = World::echo().await;
    world.ok(&["disable", "echo"]);
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    world.ask("one");
    let trace = world.settled("one");
    assert_eq!(trace["decisions"][0]["outcome"]["decision"], "unmatched");
    let explained = world.ok(&["explain", "one", "--source", SOURCE]);
    assert!(
        explained.contains("- echo revision 1 not matched: the activity is disabled; otherwise it would match"),
        "{explained}"
    );
    world.ok(&["enable", "echo"]);
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 3.0).await;
    world.ask("two");
    assert_eq!(world.settled("two")["runs"][0]["run"]["status"], "completed");
    world.end().await;
}
