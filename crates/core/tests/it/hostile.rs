//! No text makes the parser panic, overflow its stack or take long.

use std::fs;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spine_core::activity;
use spine_core::document::{MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, MAX_PROBLEMS};

use crate::documents::valid_files;

fn check(text: &str, part: &str) {
    let began = Instant::now();
    let problems = activity::parse("hostile.yaml", text).unwrap_err();
    let shown = problems.to_string();
    assert!(shown.contains(part), "{}", shown.chars().take(2000).collect::<String>());
    assert!(problems.0.len() <= MAX_PROBLEMS);
    assert!(shown.len() < 1_000_000);
    // Wide, since tests run unoptimised and side by side; what is feared takes minutes or for ever.
    let start: String = text.chars().take(20).collect();
    assert!(began.elapsed() < Duration::from_secs(20), "{start:?}: {:?}", began.elapsed());
}

#[test]
fn nesting_is_bounded() {
    check(&"[".repeat(10_000), "nested too deep");
    check(&"{a: ".repeat(10_000), "nested too deep");
    check(&"- ".repeat(10_000), "nested too deep");
    check(&"? ".repeat(10_000), "nested too deep");
    let steps: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    check(&steps, "nested too deep");
}

#[test]
fn size_is_bounded() {
    check(&"a".repeat(MAX_FILE_BYTES + 1), "cut it into several");
    let long = format!("a: {}\n", "ä".repeat(MAX_DOCUMENT_BYTES / 2));
    check(&long, &format!("at most {MAX_DOCUMENT_BYTES}"));
    check(&format!("b: 1\n---\n{long}"), "hostile.yaml:2:1: the document has");
}

#[test]
fn many_small_things_take_no_long_time() {
    check(&"---\na: 1\n".repeat(100_000), "there are more problems");
    check(&format!("{{{}}}", "a: 1,".repeat(40_000)), "for the second time");
    check(&format!("? {}\n: {{{}}}", "k".repeat(100_000), "a: 1, ".repeat(20_000)), "for the second time");
    check(&format!("a: [{}]", "[],".repeat(60_000)), "unknown key");
    check(&format!("a: {}", "[{".repeat(30)), "");
    check(&format!("a: \"{}\"", "\\x41".repeat(60_000)), "unknown key");
    check(&"a:\n".repeat(80_000), "for the second time");
    check(&"'\n".repeat(300_000), "");
    check(&format!("|\n{}", " \n".repeat(120_000)), "");
}

#[test]
fn what_would_grow_is_refused() {
    check("a: &x [1]\nb: *x\n", "anchors");
    check("a: &x [1]\nb: *x\n", "aliases");
    check("a: {<<: {b: 1}}", "merge keys");
    check("a: !!binary aGk=\n", "tags");
    check("a: !x [1]\n", "tags");
    check("1: x\n", "a key is a text; write 1 in quotes");
    check("[a]: x\n", "a key is a text, not a list");
    check("? {a: {b: c}}\n: x\n", "a key is a text, not a list");
    check(": x\n", "the key is missing");
}

#[test]
fn a_text_that_is_cut_anywhere_is_no_reason_to_panic() {
    for file in valid_files() {
        let text = fs::read_to_string(file).unwrap();
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let _ = activity::parse("cut.yaml", &text[..end]);
            let _ = activity::parse("cut.yaml", &text[end..]);
        }
    }
}

proptest! {
    #[test]
    fn random_text_is_no_reason_to_panic(text in "\\PC{0,200}") {
        let _ = activity::parse("random.yaml", &text);
    }

    #[test]
    fn random_yaml_is_no_reason_to_panic(text in "[\\[\\]{}:,?\\-|>'\"&*!%#@ \n\t\r\u{feff}\u{0}a1.$<\\\\~]{0,80}") {
        let _ = activity::parse("random.yaml", &text);
    }

    #[test]
    fn a_mutated_document_is_no_reason_to_panic(at in any::<prop::sample::Index>(), put in "[\\[\\]{}:,?|>'\"&*!%\n\t $a1-]{0,4}", drop in 0usize..6) {
        for file in valid_files() {
            let mut chars: Vec<char> = fs::read_to_string(file).unwrap().chars().collect();
            let at = at.index(chars.len());
            let end = (at + drop).min(chars.len());
            chars.splice(at..end, put.chars());
            let _ = activity::parse("mutated.yaml", &chars.into_iter().collect::<String>());
        }
    }
}
