//! What tasks can do, and what they withstand.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use spine_testkit::process::{self, Child};
use spine_testkit::{locate, wait};

use crate::endpoint::{Answer, Endpoint};
use crate::world::{PATIENCE, SOURCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_in_python_is_called_from_a_definition() {
    let mut world = World::boot().await;
    let mut worker = python_worker(&world);
    world.ok(&["apply", "--file", concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python-worker/activity.yaml")]);
    world.start_all().await;
    wait::until("the Python worker is ready", PATIENCE, async || {
        assert!(worker.try_wait().unwrap().is_none(), "the Python worker ended:\n{}", worker.log());
        worker.log().contains("ready").then_some(())
    })
    .await;

    let run = scored(&world, "large", r#"{"total": 1200}"#);
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(task(&run, "score")["output"], json!({"risk": 0.9, "attempt": 1}));
    let told = run["events"].as_array().unwrap().iter().find(|event| event["event"]["type"] == "com.shop.order.scored");
    assert_eq!(told.unwrap()["event"]["data"]["risk"], 0.9);

    // The worker's own error type is the failure's, and `nonRetryable` names it: one attempt.
    let run = scored(&world, "empty", "{}");
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    let error = &task(&run, "score")["error"];
    assert_eq!((&error["type"], &error["message"]), (&json!("InvalidOrder"), &json!("an order has a total")));
    worker.kill().unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_in_another_database_is_a_task() {
    let world = World::shop().await;
    let file = world.folder.path().join("sql.yaml");
    std::fs::write(&file, SQL).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    let publish = |event_type: &str, id: &str, data: &str| {
        world.ok(&["publish", "--type", event_type, "--source", SOURCE, "--id", id, "--data", data]);
        world.settled(id)["runs"][0].take()
    };
    let run = publish("com.test.bought", "b1", r#"{"customer": "o'brien; drop table orders", "total": 12.5}"#);
    assert_eq!(run["run"]["status"], "completed", "{run:#}");
    assert_eq!(task(&run, "add")["output"]["rowsAffected"], 1);
    let told =
        run["events"].as_array().unwrap().iter().find(|event| event["event"]["type"] == "com.test.kept").unwrap();
    assert_eq!(told["event"]["data"], json!([{"customer": "o'brien; drop table orders", "total": 12.5}]));
    let done = r#"spine_worker_tasks_total{kind="sql",outcome="completed"}"#;
    assert!((world.metric("worker", done).await - 2.0).abs() < 0.1);

    let run = publish("com.test.misspelt", "m1", "{}");
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    let task = task(&run, "wrong");
    assert_eq!((&task["error"]["type"], &task["attempts"]), (&json!("SqlFailed"), &json!(1)));
    assert!(task["error"]["message"].as_str().unwrap().contains("does not exist"), "{task:#}");
    world.end().await;
}

/// What a task or a lookup sends has the secret; what is kept, told, logged or shown has not, also where the other
/// side answers with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_its_endpoint_and_stands_nowhere_else() {
    const TOKENS: [&str; 2] = ["s3cr3t-of-the-configuration", "s3cr3t-of-a-file"];
    let echo = Endpoint::start(|request, _| Answer::Whole(200, "text/plain", said(request))).await;
    let mut world = World::boot().await;
    let secrets = world.folder.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    std::fs::write(secrets.join("rotating"), format!("{}\n", TOKENS[1])).unwrap();
    let file = world.folder.path().join("secrets.yaml");
    std::fs::write(&file, SECRETS).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    world.start("relay", &[]).await;
    let settings = [
        ("SPINE_VALUES__echo", echo.url.as_str()),
        ("SPINE_SECRETS__token", TOKENS[0]),
        ("SPINE_WORKER__SECRETS_DIR", secrets.to_str().unwrap()),
        ("RUST_LOG", "debug"),
    ];
    world.start("worker", &settings).await;
    world.start("router", &[]).await;
    world.ok(&["publish", "--type", "com.test.secret", "--source", SOURCE, "--id", "s", "--data", r#"{"n": [1, 2]}"#]);
    let run = world.settled("s")["runs"][0].take();
    assert_eq!(run["run"]["status"], "failed", "{run:#}");
    assert_eq!(task(&run, "missing")["error"]["type"], "UnknownSecret");
    assert_eq!(task(&run, "tell")["status"], "completed", "{run:#}");
    assert_eq!(task(&run, "echo")["output"], "/echo/1 Bearer [secret token] {\"n\":1,\"other\":\"[secret rotating]\"}");
    assert_eq!(task(&run, "echo")["request"]["headers"]["Authorization"], "Bearer [secret token]");
    assert_eq!(run["run"]["context"]["who"], "/echo/who Bearer [secret token] ");
    let sent = echo.asked("/").iter().map(said).collect::<Vec<_>>().join("\n");
    for expected in [
        "/echo/who Bearer s3cr3t-of-the-configuration ",
        "/echo/2 Bearer s3cr3t-of-the-configuration {\"n\":2,\"other\":\"s3cr3t-of-a-file\"}",
    ] {
        assert!(sent.contains(expected), "{expected} in {sent}");
    }

    let client = spine_testkit::temporal::client(world.stack.temporal_address()).await.unwrap();
    let history = crate::histories::closed_history(&client, run["run"]["id"].as_str().unwrap()).await;
    let dump = Command::new(locate::postgres("pg_dump").unwrap()).arg(world.stack.database_url()).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let logs = ["worker", "router", "relay"]
        .map(|name| std::fs::read(world.folder.path().join(format!("{name}.log"))).unwrap());
    let shown = world.spine(&["config", "show"]).envs(settings).output().unwrap().stdout;
    let places = [
        ("run", run.to_string()),
        ("history", history.to_string()),
        ("config show", String::from_utf8(shown).unwrap()),
    ];
    let places = places.into_iter().chain([("database", String::from_utf8(dump.stdout).unwrap())]);
    for (place, text) in places.chain(logs.map(|log| ("log", String::from_utf8(log).unwrap()))) {
        assert!(!text.is_empty(), "nothing was looked through in {place}");
        // Payloads stand in history as base64, whose text depends on where in a group of three a word begins.
        let forms = |token: &str| {
            (0..3).map(|skip| base64(&token.as_bytes()[skip..])).chain([token.to_owned()]).collect::<Vec<_>>()
        };
        for form in TOKENS.into_iter().flat_map(forms) {
            assert!(!text.contains(&form), "{form} stands in {place}:\n{text}");
        }
    }
    world.end().await;
}

const SECRETS: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: secrets}
spec:
  on: [{event: com.test.secret}]
  context:
    who: {http: {url: "${ config.echo }/echo/who", headers: {Authorization: 'Bearer ${ secret("token") }'}}}
  tasks:
    - id: echo
      forEach: event.data.n
      uses: http
      with:
        method: POST
        url: ${ config.echo }/echo/${ item }
        headers: {Authorization: 'Bearer ${ secret("token") }'}
        body: {n: "${ item }", other: '${ secret("rotating") }'}
    - {id: tell, needs: [echo], uses: emit, with: {type: com.test.told, data: "${ tasks.echo.output }"}}
    - {id: missing, uses: http, with: {method: GET, url: "${ config.echo }/echo/x", headers: {A: '${ secret("none") }'}}}
"#;

/// Each endpoint that misbehaves gives a failure with a name, in bounded time and memory, and the worker goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_misbehaves_is_named_and_harms_nobody() {
    let bad = Endpoint::start(answer_wrongly).await;
    let mut world = World::boot().await;
    world.apply_echo();
    let file = world.folder.path().join("bad.yaml");
    std::fs::write(&file, BAD).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    world.start("relay", &[]).await;
    world.start("worker", &[("SPINE_VALUES__bad", &bad.url)]).await;
    world.start("router", &[]).await;
    world.ok(&["publish", "--type", "com.test.bad", "--source", SOURCE, "--id", "bad"]);
    let run = world.settled("bad")["runs"][0].take();
    let failure = |id: &str| (task(&run, id)["error"]["type"].as_str().unwrap(), task(&run, id)["attempts"].clone());
    assert_eq!(failure("hang"), ("Timeout", json!(2)));
    assert_eq!(failure("stream"), ("AnswerTooLarge", json!(1)));
    assert_eq!(failure("drip"), ("Timeout", json!(2)));
    assert_eq!(failure("big"), ("AnswerTooLarge", json!(1)));
    assert_eq!(failure("redirect"), ("HttpStatus", json!(1)));
    assert_eq!(failure("json"), ("InvalidAnswer", json!(1)));
    assert_eq!(failure("binary"), ("InvalidAnswer", json!(1)));
    assert_eq!(failure("garbage"), ("HttpTransport", json!(2)));
    assert_eq!(run["run"]["status"], "failed");
    assert!(bad.asked("/secret").is_empty(), "the redirect was followed");
    // The worker that did all this still works.
    world.ask("good");
    assert_eq!(world.settled("good")["runs"][0]["run"]["status"], "completed");
    world.end().await;
}

const BAD: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: bad}
spec:
  on: [{event: com.test.bad}]
  tasks:
    - {id: hang, uses: http, timeout: 1s, retry: {maxAttempts: 2, initialInterval: 10ms}, with: {method: GET, url: "${ config.bad }/hang"}}
    - {id: stream, uses: http, with: {method: GET, url: "${ config.bad }/stream"}}
    - {id: drip, uses: http, timeout: 1s, retry: {maxAttempts: 2, initialInterval: 10ms}, with: {method: GET, url: "${ config.bad }/drip"}}
    - {id: big, uses: http, with: {method: GET, url: "${ config.bad }/big"}}
    - {id: redirect, uses: http, with: {method: GET, url: "${ config.bad }/redirect"}}
    - {id: json, uses: http, with: {method: GET, url: "${ config.bad }/json"}}
    - {id: binary, uses: http, with: {method: GET, url: "${ config.bad }/binary"}}
    - {id: garbage, uses: http, retry: {maxAttempts: 2, initialInterval: 10ms}, with: {method: GET, url: "${ config.bad }/garbage"}}
"#;

/// A lookup that would never end is cut off, named, and the worker goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_with_a_million_rows_is_named_and_harms_nobody() {
    let mut world = World::boot().await;
    world.apply_echo();
    let file = world.folder.path().join("rows.yaml");
    std::fs::write(&file, ROWS).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    let database = world.stack.database_url().to_owned();
    world.start("relay", &[]).await;
    world.start("worker", &[("SPINE_DATABASES__shop", &database)]).await;
    world.start("router", &[]).await;
    world.ok(&["publish", "--type", "com.test.rows", "--source", SOURCE, "--id", "rows"]);
    let run = world.settled("rows")["runs"][0].take();
    let error = &run["run"]["error"];
    assert_eq!((&run["run"]["status"], &error["type"]), (&json!("failed"), &json!("ContextFailed")), "{run:#}");
    assert!(error["message"].as_str().unwrap().contains("more than 1000 rows"), "{error}");
    world.ask("good");
    assert_eq!(world.settled("good")["runs"][0]["run"]["status"], "completed");
    world.end().await;
}

const ROWS: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: rows}
spec:
  on: [{event: com.test.rows}]
  context:
    all: {sql: {database: shop, query: "select n from generate_series(1, 1000000) n"}}
  tasks:
    - {id: never, uses: emit, with: {type: com.test.never}}
"#;

/// Each path is answered in its own wrong way.
fn answer_wrongly(request: &Value, _times: usize) -> Answer {
    let ok = |rest: &str, body: &[u8]| {
        Answer::Raw([format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{rest}\r\n\r\n").as_bytes(), body].concat())
    };
    match request["path"].as_str().unwrap() {
        "/stream" => Answer::Endless(Duration::ZERO),
        "/drip" => Answer::Endless(Duration::from_millis(100)),
        "/big" => ok("Content-Type: application/json\r\nContent-Length: 5000000", &vec![b' '; 5_000_000]),
        "/redirect" => Answer::Raw(b"HTTP/1.1 302 Found\r\nLocation: /secret\r\nContent-Length: 0\r\n\r\n".into()),
        "/json" => ok("Content-Type: application/json", b"{\"a\": "),
        "/binary" => ok("Content-Type: image/png", &[0x89, 0xff, 0xfe]),
        "/garbage" => Answer::Raw(b"this is no HTTP\r\n\r\n".into()),
        _ => Answer::Never,
    }
}

/// The path, the `Authorization` and the body of a request.
fn said(request: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {} {}", word(&request["path"]), word(&request["headers"]["authorization"]), word(&request["body"]))
}

/// The text that stands in any base64 of something with this in it: without what depends on what follows.
pub(crate) fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(&bytes[..bytes.len() / 3 * 3])
}

const SQL: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: bought}
spec:
  on: [{event: com.test.bought}]
  tasks:
    - id: add
      uses: sql
      with:
        database: shop
        query: insert into orders values ($1, $2, $3)
        args: ["${ event.id }", "${ event.data.customer }", "${ event.data.total }"]
    - id: read
      needs: [add]
      uses: sql
      with:
        database: shop
        query: select customer, total from orders where customer = $1
        args: ["${ event.data.customer }"]
    - {id: tell, needs: [read], uses: emit, with: {type: com.test.kept, data: "${ tasks.read.output.rows }"}}
---
apiVersion: spine/v1
kind: Activity
metadata: {name: misspelt}
spec:
  on: [{event: com.test.misspelt}]
  tasks:
    - {id: wrong, uses: sql, with: {database: shop, query: delete from ordres}}
"#;

fn python_worker(world: &World) -> Child {
    let mut command = Command::new(locate::program("python3").unwrap());
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python-worker/worker.py"))
        .arg(world.stack.temporal_address());
    process::spawn(command, &world.folder.path().join("python.log"), Signal::KILL).unwrap()
}

fn scored(world: &World, id: &str, data: &str) -> Value {
    let event_type = "com.shop.order.score-requested";
    world.ok(&["publish", "--type", event_type, "--source", SOURCE, "--id", id, "--subject", "7", "--data", data]);
    world.settled(id)["runs"][0].take()
}

pub(crate) fn task<'a>(run: &'a Value, id: &str) -> &'a Value {
    run["tasks"].as_array().unwrap().iter().find(|task| task["task"] == id).unwrap()
}
