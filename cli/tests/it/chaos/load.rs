//! What is run, and what must come of it.

use spine_core::event::Event;
use spine_core::names;

use crate::world::SOURCE;

/// One activity of `activities.yaml`, how many events start it, and what one run of it must leave.
pub(super) struct Kind {
    pub(super) activity: &'static str,
    pub(super) count: usize,
    /// How its runs end.
    pub(super) status: &'static str,
    /// What the sink does: the end of its idempotency key, and method and path; `EVENT` stands for the event's id.
    effects: &'static [(&'static str, &'static str)],
    /// The ends of the ids of the events that it emits.
    emitted: &'static [&'static str],
}

const fn kind(
    activity: &'static str,
    count: usize,
    status: &'static str,
    effects: &'static [(&'static str, &'static str)],
    emitted: &'static [&'static str],
) -> Kind {
    Kind { activity, count, status, effects, emitted }
}

/// 500 runs. Those of `caller` begin another run each.
pub(super) const KINDS: [Kind; 14] = [
    kind(
        "each",
        50,
        "completed",
        &[
            ("reserve/0", "POST /flaky/EVENT/1"),
            ("reserve/1", "POST /flaky/EVENT/2"),
            ("reserve/2", "POST /flaky/EVENT/3"),
        ],
        &["tell/0"],
    ),
    kind("held", 40, "completed", &[("hold/0", "POST /held/EVENT/x")], &["tell/0"]),
    kind("emits", 50, "completed", &[], &["one/0", "two/0"]),
    kind("ledger", 50, "completed", &[], &["tell/0"]),
    kind("message", 50, "completed", &[], &["tell/0"]),
    kind("foreign", 40, "completed", &[], &["tell/0"]),
    kind("pause", 40, "completed", &[], &["tell/0"]),
    kind("caller", 40, "completed", &[], &["tell/0"]),
    kind("asked", 40, "completed", &[], &["tell/0"]),
    kind("late", 20, "completed", &[], &["tell/0"]),
    kind("declined", 20, "failed", &[("a/0", "POST /do/EVENT/a"), ("a.undo/0", "DELETE /held/EVENT/a")], &[]),
    kind(
        "saga",
        30,
        "failed",
        &[
            ("a/0", "POST /do/EVENT/a"),
            ("each/0", "POST /do/EVENT/1"),
            ("each/1", "POST /do/EVENT/2"),
            ("each.undo/0", "DELETE /held/EVENT/1"),
            ("each.undo/1", "DELETE /held/EVENT/2"),
            ("a.undo/0", "DELETE /flaky/EVENT/a"),
        ],
        &["told/0", "told.undo/0"],
    ),
    kind("dropped", 20, "cancelled", &[("a/0", "POST /do/EVENT/a"), ("a.undo/0", "DELETE /held/EVENT/a")], &[]),
    // What was undone is done again by the retry, under a key of its own.
    kind(
        "retried",
        10,
        "completed",
        &[
            ("a/0", "POST /do/EVENT/a"),
            ("a.undo/0", "DELETE /do/EVENT/a"),
            ("a/0~1", "POST /do/EVENT/a"),
            ("b/0", "POST /mend/EVENT/b"),
        ],
        &["tell/0~1"],
    ),
];

/// The run that an event starts.
#[derive(Clone)]
pub(super) struct Planned {
    pub(super) kind: &'static Kind,
    pub(super) event: Event,
    /// Its id.
    pub(super) run: String,
}

/// Every `share`th run, in an order that mixes the kinds and is the same each time.
pub(super) fn plan(share: usize) -> Vec<Planned> {
    let mut plan: Vec<Planned> =
        KINDS.iter().flat_map(|kind| (0..kind.count / share).map(move |number| planned(kind, number))).collect();
    plan.sort_by_key(|one| one.event.key());
    plan
}

fn planned(kind: &'static Kind, number: usize) -> Planned {
    let id = format!("{}-{number}", kind.activity);
    let event = Event::new(format!("com.chaos.{}", kind.activity), SOURCE, id);
    let run = names::run_id(kind.activity, &event.key());
    Planned { kind, event, run }
}

impl Planned {
    /// What the sink must do for it: idempotency key, and method and path.
    pub(super) fn effects(&self) -> Vec<(String, String)> {
        let own = self.kind.effects.iter();
        let own = own.map(|(key, what)| (format!("{}/{key}", self.run), what.replace("EVENT", &self.event.id)));
        let called = self.called().map(|run| (format!("{run}/inner/0"), format!("POST /do/{}/inner", self.event.id)));
        own.chain(called).collect()
    }

    /// The ids of the domain events that must come of it.
    pub(super) fn emitted(&self) -> Vec<String> {
        let own = self.kind.emitted.iter().map(|id| format!("{}/{id}", self.run));
        own.chain(self.called().map(|run| format!("{run}/tell/0"))).collect()
    }

    /// The run that it calls, if it calls one.
    pub(super) fn called(&self) -> Option<String> {
        let event = || Event::new(names::CALL_TYPE, "/spine/activities/caller", format!("{}/sub/0", self.run));
        (self.kind.activity == "caller").then(|| names::run_id("callee", &event().key()))
    }
}
