//! Right documents give the right types.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use spine_core::activity::{
    self, Activity, Document, Exchange, Lookup, Output, Overlap, Retry, ScheduleSpec, Status, Trigger, TypePattern,
    Work,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All YAML and JSON files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
            found.push(entry);
        }
    }
    found.retain(|path| !path.to_string_lossy().ends_with(".golden.yaml"));
    found.sort();
    found
}

pub(crate) fn valid_files() -> Vec<PathBuf> {
    files(&repository().join("schemas/examples/valid"))
}

fn parse_activity(text: &str) -> Activity {
    match activity::parse("a.yaml", text).unwrap().remove(0) {
        Document::Activity(definition) => definition.value,
        _ => panic!("not an activity"),
    }
}

#[test]
fn what_was_stored_as_json_is_the_same_document() {
    for file in valid_files() {
        for document in activity::parse("a.yaml", &fs::read_to_string(&file).unwrap()).unwrap() {
            let again = activity::parse("stored", &document.content().to_string()).unwrap().remove(0);
            assert_eq!(
                (again.hash(), again.content(), again.name()),
                (document.hash(), document.content(), document.name())
            );
        }
    }
}

#[test]
fn every_field_arrives() {
    let activity =
        parse_activity(&fs::read_to_string(repository().join("schemas/examples/valid/executed.yaml")).unwrap());
    let [Trigger::Event(event), Trigger::Schedule(cron), Trigger::Schedule(every)] = activity.triggers.as_slice()
    else {
        panic!("{:?}", activity.triggers)
    };
    assert_eq!(event.event_type, TypePattern::Prefix("com.shop.order.".into()));
    assert_eq!(event.source.as_deref(), Some("https://shop.example/*"));
    assert!(event.pattern.is_some() && event.when.is_some());
    assert_eq!(cron.spec, ScheduleSpec::Cron("*/15 9-17 * * MON-FRI".into()));
    assert_eq!(
        (cron.timezone.as_str(), cron.jitter, cron.overlap),
        ("Europe/Vienna", Duration::from_secs(10), Overlap::BufferOne)
    );
    assert_eq!(cron.input, json!({"window": "15m"}));
    assert_eq!(every.spec, ScheduleSpec::Every(Duration::from_secs(90)));
    assert_eq!((every.timezone.as_str(), every.overlap), ("UTC", Overlap::Skip));

    let names: Vec<_> = activity.context.keys().map(String::as_str).collect();
    assert_eq!(names, ["customer", "history"]);
    assert_eq!(activity.context["customer"].timeout, Duration::from_secs(3));
    assert_eq!(activity.context["customer"].default, Some(json!(null)));
    assert_eq!(
        (activity.context["history"].timeout, activity.context["history"].default.as_ref()),
        (Duration::from_secs(5), None)
    );

    let kinds: Vec<_> = activity.tasks.iter().map(|task| (task.id.as_str(), task.work.kind())).collect();
    assert_eq!(
        kinds,
        [("score", "worker"), ("reserve", "http"), ("quote", "nats"), ("tell", "nats"), ("announce", "emit")]
    );
    let [score, reserve, quote, tell, announce] = activity.tasks.as_slice() else { panic!() };
    assert_eq!(score.retry.max_interval, Duration::from_secs(60));
    assert_eq!(score.retry.non_retryable, ["InvalidOrder"]);
    assert_eq!((score.timeout, score.deadline), (Duration::from_secs(10), Some(Duration::from_secs(300))));
    assert!(reserve.for_each.is_some() && reserve.needs == ["score"]);
    assert_eq!(reserve.timeout, Duration::from_secs(30));
    let Work::Http { address, tls, response, .. } = &reserve.work else { panic!("{reserve:?}") };
    assert_eq!((address.query.len(), tls.as_deref()), (2, Some("stock")));
    assert_eq!(response.status, [Status::Class(2), Status::Code(404)]);
    assert_eq!(
        (&response.schema, response.output),
        (&Some(json!({"type": "object", "required": ["id"]})), Output::Full)
    );
    let Lookup::Http { address, tls, .. } = &activity.context["customer"].lookup else { panic!() };
    assert_eq!((address.query.len(), tls.as_deref()), (2, Some("crm")));
    let Work::Nats { exchange, headers, body, schema, .. } = &quote.work else { panic!("{quote:?}") };
    assert_eq!((*exchange, headers.len(), body.is_some()), (Exchange::Request, 1, true));
    assert_eq!((schema, quote.work.secrets().len()), (&Some(json!({"type": "object"})), 1));
    assert!(matches!(&tell.work, Work::Nats { exchange: Exchange::Publish, schema: None, .. }));
    assert_eq!(announce.retry, Retry::default());
    assert!(matches!(&announce.work, Work::Emit { event_type, .. } if event_type == "com.shop.order.reviewed"));
}

#[test]
fn a_default_timeout_never_exceeds_the_deadline() {
    let task = "{id: a, uses: emit, deadline: 10s, with: {type: a.b}}";
    let text = format!(
        "{{apiVersion: spine/v1, kind: Activity, metadata: {{name: a}}, spec: {{on: [{{event: a}}], tasks: [{task}]}}}}"
    );
    assert_eq!(parse_activity(&text).tasks[0].timeout, Duration::from_secs(10));
}

#[test]
fn problems_are_data_too() {
    let problems = activity::parse("a.yaml", "kind: Activity\napiVersion: spine/v2\n").unwrap_err();
    let json = serde_json::to_value(&problems).unwrap();
    assert_eq!(json[0]["line"], json!(1));
    assert!(json.as_array().unwrap().iter().any(|p| p["path"] == "apiVersion" && p["line"] == 2 && p["column"] == 13));
}
