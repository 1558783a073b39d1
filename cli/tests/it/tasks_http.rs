//! Every option of `uses: http`, against real endpoints.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::endpoint::{Answer, Endpoint};
use crate::tasks::task;
use crate::world::{SOURCE, World, spine};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_says_arrives_and_what_an_answer_must_be_holds() {
    let endpoint = Endpoint::start(answer).await;
    let world = started(REQUESTS, &[("SPINE_VALUES__url", &endpoint.url)]).await;
    let run = played(&world, "requests", r#"{"q": "a&b", "tags": ["x", "y"], "none": null}"#);
    let output = |id: &str| {
        assert_eq!(task(&run, id)["status"], "completed", "{:#}", task(&run, id));
        task(&run, id)["output"].clone()
    };
    let failure = |id: &str| (task(&run, id)["error"]["type"].as_str().unwrap(), task(&run, id)["attempts"].clone());

    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let asked = endpoint.asked(&format!("/method/{method}"));
        assert_eq!((asked.len(), &asked[0]["method"]), (1, &json!(method)));
        assert_eq!(task(&run, &method.to_lowercase())["status"], "completed");
    }
    assert_eq!(output("head"), Value::Null);
    assert_eq!(output("query")["path"], "/query?q=a%26b&tag=x&tag=y");
    assert_eq!(task(&run, "query")["request"]["url"], format!("{}/query?q=a%26b&tag=x&tag=y", endpoint.url));
    assert_eq!(
        (&output("text")["body"], &output("text")["headers"]["content-type"]),
        (&json!("a=a&b"), &json!("application/x-www-form-urlencoded"))
    );
    assert_eq!(
        (&output("post")["body"], &output("post")["headers"]["content-type"]),
        (&json!(r#"{"a":1}"#), &json!("application/json"))
    );
    let run_id = run["run"]["id"].as_str().unwrap();
    assert_eq!(output("post")["headers"]["idempotency-key"], format!("{run_id}/post/0"));

    let flaky = endpoint.asked("/flaky");
    assert_eq!((flaky.len(), &task(&run, "flaky")["attempts"]), (2, &json!(2)));
    assert_eq!(flaky[0]["headers"]["idempotency-key"], flaky[1]["headers"]["idempotency-key"]);

    assert_eq!(output("missing"), json!({"status": 404}));
    assert_eq!(
        output("full"),
        json!({
            "status": 409,
            "headers": {
                "connection": "close", "content-type": "application/problem+json", "content-length": "14",
                "x-twice": "a, b"
            },
            "body": {"status": 409}
        })
    );
    assert_eq!(output("schema")["method"], "GET");
    assert_eq!(output("nothing"), Value::Null);
    assert_eq!(failure("unexpected"), ("HttpStatus", json!(1)));
    assert_eq!(failure("not_created"), ("HttpStatus", json!(1)));
    assert_eq!(failure("busy"), ("HttpStatus", json!(2)));
    assert_eq!(failure("violation"), ("SchemaViolation", json!(1)));
    assert_eq!(
        task(&run, "violation")["error"]["message"],
        format!(
            "GET {}/violation answered what its schema refuses: body/method: \
             value is not of types \"null\", \"number\"",
            endpoint.url
        )
    );
    assert_eq!(failure("html"), ("WrongContentType", json!(1)));
    assert_eq!(failure("object_as_text"), ("InvalidRequest", json!(1)));
    world.end().await;
}

/// What the first part of the path says, or what was asked.
fn answer(request: &Value, times: usize) -> Answer {
    let path = request["path"].as_str().unwrap();
    match path.split(['/', '?']).nth(1).unwrap_or_default() {
        "status" => {
            let status = path.rsplit('/').next().unwrap().parse().unwrap();
            Answer::Whole(status, "application/problem+json", json!({"status": status}).to_string())
        }
        "flaky" if times == 1 => Answer::Whole(503, "text/plain", "later".into()),
        "html" => Answer::Whole(200, "text/html; charset=utf-8", "<p>no</p>".into()),
        "empty" => Answer::Whole(200, "application/json", String::new()),
        _ => Answer::json(request),
    }
}

const REQUESTS: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: requests}
spec:
  on: [{event: com.test.requests}]
  tasks:
    - {id: get, uses: http, with: {method: GET, url: "${ config.url }/method/GET"}}
    - {id: head, uses: http, with: {method: HEAD, url: "${ config.url }/method/HEAD"}}
    - {id: options, uses: http, with: {method: OPTIONS, url: "${ config.url }/method/OPTIONS"}}
    - {id: post, uses: http, with: {method: POST, url: "${ config.url }/method/POST", body: {a: 1}}}
    - {id: put, uses: http, with: {method: PUT, url: "${ config.url }/method/PUT", body: 7}}
    - {id: patch, uses: http, with: {method: PATCH, url: "${ config.url }/method/PATCH", body: []}}
    - {id: delete, uses: http, with: {method: DELETE, url: "${ config.url }/method/DELETE"}}
    - id: query
      uses: http
      with:
        method: GET
        url: ${ config.url }/query
        query: {q: "${ event.data.q }", tag: "${ event.data.tags }", none: "${ event.data.none }"}
    - id: text
      uses: http
      with:
        method: POST
        url: ${ config.url }/text
        headers: {content-type: application/x-www-form-urlencoded}
        body: a=${ event.data.q }
    - {id: flaky, uses: http, retry: {initialInterval: 10ms}, with: {method: POST, url: "${ config.url }/flaky", body: {}}}
    - {id: missing, uses: http, with: {method: GET, url: "${ config.url }/status/404", response: {status: [2xx, 404]}}}
    - {id: full, uses: http, with: {method: GET, url: "${ config.url }/status/409", response: {status: [4xx], output: full}}}
    - id: schema
      uses: http
      with:
        method: GET
        url: ${ config.url }/schema
        response: {schema: {type: object, required: [method], properties: {method: {const: GET}}}}
    - {id: nothing, uses: http, with: {method: GET, url: "${ config.url }/empty", response: {schema: {type: [object, "null"]}}}}
    - {id: unexpected, uses: http, with: {method: GET, url: "${ config.url }/status/404"}}
    - {id: not_created, uses: http, with: {method: GET, url: "${ config.url }/status/200", response: {status: [201]}}}
    - {id: busy, uses: http, retry: {maxAttempts: 2, initialInterval: 10ms}, with: {method: GET, url: "${ config.url }/status/429"}}
    - id: violation
      uses: http
      with:
        method: GET
        url: ${ config.url }/violation
        response: {schema: {properties: {method: {type: [number, "null"]}}}}
    - {id: html, uses: http, with: {method: GET, url: "${ config.url }/html", response: {schema: {type: object}}}}
    - {id: object_as_text, uses: http, with: {method: POST, url: "${ config.url }/x", headers: {Content-Type: text/plain}, body: {}}}
"#;

/// An endpoint that wants a certificate of a private CA: only who has the right CA and a certificate is served, and
/// files that are put right count without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_ca_and_a_client_certificate_are_the_operators_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (issuer("stock"), issuer("other"));
    let endpoint = Endpoint::start_with(Some(acceptor(&ca)), answer).await;
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = certified(&ca, "spine");
    let (right, wrong) = (write("ca.pem", &ca.pem()), write("other.pem", &other.pem()));
    let (certificate, key) = (write("tls.crt", &certificate), write("tls.key", &key));
    let identity = |name: &str| {
        [
            (format!("SPINE_TLS__{name}__CERT_FILE"), certificate.clone()),
            (format!("SPINE_TLS__{name}__KEY_FILE"), key.clone()),
        ]
    };
    let authority = |name: &str, ca: &str| (format!("SPINE_TLS__{name}__CA_FILE"), ca.to_owned());
    let settings: Vec<(String, String)> = [("SPINE_VALUES__url".to_owned(), endpoint.url.clone())]
        .into_iter()
        .chain(identity("stock"))
        .chain(identity("wrong"))
        .chain([authority("stock", &right), authority("wrong", &wrong), authority("anonymous", &right)])
        .collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let world = started(TLS, &settings).await;

    let run = played(&world, "tls", "{}");
    let failure = |run: &Value, id: &str| {
        let error = &task(run, id)["error"];
        (error["type"].as_str().unwrap_or("none").to_owned(), error["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(task(&run, "served")["output"]["path"], "/served", "{run:#}");
    assert_eq!(run["run"]["context"]["looked"]["path"], "/looked");
    for (id, expected) in
        [("wrong_ca", "UnknownIssuer"), ("system", "UnknownIssuer"), ("anonymous", "CertificateRequired")]
    {
        let (kind, message) = failure(&run, id);
        assert!(kind == "TlsFailed" && message.contains(expected), "{id}: {kind}: {message}");
    }
    let (kind, message) = failure(&run, "unnamed");
    assert!(kind == "UnknownTls" && message.contains("[tls.unnamed]"), "{kind}: {message}");
    assert_eq!(failure(&run, "plain").0, "InvalidRequest");
    assert!(endpoint.asked("/refused").is_empty());

    std::fs::write(&wrong, ca.pem()).unwrap();
    let run = played(&world, "tls", "{}");
    assert_eq!(task(&run, "wrong_ca")["status"], "completed", "{run:#}");
    world.end().await;
}

const TLS: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: tls}
spec:
  on: [{event: com.test.tls}]
  context:
    looked: {http: {url: "${ config.url }/looked", tls: stock}}
  tasks:
    - {id: served, uses: http, with: {method: GET, url: "${ config.url }/served", tls: stock}}
    - {id: wrong_ca, uses: http, retry: {maxAttempts: 1}, with: {method: GET, url: "${ config.url }/late", tls: wrong}}
    - {id: system, uses: http, retry: {maxAttempts: 1}, with: {method: GET, url: "${ config.url }/refused"}}
    - {id: anonymous, uses: http, retry: {maxAttempts: 1}, with: {method: GET, url: "${ config.url }/refused", tls: anonymous}}
    - {id: unnamed, uses: http, with: {method: GET, url: "${ config.url }/refused", tls: unnamed}}
    - {id: plain, uses: http, with: {method: GET, url: "${ 'http://127.0.0.1:1' }/refused", tls: stock}}
"#;

#[test]
fn a_schema_that_can_not_be_used_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schema.yaml");
    std::fs::write(&file, SCHEMA).unwrap();
    let checked = spine(folder.path(), &["check", file.to_str().unwrap()], &Default::default()).output().unwrap();
    assert_eq!(checked.status.code(), Some(2));
    let text = String::from_utf8(checked.stdout).unwrap();
    for path in ["spec.tasks[0].with.response.schema.type: not a JSON Schema", "spec.tasks[1].with.response.schema: "] {
        assert!(text.contains(path), "{path} is not in {text}");
    }
}

const SCHEMA: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: schema}
spec:
  on: [{event: com.test.schema}]
  tasks:
    - {id: a, uses: http, with: {method: GET, url: "http://a.example/", response: {schema: {type: nothing}}}}
    - {id: b, uses: nats, with: {request: a.b, response: {schema: {$ref: "https://a.example/schema.json"}}}}
"#;

/// All services, with one activity, and these settings of the worker.
pub(crate) async fn started(activity: &str, settings: &[(&str, &str)]) -> World {
    let mut world = World::boot().await;
    let file = world.folder.path().join("activity.yaml");
    std::fs::write(&file, activity).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    world.start("relay", &[]).await;
    world.start("worker", settings).await;
    world.start("router", &[]).await;
    world
}

/// The run of an activity, named as its event's type ends, for a new event with this data.
pub(crate) fn played(world: &World, name: &str, data: &str) -> Value {
    let event_type = format!("com.test.{name}");
    let sent = world.json(&["publish", "--type", &event_type, "--source", SOURCE, "--data", data]);
    world.settled(sent["id"].as_str().unwrap())["runs"][0].take()
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn issuer(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name and its key, as PEM.
fn certified(ca: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, ca).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Serves as 127.0.0.1 whoever has a certificate of this CA.
fn acceptor(ca: &Authority) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
