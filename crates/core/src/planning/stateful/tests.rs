//! Events folded into a state, and what they decide.

use serde_json::json;

use super::*;
use crate::activity::{Document, parse};
use crate::planning::{Instance as TaskInstance, record};

const ORDER: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: order}
spec:
  on:
    - {event: com.shop.order.placed, starts: true}
    - {event: com.shop.payment.captured}
  instance:
    key: event.subject
    state: {paid: 0, last: null}
    set:
      - {when: 'event.type == "com.shop.payment.captured"', paid: "${ state.paid + event.data.amount }"}
      - {last: "${ state.paid }"}
    completeWhen: tasks.ship.status == "completed"
  tasks:
    - {id: ship, when: state.paid >= 10, uses: emit, with: {type: com.shop.shipped}}
    - {id: label, needs: [ship], uses: emit, with: {type: com.shop.labelled}}
    - {id: notify, each: event, uses: emit, with: {type: com.shop.progressed, data: "${ state.paid }"}}
    - {id: lines, each: event, when: has(event.data.lines), forEach: event.data.lines, uses: emit, with: {type: com.shop.line, data: "${ item }"}}
"#;

fn order() -> Activity {
    match parse("order.yaml", ORDER).unwrap_or_else(|problems| panic!("{problems}")).remove(0) {
        Document::Activity(definition) => definition.value,
        _ => unreachable!("it is an activity"),
    }
}

fn seen(event_type: &str, data: Value) -> Scope {
    let event = json!({"type": event_type, "subject": "A-1", "data": data});
    Scope::new().with("event", event).with("config", json!({})).with("run", json!({}))
}

fn paid(amount: i64) -> Scope {
    seen("com.shop.payment.captured", json!({"amount": amount}))
}

fn decided(step: &Step) -> Vec<(&str, u32)> {
    step.decided.iter().map(|one| (one.task.as_str(), one.index)).collect()
}

#[test]
fn events_change_the_state_in_order_and_items_of_set_see_those_before() {
    let activity = order();
    let instance = activity.instance.as_ref().unwrap();
    let mut state = initial_state(instance);
    for (scope, expected) in [
        (seen("com.shop.order.placed", json!({})), json!({"paid": 0, "last": 0})),
        (paid(4), json!({"paid": 4, "last": 4})),
        (paid(7), json!({"paid": 11, "last": 11})),
    ] {
        state = fold(instance, &state, &scope).unwrap();
        assert_eq!(state, expected);
    }
    let failure = fold(instance, &state, &seen("com.shop.payment.captured", json!({}))).unwrap_err();
    assert_eq!(failure.kind, "ExpressionFailed");
    let large = json!({"paid": "x".repeat(MAX_STATE_BYTES), "last": 0});
    assert_eq!(fold(instance, &large, &seen("com.shop.order.placed", json!({}))).unwrap_err().kind, "StateTooLarge");
}

#[test]
fn a_task_that_runs_once_waits_for_its_rule_and_completes_the_instance() {
    let activity = order();
    let instance = activity.instance.as_ref().unwrap();
    let mut progress = Progress::new();
    let small = paid(1).with("state", json!({"paid": 1, "last": 1}));
    let step = once(&activity, &small, &progress).unwrap();
    assert!(step.decided.is_empty() && step.skipped.is_empty(), "{step:?}");
    assert!(!is_complete(&activity, instance, &small, &progress).unwrap());
    let large = paid(9).with("state", json!({"paid": 10, "last": 10}));
    let step = once(&activity, &large, &progress).unwrap();
    assert_eq!(decided(&step), [("ship", 0)]);
    record(&mut progress, &step);
    assert!(!is_complete(&activity, instance, &large, &progress).unwrap());
    crate::planning::settle(&mut progress, "ship", 0, TaskInstance::Completed(json!({})));
    assert!(is_complete(&activity, instance, &large, &progress).unwrap());
    assert_eq!(decided(&once(&activity, &large, &progress).unwrap()), [("label", 0)]);
}

#[test]
fn without_complete_when_all_tasks_that_run_once_complete_it() {
    let mut activity = order();
    activity.instance.as_mut().unwrap().complete_when = None;
    let instance = activity.instance.clone().unwrap();
    let scope = paid(10).with("state", json!({"paid": 10, "last": 10}));
    let done = |ids: &[&str]| {
        let ended = || TaskProgress::Decided { each: false, instances: vec![TaskInstance::Completed(json!({}))] };
        ids.iter().map(|id| ((*id).to_owned(), ended())).collect::<Progress>()
    };
    assert!(!is_complete(&activity, &instance, &scope, &done(&["ship"])).unwrap());
    assert!(is_complete(&activity, &instance, &scope, &done(&["ship", "label"])).unwrap());
    activity.tasks.retain(|task| task.each == Each::Event);
    assert!(!is_complete(&activity, &instance, &scope, &Progress::new()).unwrap());
}

#[test]
fn each_event_decides_by_itself_and_has_indices_of_its_own() {
    let activity = order();
    let scope = seen("com.shop.order.placed", json!({"lines": [1, 2]})).with("state", json!({"paid": 0, "last": 0}));
    let step = for_event(&activity, &scope, &Progress::new()).unwrap();
    assert_eq!(decided(&step), [("notify", 0), ("lines", 0), ("lines", 1)]);
    let without =
        for_event(&activity, &paid(1).with("state", json!({"paid": 1, "last": 1})), &Progress::new()).unwrap();
    assert_eq!((decided(&without), without.skipped.len()), (vec![("notify", 0)], 1));
    let task = |id: &str| activity.tasks.iter().find(|task| task.id == id).unwrap();
    for (id, event, first) in [("notify", 7, 7), ("lines", 7, 7000), ("ship", 7, 0)] {
        assert_eq!(first_index(task(id), event), Ok(first));
    }
    assert_eq!((local_index(task("lines"), 7001), ordinal(task("lines"), 7001)), (1, Some(7)));
    assert_eq!((local_index(task("notify"), 7), ordinal(task("notify"), 7)), (0, Some(7)));
    assert_eq!((local_index(task("ship"), 0), ordinal(task("ship"), 0)), (0, None));
    assert!(first_index(task("lines"), 3_000_000).is_err());
}
