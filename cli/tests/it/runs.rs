//! `spine runs`: what is listed, how one run is told, and what waiting ends with.

use std::process::Output;

use serde_json::Value;
use spine_testkit::wait;

use crate::world::{PATIENCE, SOURCE, World, until_metric};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_as_a_timeline_and_found_by_what_it_is_about() {
    let world = World::shop().await;
    let file = world.folder.path().join("told.yaml");
    std::fs::write(&file, TOLD).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    for (id, subject, customer) in [("good", "order-7", "ada"), ("bad", "order-8", "nobody")] {
        let data = format!(r#"{{"customer": "{customer}", "skus": ["desk-2"], "total": 10}}"#);
        let event = ["--type", "com.test.told", "--source", SOURCE, "--id", id, "--subject", subject, "--data", &data];
        world.ok(&[["publish"].as_slice(), &event].concat());
        world.settled(id);
    }

    insta::assert_snapshot!("timeline", redacted(&world.ok(&["runs", "show", "good"])));
    insta::assert_snapshot!("timeline_of_a_failure", redacted(&world.ok(&["runs", "show", "bad"])));
    let full = world.ok(&["runs", "show", "good", "--full"]);
    assert!(full.contains("  sku: desk-2") && full.contains("com.spine.run.completed  EVENTS:"), "{full}");
    let whole = world.json(&["runs", "show", "good"]);
    assert_eq!(whole["run"]["context"]["customer"]["tier"], "gold");
    assert_eq!(whole["decisions"][0]["outcome"]["decision"], "started");
    assert_eq!(whole["attempts"].as_array().unwrap().len(), 4, "{whole:#}");

    let listed = |filter: &[&str]| -> Vec<String> {
        let rows = world.json(&[["runs", "list", "--activity", "told"].as_slice(), filter].concat());
        rows.as_array().unwrap().iter().map(|row| row["event_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&[]), ["bad", "good"]);
    assert_eq!(listed(&["--key", "order-7"]), ["good"]);
    assert_eq!(listed(&["--event", "bad"]), ["bad"]);
    assert_eq!(listed(&["--status", "failed,running"]), ["bad"]);
    assert_eq!(listed(&["--since", "1h", "--status", "completed"]), ["good"]);
    assert!(listed(&["--until", "1h"]).is_empty() && listed(&["--since", "2999-01-01T00:00:00Z"]).is_empty());
    // The shop's own schedule may tick meanwhile.
    let table = world.ok(&["runs", "list", "--activity", "told", "--limit", "1"]);
    assert!(table.contains("told@1") && table.contains(" 1/1 ") && table.contains("HttpStatus: "), "{table}");
    assert!(table.ends_with("there are more; these are the newest 1: --limit N shows more\n"), "{table}");

    let last = whole["run"]["id"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
    assert_eq!(world.json(&["runs", "show", &last[..12]])["run"]["id"], whole["run"]["id"]);
    for (args, code, says) in [
        (["runs", "show", "no-such-run"], 1, "there is no run \"no-such-run\""),
        (["runs", "list", "--status=done"], 2, "use `running`, `completed`, `failed` or `cancelled`"),
        (["runs", "list", "--since=yesterday"], 2, "neither a time"),
    ] {
        let output = world.spine(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_with_the_runs_or_with_the_time() {
    let mut world = World::boot().await;
    world.apply_echo();
    let file = world.folder.path().join("waits.yaml");
    std::fs::write(&file, WAITS).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    // Nobody routes yet: the event is not known, and then it is.
    world.ask("one");
    let early = world.spine(&["runs", "wait", "one", "--timeout", "300ms"]).output().unwrap();
    assert_eq!(early.status.code(), Some(3), "{}", stderr(&early));
    assert!(stdout(&early).contains("unknown") && stderr(&early).contains("1 of 1 had not ended"), "{early:?}");
    let waiting = world.spine(&["runs", "wait", "one"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    world.start_all().await;
    let waited = waiting.wait_with_output().unwrap();
    assert!(waited.status.success(), "{waited:?}");
    // Both activities took it, and both runs are there.
    assert!(stdout(&waited).contains("run/echo/") && stdout(&waited).contains("run/second/"), "{}", stdout(&waited));

    let show = world.spine(&["runs", "show", "one"]).output().unwrap();
    assert_eq!(show.status.code(), Some(2));
    assert!(stderr(&show).contains("may be any of these runs") && stderr(&show).contains("run/second/"), "{show:?}");
    world.ok(&["runs", "show", "echo/one"]);

    publish(&world, "com.test.broken", "two");
    let failed = world.spine(&["runs", "wait", "one", "two", "-o", "json"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(stderr(&failed).contains("1 of 3 did not complete"), "{}", stderr(&failed));
    let outcomes: Value = serde_json::from_slice(&failed.stdout).unwrap();
    let run = outcomes.as_array().unwrap().iter().find(|outcome| outcome["asked"] == "two").unwrap();
    assert!(run["status"] == "failed" && run["error"].as_str().unwrap().contains("task breaks"), "{run}");
    let again = world.spine(&["runs", "wait", run["run"].as_str().unwrap()]).output().unwrap();
    assert_eq!(again.status.code(), Some(1), "a run by its id");

    publish(&world, "com.test.nobody", "three");
    let none = world.spine(&["runs", "wait", "three"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(stdout(&none).contains("the event started no run: unmatched"), "{}", stdout(&none));

    world.kill("worker");
    publish(&world, "com.test.broken", "four");
    wait::until("the run is started", PATIENCE, async || {
        let output = world.spine(&["runs", "wait", "four", "--timeout", "1s"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        stdout(&output).contains("opening").then_some(())
    })
    .await;
    world.end().await;
}

fn publish(world: &World, event_type: &str, id: &str) {
    world.ok(&["publish", "--type", event_type, "--source", SOURCE, "--id", id]);
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The text without what differs from run to run: times, spans, hashes, ports, places in a stream.
fn redacted(text: &str) -> String {
    let rules = [
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
        (r"(?m)^ *[+-][0-9.]+ s", " +T"),
        (r"[0-9.]+ s\b", "T"),
        (r"[0-9a-f]{48,64}", "HASH"),
        (r"127\.0\.0\.1:\d+", "SHOP"),
        (r"EVENTS:\d+", "EVENTS:N"),
        (r"catalog \d+", "catalog N"),
        (r"[RT][A-Z]*-\d+", "NUMBER"),
    ];
    rules.iter().fold(text.to_owned(), |text, (pattern, with)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
    })
}

const TOLD: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: told}
spec:
  on: [{event: com.test.told}]
  context:
    customer: {http: {url: "${ config.crm_url }/customers/ada"}}
  tasks:
    - id: check
      uses: http
      with: {method: GET, url: "${ config.crm_url }/customers/${ event.data.customer }"}
    - {id: gift, needs: [check], when: event.data.total > 100, uses: emit, with: {type: com.test.gift}}
    - id: score
      needs: [check]
      uses: worker
      with: {taskQueue: risk, activity: ScoreOrder, input: {total: "${ event.data.total }"}}
    - id: reserve
      needs: [score]
      forEach: event.data.skus
      uses: http
      with: {method: POST, url: "${ config.stock_url }/reservations", body: {sku: "${ item }"}}
      retry: {initialInterval: 10ms}
    - {id: tell, needs: [reserve], uses: emit, with: {type: com.test.reserved, subject: "${ event.subject }"}}
"#;

const WAITS: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: second}
spec:
  on: [{event: com.test.asked}]
  tasks:
    - {id: answer, uses: emit, with: {type: com.test.answered}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: broken}
spec:
  on: [{event: com.test.broken}]
  tasks:
    - {id: breaks, uses: http, retry: {maxAttempts: 1}, with: {method: GET, url: "http://127.0.0.1:1/"}}
"#;
