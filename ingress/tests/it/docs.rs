//! docs/ingress.md: its configuration is used, its commands are run, and its tables are complete.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spine_ingress::problem::Code;

use crate::support::ingress;

const TOKEN: &str = "0123456789abcdef-shop";

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ingress.md")).unwrap()
}

/// The blocks of the page, each with its language.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_answers_what_the_page_says() {
    let page = page();
    let blocks = blocks(&page);
    let toml = blocks.iter().find(|(language, _)| *language == "toml").unwrap().1;
    let ingress = ingress(&format!("[secrets]\nshop-token = \"{TOKEN}\"\ngithub-webhook = \"key\"\n{toml}")).await;
    let mut run = 0;
    for pair in blocks.windows(2).filter(|pair| pair[0].0 == "sh") {
        let [(_, command), (_, expected)] = pair else { unreachable!() };
        let script = command.replace("http://127.0.0.1:8080", &ingress.url("")).replace("curl -i", "curl -sSi");
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &script]).env("SHOP_TOKEN", TOKEN).env("GITHUB_WEBHOOK", "key");
        let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{script}\n{answer}{}", String::from_utf8_lossy(&output.stderr));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let (status, shown) = expected.split_once('\n').unwrap();
        assert_eq!(head.lines().next(), Some(status), "{script}\n{answer}");
        compare(&serde_json::from_str(body).unwrap(), &serde_json::from_str(shown).unwrap());
        run += 1;
    }
    assert_eq!(run, 5);
}

/// The same, where the page does not leave something out.
fn compare(answer: &Value, shown: &Value) {
    match (answer, shown) {
        (Value::String(_), Value::String(left_out)) if left_out == "…" => {}
        (Value::Object(answer), Value::Object(shown)) => {
            assert_eq!(answer.keys().collect::<Vec<_>>(), shown.keys().collect::<Vec<_>>());
            shown.iter().for_each(|(key, shown)| compare(&answer[key], shown));
        }
        (Value::Array(answer), Value::Array(shown)) => {
            assert_eq!(answer.len(), shown.len());
            answer.iter().zip(shown).for_each(|(answer, shown)| compare(answer, shown));
        }
        _ => assert_eq!(answer, shown),
    }
}

#[test]
fn the_page_has_every_problem_and_every_key() {
    let page = page();
    for code in Code::ALL {
        let row = format!("| {} | `{}` | {} |", code.status().as_u16(), code.as_str(), code.title());
        assert!(page.contains(&row), "docs/ingress.md lacks the line\n{row}");
    }
    let config = crate::support::configuration("");
    for entry in config.entries().iter().filter(|entry| entry.key.starts_with("ingress.")) {
        assert!(page.contains(&format!("`{}`", entry.key)), "docs/ingress.md lacks the key {}", entry.key);
        let value = &entry.value;
        let has_default =
            value == "(not set)" || page.contains(&format!("| {value} |")) || page.contains(&format!("| `{value}` |"));
        assert!(has_default, "docs/ingress.md lacks the default {value} of {}", entry.key);
    }
}
