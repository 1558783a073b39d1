//! Contexts of any size up to their bound: kept out of Temporal's history, and harmless beyond it.

use serde_json::{Value, json};
use spine_testkit::{temporal, wait};
use temporalio_client::Client;
use tokio::sync::watch;

use crate::endpoint::{Answer, Endpoint};
use crate::histories::closed_history;
use crate::tasks::base64;
use crate::world::{PATIENCE, SOURCE, World};

/// What fills large values; it must stand in no history.
const FILLER: &str = "kept-out-of-history/";

#[tokio::test(flavor = "multi_thread")]
async fn a_large_context_is_decided_on_and_stays_out_of_history() {
    let (mut world, client, _endpoint) = contexts().await;
    let run = run(&world, "large");
    assert_eq!(run["run"]["status"], "completed", "{}", short(&run));
    let told = event(&run, "com.test.used");
    assert_eq!(told["data"], json!({"name": "of http", "last": 7, "rows": 900}));
    let context = run["run"]["context"].to_string();
    assert!(context.len() > 4_000_000, "{}", context.len());
    let decided = run["audit"].as_array().unwrap().iter().find(|fact| fact["fact"] == "decided").unwrap();
    assert_eq!(decided["detail"]["contextHash"], run["run"]["context_hash"]);
    let history = closed_history(&client, run["run"]["id"].as_str().unwrap()).await.to_string();
    assert!(history.len() < 20_000, "{} bytes of history", history.len());
    for skip in 0..3 {
        let filler = FILLER.repeat(3);
        assert!(!history.contains(&base64(&filler.as_bytes()[skip..])) && !history.contains(FILLER));
    }
    still_works(&mut world);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_a_named_failure_and_the_worker_goes_on() {
    let (mut world, client, _endpoint) = contexts().await;
    for (kind, says) in [
        ("rows", "context all: database own: take more than 1000 rows from one query"),
        ("row", "context all: database own: take more than 4194304 bytes from one query"),
        ("answer", "answered more than 4194304 bytes"),
        ("sum", "the context has more than 8388608 bytes, which are allowed in all"),
    ] {
        let run = run(&world, kind);
        assert_eq!(run["run"]["status"], "failed", "{}", short(&run));
        let error = &run["run"]["error"];
        let expected = if kind == "sum" { "ContextTooLarge" } else { "ContextFailed" };
        assert_eq!(error["type"], expected, "{kind}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{kind}: {error}");
    }
    // A message of 100 KB is cut wherever it is passed on.
    let run = run(&world, "message");
    let error = &run["tasks"][0]["error"];
    let message = error["message"].as_str().unwrap();
    assert_eq!(error["type"], "SqlFailed");
    assert!(message.contains("invalid input syntax") && message.ends_with(" more bytes)"), "{message}");
    assert!(message.len() <= 2048, "{}", message.len());
    let history = closed_history(&client, run["run"]["id"].as_str().unwrap()).await.to_string();
    assert!(history.len() < 30_000, "{} bytes of history", history.len());
    assert!(run.to_string().len() < 30_000, "{} bytes of rows and events", run.to_string().len());
    still_works(&mut world);
    world.end().await;
}

/// What is larger than it first seemed is looked up again, a few runs at a time; meanwhile others go on.
#[tokio::test(flavor = "multi_thread")]
async fn large_contexts_take_turns_and_small_ones_pass_them() {
    const RUNS: usize = 24;
    const AT_ONCE: usize = 8;
    let (open, gate) = watch::channel(false);
    let endpoint = Endpoint::start(move |_, times| {
        let answer = Answer::json(&json!({"filler": FILLER.repeat(20_000)}));
        let mut gate = gate.clone();
        match times {
            1 => answer,
            _ => Answer::Later(Box::pin(async move {
                gate.wait_for(|open| *open).await.unwrap();
                answer
            })),
        }
    })
    .await;
    let (mut world, _) = started(&endpoint).await;
    let id = |n: usize| format!("turn-{n}");
    for n in 0..RUNS {
        world.ok(&["publish", "--type", "com.test.turns", "--source", SOURCE, "--id", &id(n)]);
    }
    let asked = || endpoint.asked("/turn-").len();
    wait::until("all know that they are large, and some have room", PATIENCE, async || {
        (asked() == RUNS + AT_ONCE).then_some(())
    })
    .await;
    still_works(&mut world);
    assert_eq!(asked(), RUNS + AT_ONCE, "no more than have room");
    open.send_replace(true);
    for n in 0..RUNS {
        assert_eq!(world.settled(&id(n))["runs"][0]["run"]["status"], "completed");
    }
    assert_eq!(asked(), 2 * RUNS);
    world.end().await;
}

/// The activities below, and an endpoint with large answers.
async fn contexts() -> (World, Client, Endpoint) {
    let endpoint = Endpoint::start(answer).await;
    let (world, client) = started(&endpoint).await;
    (world, client, endpoint)
}

async fn started(endpoint: &Endpoint) -> (World, Client) {
    let mut world = World::boot().await;
    world.apply_echo();
    let file = world.folder.path().join("contexts.yaml");
    std::fs::write(&file, ACTIVITIES).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    let database = world.stack.database_url().to_owned();
    world.start("relay", &[]).await;
    world.start("worker", &[("SPINE_VALUES__big", &endpoint.url), ("SPINE_DATABASES__own", &database)]).await;
    world.start("router", &[]).await;
    let client = temporal::client(world.stack.temporal_address()).await.unwrap();
    (world, client)
}

/// `/N` gives an object of N bytes and a little.
fn answer(request: &Value, _times: usize) -> Answer {
    let bytes: usize = request["path"].as_str().unwrap()[1..].parse().unwrap();
    let filler = FILLER.repeat(bytes / FILLER.len());
    Answer::json(&json!({"filler": filler, "name": "of http", "items": [{"n": 7}]}))
}

fn run(world: &World, kind: &str) -> Value {
    world.ok(&["publish", "--type", &format!("com.test.{kind}"), "--source", SOURCE, "--id", kind]);
    world.settled(kind)["runs"][0].take()
}

fn still_works(world: &mut World) {
    world.ask("after");
    assert_eq!(world.settled("after")["runs"][0]["run"]["status"], "completed");
}

fn event<'a>(run: &'a Value, event_type: &str) -> &'a Value {
    &run["events"].as_array().unwrap().iter().find(|event| event["event"]["type"] == event_type).unwrap()["event"]
}

/// A run, for the message of a failure: its context may fill a screen a thousand times.
fn short(run: &Value) -> String {
    run.to_string().chars().take(2000).collect()
}

const ACTIVITIES: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: large}
spec:
  on: [{event: com.test.large}]
  context:
    http: {http: {url: "${ config.big }/2097152"}}
    sql:
      sql: {database: own, query: "select n, repeat('kept-out-of-history/', 110) as filler from generate_series(1, 900) n"}
  tasks:
    - id: find
      uses: sql
      with: {database: own, query: "select $1::int as n", args: ["${ context.http.items[0].n }"]}
    - id: use
      needs: [find]
      uses: emit
      with:
        type: com.test.used
        data: {name: "${ context.http.name }", last: "${ tasks.find.output.rows[0].n }", rows: "${ size(context.sql) }"}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: turns}
spec:
  on: [{event: com.test.turns}]
  context:
    all: {http: {url: "${ config.big }/${ event.id }"}, timeout: 1m}
  tasks:
    - {id: use, uses: emit, with: {type: com.test.turned}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: rows}
spec:
  on: [{event: com.test.rows}]
  context:
    all: {sql: {database: own, query: "select n from generate_series(1, 1000000) n"}}
  tasks:
    - {id: never, uses: emit, with: {type: com.test.never}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: row}
spec:
  on: [{event: com.test.row}]
  context:
    all: {sql: {database: own, query: "select repeat('x', 200000000)"}, timeout: 30s}
  tasks:
    - {id: never, uses: emit, with: {type: com.test.never}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: answer}
spec:
  on: [{event: com.test.answer}]
  context:
    all: {http: {url: "${ config.big }/5000000"}}
  tasks:
    - {id: never, uses: emit, with: {type: com.test.never}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: sum}
spec:
  on: [{event: com.test.sum}]
  context:
    a: {http: {url: "${ config.big }/3000000"}}
    b: {http: {url: "${ config.big }/3000000"}}
    c: {http: {url: "${ config.big }/3000000"}}
  tasks:
    - {id: never, uses: emit, with: {type: com.test.never}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: message}
spec:
  on: [{event: com.test.message}]
  tasks:
    - {id: fails, uses: sql, with: {database: own, query: "select repeat('x', 100000)::int"}}
"#;
