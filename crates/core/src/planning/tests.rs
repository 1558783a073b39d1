use super::*;
use crate::activity::Work;
use crate::expression::{Expression, Template};

fn task(id: &str, needs: &[&str]) -> Task {
    Task {
        id: id.into(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        when: None,
        for_each: None,
        each: crate::activity::Each::Instance,
        work: Work::Emit { event_type: "com.shop.x".into(), subject: None, data: None },
        retry: Retry::default(),
        timeout: Duration::from_secs(1),
        deadline: None,
        on_timeout: crate::activity::OnTimeout::Fail,
        undo: None,
    }
}

fn activity(tasks: Vec<Task>) -> Activity {
    Activity {
        name: "a".into(),
        labels: BTreeMap::new(),
        description: String::new(),
        triggers: Vec::new(),
        context: BTreeMap::new(),
        instance: None,
        flow: None,
        tasks,
    }
}

fn scope() -> Scope {
    Scope::new().with("event", json!({"data": {"items": ["x", "y"], "none": []}}))
}

fn done(output: Value) -> TaskProgress {
    TaskProgress::Decided { each: false, instances: vec![Instance::Completed(output)] }
}

fn names(step: &Step) -> Vec<String> {
    step.decided.iter().map(|d| format!("{}/{}", d.task, d.index)).collect()
}

#[test]
fn needs_order_tasks_and_outputs_reach_those_that_need_them() {
    let mut second = task("second", &["first"]);
    second.when = Some(Expression::compile("tasks.first.output.risk > 0.5").unwrap());
    let activity = activity(vec![second, task("first", &[])]);
    let step = advance(&activity, &scope(), &Progress::new()).unwrap();
    assert_eq!(names(&step), ["first/0"]);
    assert_eq!(awaited(&activity, &Progress::from([("first".into(), done(json!(1)))])), ["first"]);
    let risky = Progress::from([("first".into(), done(json!({"risk": 0.9})))]);
    assert_eq!(names(&advance(&activity, &scope(), &risky).unwrap()), ["second/0"]);
    let calm = Progress::from([("first".into(), done(json!({"risk": 0.1})))]);
    let step = advance(&activity, &scope(), &calm).unwrap();
    assert_eq!(step.skipped, [("second".into(), "`tasks.first.output.risk > 0.5` is false".into())]);
    assert_eq!(step.outcome, Some(Outcome::Completed));
}

#[test]
fn for_each_decides_one_instance_an_item() {
    let mut each = task("each", &[]);
    each.for_each = Some(Expression::compile("event.data.items").unwrap());
    each.work = Work::Worker {
        task_queue: "q".into(),
        activity: "A".into(),
        input: Template::compile(&json!("${ item }${ index }")).unwrap(),
    };
    let mut empty = task("empty", &[]);
    empty.for_each = Some(Expression::compile("event.data.none").unwrap());
    let step = advance(&activity(vec![each, empty]), &scope(), &Progress::new()).unwrap();
    assert_eq!(names(&step), ["each/0", "each/1"]);
    assert!(matches!(&step.decided[1].work, Request::Worker { input, .. } if *input == json!("y1")));
    assert_eq!(step.skipped, [("empty".into(), "`event.data.none` is an empty list".into())]);
    assert_eq!(step.outcome, None);
}

#[test]
fn what_needs_a_skipped_task_runs_and_what_needs_a_failed_one_does_not() {
    let activity = activity(vec![
        task("bad", &[]),
        task("skipped", &[]),
        task("after_bad", &["bad"]),
        task("after_skipped", &["skipped"]),
    ]);
    let failed =
        TaskProgress::Decided { each: false, instances: vec![Instance::Failed(Failure::new("HttpStatus", "500"))] };
    let mut progress = Progress::from([("bad".into(), failed), ("skipped".into(), TaskProgress::Skipped("no".into()))]);
    assert_eq!(names(&advance(&activity, &scope(), &progress).unwrap()), ["after_skipped/0"]);
    progress.insert("after_skipped".into(), done(Value::Null));
    let step = advance(&activity, &scope(), &progress).unwrap();
    assert_eq!(step.outcome, Some(Outcome::Failed(Failure::new("HttpStatus", "task bad: 500"))));
    assert_eq!(step.skipped, [("after_bad".into(), "a task that it needs failed".into())]);
}

#[test]
fn a_run_without_tasks_is_complete_at_once() {
    assert_eq!(advance(&activity(vec![]), &scope(), &Progress::new()).unwrap().outcome, Some(Outcome::Completed));
}

#[test]
fn an_expression_that_fails_fails_the_run_by_name() {
    let mut bad = task("bad", &[]);
    bad.when = Some(Expression::compile("event.data.total > 1").unwrap());
    let failure = advance(&activity(vec![bad]), &scope(), &Progress::new()).unwrap_err();
    assert!(failure.message.starts_with("task bad: expression `event.data.total > 1`"), "{}", failure.message);
}

#[test]
fn inputs_that_history_could_not_hold_fail_the_run() {
    let mut each = task("each", &[]);
    each.for_each = Some(Expression::compile("event.data.items").unwrap());
    let input = Template::compile(&json!("x".repeat(600_000))).unwrap();
    each.work = Work::Worker { task_queue: "q".into(), activity: "A".into(), input };
    let failure = advance(&activity(vec![each]), &scope(), &Progress::new()).unwrap_err();
    assert_eq!(failure.kind, "InputTooLarge");
}

#[test]
fn a_deadline_fails_a_task_completes_it_or_asks_others() {
    let late = Failure::deadline("late");
    let check = |on_timeout: OnTimeout, expected: TimedOut| {
        let mut each = task("each", &[]);
        each.for_each = Some(Expression::compile("event.data.items").unwrap());
        each.on_timeout = on_timeout;
        assert_eq!(time_out(&each, 1, late.clone(), &scope(), &Progress::new()), expected);
    };
    let text = |text: &str| Template::compile(&json!(text)).unwrap();
    check(OnTimeout::Fail, TimedOut::Ended(Err(late.clone())));
    check(OnTimeout::Output(text("nobody saw ${ item }")), TimedOut::Ended(Ok(json!("nobody saw y"))));
    let deadline = Duration::from_secs(60);
    let to = |name: &str| OnTimeout::Escalate { assignees: vec![text(name)], deadline };
    check(to("boss-${ index }"), TimedOut::Escalated { assignees: vec!["boss-1".into()], deadline });
    let TimedOut::Ended(Err(failure)) =
        time_out(&Task { on_timeout: to("${ event.no }"), ..task("a", &[]) }, 0, late, &scope(), &Progress::new())
    else {
        panic!("an expression that fails fails the task");
    };
    assert_eq!(failure.kind, "ExpressionFailed");
}

#[test]
fn what_is_sent_is_rendered_shown_and_read_from_its_row() {
    let text = |text: &str| Template::compile(&json!(text)).unwrap();
    let mut call = task("call", &[]);
    call.work = Work::Http {
        method: "GET".into(),
        address: crate::activity::Address {
            url: text("https://a.example/"),
            query: BTreeMap::from([("q".into(), text("${ event.data.items }"))]),
        },
        headers: BTreeMap::new(),
        body: None,
        tls: Some("crm".into()),
        response: crate::activity::Response { schema: Some(json!(true)), ..Default::default() },
    };
    let mut ask = task("ask", &[]);
    ask.work = Work::Nats {
        exchange: crate::activity::Exchange::Request,
        subject: text("quotes.${ event.data.items[0] }"),
        headers: BTreeMap::from([("X-A".into(), text("1"))]),
        body: Some(text("${ event.data.items }")),
        schema: None,
    };
    let step = advance(&activity(vec![call, ask]), &scope(), &Progress::new()).unwrap();
    let shown: Vec<Value> = step.decided.iter().map(|decided| decided.work.with()).collect();
    assert_eq!(
        shown,
        [
            json!({"method": "GET", "url": "https://a.example/?q=x&q=y", "tls": "crm", "response": {"schema": true}}),
            json!({"request": "quotes.x", "headers": {"X-A": "1"}, "body": ["x", "y"]}),
        ]
    );
    for decided in &step.decided {
        let row = json!(decided.work);
        assert_eq!(serde_json::from_value::<Request>(row).unwrap(), decided.work);
    }
    // A row of a build that knew neither `tls` nor `response`.
    let old = json!({"uses": "http", "method": "GET", "url": "https://a.example/", "headers": {}, "body": null});
    let Request::Http { tls, response, .. } = serde_json::from_value(old).unwrap() else { panic!() };
    assert!(tls.is_none() && response.is_default());
}
