//! The OpenAPI document, against the ingress that it describes.

use std::process::Command;

use reqwest::Client;
use serde_json::{Value, json};
use spine_ingress::problem::Code;
use spine_testkit::locate;
use tempfile::TempDir;

use crate::support::{Ingress, answer, ingress};

const TOKEN: &str = "0123456789abcdef-openapi";

fn configuration() -> String {
    format!(
        r#"
        [ingress]
        requests_per_second = 1000000
        [secrets]
        openapi = "{TOKEN}"
        hook = "secret"
        [ingress.clients.openapi]
        tokens = ["openapi"]
        sources = ["*"]
        types = ["*"]
        [ingress.hooks.github]
        style = "github"
        secrets = ["hook"]
        source = "https://github.com"
        type = "com.github.{{event}}"
        "#
    )
}

fn document() -> Value {
    serde_json::from_str(spine_ingress::OPENAPI).unwrap()
}

#[tokio::test]
async fn the_document_is_served_and_names_every_code_with_its_status() {
    let ingress = ingress("").await;
    let served = Client::new().get(ingress.url("/openapi.json"));
    assert_eq!(answer(served).await, (200, document()));
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let schemas = &document()["components"]["schemas"];
    assert_eq!(schemas["Problem"]["properties"]["code"]["enum"], json!(codes));
    assert_eq!(schemas["Item"]["properties"]["code"]["enum"], json!(codes));
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let described = |status: &str| {
        let operations = paths.values().flat_map(|path| path.as_object().unwrap().values());
        let mut references = operations.filter_map(|operation| operation["responses"][status]["$ref"].as_str());
        let name = references.next().and_then(|reference| reference.rsplit('/').next());
        name.map(|name| document["components"]["responses"][name]["description"].as_str().unwrap().to_owned())
    };
    // Paths and methods that are not in the document are not described by it.
    for code in Code::ALL.iter().filter(|code| !matches!(code, Code::NoSuchPath | Code::MethodNotAllowed)) {
        let text = described(code.status().as_str()).unwrap_or_default();
        assert!(text.contains(&format!("`{}`", code.as_str())), "{code:?} in {text:?}");
    }
}

#[tokio::test]
async fn its_examples_are_taken() {
    let ingress = ingress("").await;
    let content = &document()["paths"]["/events"]["post"]["requestBody"]["content"];
    let mut taken = 0;
    for (content_type, media) in content.as_object().unwrap() {
        for (name, example) in media["examples"].as_object().into_iter().flatten() {
            let mut request = ingress.post(content_type, example["value"].to_string());
            if !content_type.contains("cloudevents") {
                let headers = [("specversion", "1.0"), ("id", "b"), ("source", "/shop"), ("type", "com.shop.order")];
                request = headers.iter().fold(request, |r, (name, value)| r.header(format!("ce-{name}"), *value));
            }
            let (status, body) = answer(request).await;
            assert_eq!(status, 202, "{content_type} {name}: {body}");
            taken += 1;
        }
    }
    assert_eq!(taken, 4);
}

/// Schemathesis makes requests that fit the document and such that don't, and holds every answer against it.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let ingress = ingress(&configuration()).await;
    let (success, text) = schemathesis(&ingress, &document(), "examples,coverage,fuzzing").await;
    assert!(success, "{text}");
    assert!(ingress.count().await > 0, "no event came through:\n{text}");
}

/// So that the test above is one that can fail.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_what_is_not_as_the_document_says() {
    let ingress = ingress(&configuration()).await;
    let mut other = document();
    let accepted = &mut other["components"]["schemas"]["Accepted"]["properties"]["sequence"];
    *accepted = json!({"type": "string"});
    let (success, text) = schemathesis(&ingress, &other, "examples").await;
    assert!(!success && text.contains("Response violates schema"), "{text}");
}

/// Whether it finds nothing, and what it says. `positive_data_acceptance` is left out: a schema can't say all that
/// CloudEvents asks for, and that the `ce-` headers are needed where the content type asks for binary mode can't be
/// said at all.
async fn schemathesis(ingress: &Ingress, document: &Value, phases: &str) -> (bool, String) {
    let python = locate::program("python").unwrap();
    let folder = TempDir::new().unwrap();
    let settings = "[checks.negative_data_rejection]\nexpected-statuses = [\"4xx\"]\n";
    std::fs::write(folder.path().join("schemathesis.toml"), settings).unwrap();
    std::fs::write(folder.path().join("openapi.json"), document.to_string()).unwrap();
    let mut command = Command::new(python);
    command
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"])
        .args(["--no-color", "run", "openapi.json", "--url", &ingress.url("")])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--phases", phases, "--max-examples", "60", "--seed", "1"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), format!("(without Schemathesis, run `make setup`)\n{}", String::from_utf8_lossy(&said)))
}
