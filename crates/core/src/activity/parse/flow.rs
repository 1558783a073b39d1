//! `spec.flow`.

use super::decoder::{Cursor, Decoder, Fields};
use super::expressions;
use super::scope::Scope;
use crate::activity::format::{BATCH, DEBOUNCE, FLOW, RATE};
use crate::activity::{Batch, Debounce, Flow, Rate, Singleton};

/// What makes no sense where events of one key already go to one instance.
const NOT_STATEFUL: [&str; 3] = ["debounce", "batch", "singleton"];

pub(super) fn decode(d: &mut Decoder, at: &Cursor<'_>, spec: &Fields<'_>) -> Option<Flow> {
    d.not_executed(at, "`flow`");
    let fields = d.map(at, &FLOW)?;
    check(d, &fields, spec);
    let scope = Scope::admitted();
    Some(Flow {
        key: fields.get("key").and_then(|at| expressions::any(d, &at, &scope)),
        concurrency: d.whole(&fields, "concurrency"),
        throttle: fields.get("throttle").and_then(|at| rate(d, &at)),
        rate_limit: fields.get("rateLimit").and_then(|at| rate(d, &at)),
        debounce: fields.get("debounce").and_then(|at| debounce(d, &at)),
        batch: fields.get("batch").and_then(|at| batch(d, &at)),
        priority: fields.get("priority").and_then(|at| expressions::whole(d, &at, &scope)),
        singleton: d.word(&fields, "singleton").map(|word| match word {
            "cancel_running" => Singleton::CancelRunning,
            _ => Singleton::Skip,
        }),
    })
}

fn check(d: &mut Decoder, fields: &Fields<'_>, spec: &Fields<'_>) {
    for name in NOT_STATEFUL.into_iter().filter(|_| spec.has("instance")) {
        if let Some(at) = fields.get(name) {
            d.problem_at_key(&at, "can't stand beside `instance`, where every event of a key goes to its instance");
        }
    }
    let limits = fields.at.node.entries().iter().filter(|entry| !["key", "priority"].contains(&entry.key.as_str()));
    if limits.count() == 0 {
        d.problem(&fields.at, "nothing is limited; write at least one of `concurrency`, `throttle`, `rateLimit`, `debounce`, `batch` and `singleton`");
    }
    if let Some(at) = fields.get("priority").filter(|_| !fields.has("concurrency") && !fields.has("throttle")) {
        d.problem_at_key(&at, "nothing waits without `concurrency` or `throttle`, so nothing can go first");
    }
}

fn rate(d: &mut Decoder, at: &Cursor<'_>) -> Option<Rate> {
    let fields = d.map(at, &RATE)?;
    let (limit, per) = (d.whole(&fields, "limit"), d.duration(&fields, "per"));
    Some(Rate { limit: limit?, per: per? })
}

fn debounce(d: &mut Decoder, at: &Cursor<'_>) -> Option<Debounce> {
    let fields = d.map(at, &DEBOUNCE)?;
    let (quiet, at_most) = (d.duration(&fields, "quiet")?, d.duration(&fields, "atMost")?);
    if let Some(at) = fields.get("atMost").filter(|_| at_most < quiet) {
        d.problem(&at, "must be at least `quiet`");
    }
    Some(Debounce { quiet, at_most })
}

fn batch(d: &mut Decoder, at: &Cursor<'_>) -> Option<Batch> {
    let fields = d.map(at, &BATCH)?;
    let (size, within) = (d.whole(&fields, "size"), d.duration(&fields, "within"));
    Some(Batch { size: size?, within: within? })
}
