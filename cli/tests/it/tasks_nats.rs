//! Every option of `uses: nats`, against real servers.

use std::process::Command;

use async_nats::jetstream::stream;
use async_nats::{Client, HeaderMap, jetstream};
use futures::StreamExt as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use spine_testkit::process::{self, Child};
use spine_testkit::{locate, ports, wait};
use tokio::task::JoinHandle;

use crate::tasks::task;
use crate::tasks_http::{played, started};
use crate::world::{PATIENCE, SOURCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_stored_or_answered_or_their_failure_is_named() {
    let activity = MESSAGES.replace("LONG", &"x".repeat(1000));
    let world = started(&activity, &[("SPINE_VALUES__zone", "eu"), ("SPINE_SECRETS__token", "s3cr3t-token")]).await;
    let client = async_nats::connect(world.stack.nats_url()).await.unwrap();
    let audit = audit_stream(&client).await;
    let service = serve(client.clone()).await;

    let run = played(&world, "messages", r#"{"country": "AT", "sku": "a-1"}"#);
    let output = |id: &str| {
        assert_eq!(task(&run, id)["status"], "completed", "{:#}", task(&run, id));
        task(&run, id)["output"].clone()
    };
    let failure = |id: &str| (task(&run, id)["error"]["type"].as_str().unwrap(), task(&run, id)["attempts"].clone());
    let run_id = run["run"]["id"].as_str().unwrap();

    let stored = output("audited");
    assert_eq!((&stored["stream"], &stored["duplicate"]), (&json!("AUDIT"), &json!(false)));
    let message = audit.get_raw_message(stored["sequence"].as_u64().unwrap()).await.unwrap();
    let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
    assert_eq!((message.subject.as_str(), &*message.payload), ("audit.eu.AT", br#"{"sku":"a-1"}"#.as_slice()));
    assert_eq!(
        (header("Nats-Msg-Id"), header("Idempotency-Key")),
        (format!("{run_id}/audited/0"), format!("{run_id}/audited/0"))
    );
    assert_eq!((header("Content-Type"), header("X-Order")), ("application/json".into(), "a-1".into()));

    let quote = output("quote");
    assert_eq!((&quote["subject"], &quote["body"]), (&json!("quotes.eu.AT"), &json!("sku=a-1")));
    assert_eq!((&quote["type"], &quote["key"]), (&json!("text/plain"), &json!(format!("{run_id}/quote/0"))));
    assert_eq!(quote["authorization"], "Bearer [secret token]");
    assert_eq!(task(&run, "quote")["request"]["headers"]["Authorization"], "Bearer [secret token]");
    assert_eq!(output("text"), "fine");
    assert_eq!(output("empty"), Value::Null);

    assert_eq!(failure("no_stream"), ("NoStream", json!(2)));
    assert_eq!(failure("nobody"), ("NoResponders", json!(2)));
    assert_eq!(failure("silent"), ("Timeout", json!(2)));
    assert_eq!(failure("large"), ("AnswerTooLarge", json!(1)));
    assert_eq!(failure("refused"), ("ServiceError", json!(1)));
    assert_eq!(failure("violation"), ("SchemaViolation", json!(1)));
    assert_eq!(failure("no_ack"), ("StreamRefused", json!(1)));
    assert_eq!(failure("too_long"), ("StreamRefused", json!(1)));
    let completed = r#"spine_worker_tasks_total{kind="nats",outcome="completed"}"#;
    assert!((world.metric("worker", completed).await - 4.0).abs() < 0.1);
    service.abort();
    world.end().await;
}

/// What an attempt published whose answer got lost is not stored again by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_stream_has_is_not_stored_twice() {
    let world = started(ONCE, &[]).await;
    let client = async_nats::connect(world.stack.nats_url()).await.unwrap();
    let mut audit = audit_stream(&client).await;
    let key = spine_core::key::EventKey::new(SOURCE, "again");
    let run = spine_core::names::run_id("once", &key);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("{run}/tell/0"));
    let jetstream = jetstream::new(client);
    jetstream.publish_with_headers("audit.once", headers, "first".into()).await.unwrap().await.unwrap();
    world.ok(&["publish", "--type", "com.test.once", "--source", SOURCE, "--id", "again"]);
    let run = world.settled("again")["runs"][0].take();
    assert_eq!(task(&run, "tell")["output"], json!({"stream": "AUDIT", "sequence": 1, "duplicate": true}), "{run:#}");
    assert_eq!(audit.info().await.unwrap().state.messages, 1);
    world.end().await;
}

/// A worker whose NATS is away, or permits little, does all else that it has to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_nats_runs_all_other_tasks() {
    let port = ports::free().unwrap();
    let url = format!("nats://spine:pw@127.0.0.1:{port}");
    let world = started(AWAY, &[("NATS_URL", &url)]).await;
    world.apply_echo();
    crate::world::until_metric(&world, "router", "spine_router_catalog_version", 2.0).await;
    let run = played(&world, "away", "{}");
    let error = &task(&run, "send")["error"];
    assert_eq!((&error["type"], &task(&run, "send")["attempts"]), (&json!("NatsUnavailable"), &json!(2)), "{run:#}");
    assert!(!error.to_string().contains("pw@"), "{error}");
    world.ask("other");
    assert_eq!(world.settled("other")["runs"][0]["run"]["status"], "completed");

    // The same worker, once a server is there that permits one subject only.
    let mut server = restricted(&world, port).await;
    let run = played(&world, "away", "{}");
    let error = &task(&run, "send")["error"];
    assert_eq!((&error["type"], &task(&run, "send")["attempts"]), (&json!("NotPermitted"), &json!(1)), "{run:#}");
    assert!(error["message"].as_str().unwrap().contains("closed.it"), "{error}");
    let error = &task(&run, "ask")["error"];
    assert_eq!((&error["type"], &task(&run, "ask")["attempts"]), (&json!("NoResponders"), &json!(1)), "{run:#}");
    server.kill().unwrap();
    world.end().await;
}

const MESSAGES: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: messages}
spec:
  on: [{event: com.test.messages}]
  tasks:
    - id: audited
      uses: nats
      with:
        publish: audit.${ config.zone }.${ event.data.country }
        headers: {X-Order: "${ event.data.sku }"}
        body: {sku: "${ event.data.sku }"}
    - id: quote
      uses: nats
      with:
        request: quotes.${ config.zone }.${ event.data.country }
        headers: {Content-Type: text/plain, Authorization: 'Bearer ${ secret("token") }'}
        body: sku=${ event.data.sku }
        response: {schema: {type: object, required: [subject]}}
    - {id: text, uses: nats, with: {request: quotes.text}}
    - {id: empty, uses: nats, with: {request: quotes.empty, response: {schema: {type: "null"}}}}
    - {id: no_stream, uses: nats, retry: {maxAttempts: 2, initialInterval: 10ms}, with: {publish: nowhere.at.all}}
    - {id: nobody, uses: nats, retry: {maxAttempts: 2, initialInterval: 10ms}, with: {request: nowhere.at.all}}
    - {id: silent, uses: nats, timeout: 1s, retry: {maxAttempts: 2, initialInterval: 10ms}, with: {request: quotes.silent}}
    - {id: large, uses: nats, with: {request: quotes.large}}
    - {id: refused, uses: nats, with: {request: quotes.refused}}
    - {id: violation, uses: nats, with: {request: quotes.json, response: {schema: {type: array}}}}
    - {id: no_ack, uses: nats, with: {publish: quotes.json}}
    - {id: too_long, uses: nats, with: {publish: audit.long, body: LONG}}
"#;

const ONCE: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: once}
spec:
  on: [{event: com.test.once}]
  tasks:
    - {id: tell, uses: nats, with: {publish: audit.once, body: second}}
"#;

const AWAY: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: away}
spec:
  on: [{event: com.test.away}]
  tasks:
    - {id: send, uses: nats, timeout: 5s, retry: {maxAttempts: 2, initialInterval: 10ms}, with: {publish: closed.it, body: {}}}
    - {id: ask, uses: nats, timeout: 5s, retry: {maxAttempts: 1}, with: {request: open.it}}
"#;

async fn audit_stream(client: &Client) -> stream::Stream {
    let config = stream::Config {
        name: "AUDIT".into(),
        subjects: vec!["audit.>".into()],
        max_message_size: 1000,
        ..stream::Config::default()
    };
    jetstream::new(client.clone()).create_stream(config).await.unwrap()
}

/// Answers on `quotes.>` as the subject's last part says.
async fn serve(client: Client) -> JoinHandle<()> {
    let mut requests = client.subscribe("quotes.>").await.unwrap();
    client.flush().await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let Some(reply) = request.reply.clone() else { continue };
            let header = |name: &str| request.headers.as_ref().and_then(|all| Some(all.get(name)?.to_string()));
            let mut headers = HeaderMap::new();
            let payload = match request.subject.rsplit('.').next().unwrap() {
                "silent" => continue,
                "text" => "fine".to_owned(),
                "empty" => String::new(),
                "large" => "x".repeat(300 * 1024),
                "refused" => {
                    headers.insert("Nats-Service-Error", "no such article");
                    headers.insert("Nats-Service-Error-Code", "404");
                    String::new()
                }
                _ => json!({
                    "subject": request.subject.as_str(),
                    "body": String::from_utf8_lossy(&request.payload),
                    "type": header("Content-Type"),
                    "key": header("Idempotency-Key"),
                    "authorization": header("Authorization"),
                })
                .to_string(),
            };
            client.publish_with_headers(reply, headers, payload.into()).await.unwrap();
        }
    })
}

/// A NATS server whose one user may publish to `open.>` alone.
async fn restricted(world: &World, port: u16) -> Child {
    let file = world.folder.path().join("restricted.conf");
    let config = format!(
        r#"listen: "127.0.0.1:{port}"
        authorization {{ users: [{{user: spine, password: pw, permissions: {{publish: ["open.>"], subscribe: ["_INBOX.>"]}}}}] }}"#
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(locate::program("nats-server").unwrap());
    command.arg("--config").arg(&file);
    let server = process::spawn(command, &world.folder.path().join("restricted.log"), Signal::KILL).unwrap();
    wait::until("the restricted server listens", PATIENCE, async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    server
}
