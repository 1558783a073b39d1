//! What may stand in a label, as types, and counters that take only these.

use std::marker::PhantomData;

use prometheus::{IntCounterVec, Opts, Registry};

/// The labels of one counter: their names, and every set of values that they can have.
pub trait Labels: Sized {
    /// The labels' names.
    const NAMES: &'static [&'static str];

    /// Every set of values.
    fn all() -> Vec<Self>;

    /// This set's values, in the order of [`Labels::NAMES`].
    fn values(&self) -> Vec<&'static str>;
}

/// Counters, one for each set of labels; all are 0 from the start.
#[derive(Debug)]
pub struct Counters<L> {
    vec: IntCounterVec,
    labels: PhantomData<fn(L)>,
}

impl<L> Clone for Counters<L> {
    fn clone(&self) -> Self {
        Self { vec: self.vec.clone(), labels: PhantomData }
    }
}

impl<L: Labels> Counters<L> {
    /// Counts one more.
    pub fn inc(&self, labels: L) {
        self.vec.with_label_values(&labels.values()).inc();
    }

    /// Counts so many more.
    pub fn add(&self, labels: L, count: u64) {
        self.vec.with_label_values(&labels.values()).inc_by(count);
    }

    /// How many were counted.
    pub fn get(&self, labels: L) -> u64 {
        self.vec.with_label_values(&labels.values()).get()
    }

    pub(super) fn register(registry: &Registry, name: &str, help: &str) -> prometheus::Result<Self> {
        let vec = IntCounterVec::new(Opts::new(name, help), L::NAMES)?;
        registry.register(Box::new(vec.clone()))?;
        for labels in L::all() {
            vec.with_label_values(&labels.values());
        }
        Ok(Self { vec, labels: PhantomData })
    }
}

/// Counters by reason; those named at construction are 0 from the start.
#[derive(Clone, Debug)]
pub struct Reasons(IntCounterVec);

impl Reasons {
    /// Counts one more for `reason`, which is to be one of those named at construction.
    pub fn inc(&self, reason: &str) {
        self.0.with_label_values(&[reason]).inc();
    }

    /// How many were counted for `reason`.
    pub fn get(&self, reason: &str) -> u64 {
        self.0.with_label_values(&[reason]).get()
    }

    pub(super) fn register(registry: &Registry, name: &str, help: &str, reasons: &[&str]) -> prometheus::Result<Self> {
        let vec = IntCounterVec::new(Opts::new(name, help), &["reason"])?;
        registry.register(Box::new(vec.clone()))?;
        for reason in reasons {
            vec.with_label_values(&[*reason]);
        }
        Ok(Self(vec))
    }
}

macro_rules! label {
    ($(#[$doc:meta])* $type:ident, $name:literal { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// The one whose value in the label this is.
            pub fn named(value: &str) -> Option<Self> {
                match value { $($value => Some(Self::$variant),)+ _ => None }
            }
        }

        impl Labels for $type {
            const NAMES: &'static [&'static str] = &[$name];

            fn all() -> Vec<Self> {
                vec![$(Self::$variant),+]
            }

            fn values(&self) -> Vec<&'static str> {
                vec![match self { $(Self::$variant => $value),+ }]
            }
        }
    };
}

label! {
    /// What the router decided for an event.
    Decision, "outcome" {
        /// It started at least one run.
        Started = "started",
        /// It goes to instances of stateful activities, and started no run.
        Signalled = "signalled",
        /// Every run that it asks for had been started before.
        Duplicate = "duplicate",
        /// No trigger matches.
        Unmatched = "unmatched",
        /// It may not come in.
        Rejected = "rejected",
    }
}

label! {
    /// Who got an event out of the inbox.
    Delivery, "to" {
        /// An instance of a stateful activity.
        Instance = "instance",
        /// Those who wait for what meets a spec, now or later.
        Wait = "wait",
    }
}

label! {
    /// How a start request ended.
    Start, "outcome" {
        /// Temporal started the run.
        Started = "started",
        /// Temporal had started it before.
        AlreadyStarted = "already_started",
        /// Temporal did not start it.
        Failed = "failed",
    }
}

label! {
    /// What a retry waits for.
    Dependency, "dependency" {
        /// Temporal.
        Temporal = "temporal",
        /// NATS.
        Nats = "nats",
    }
}

label! {
    /// How an ingress request ended.
    Request, "outcome" {
        /// JetStream has the event.
        Accepted = "accepted",
        /// JetStream had it before.
        Duplicate = "duplicate",
        /// It is no valid event, or one that admission refuses.
        Invalid = "invalid",
        /// It is larger than allowed.
        TooLarge = "too_large",
        /// Its content type, its encoding or its method is not supported.
        Unsupported = "unsupported",
        /// There is nothing at its path.
        NotFound = "not_found",
        /// Its sender did not say who it is, or not truly.
        Unauthenticated = "unauthenticated",
        /// Its sender may not send this.
        Forbidden = "forbidden",
        /// Its sender asks too often.
        RateLimited = "rate_limited",
        /// Its body took too long to arrive.
        TimedOut = "timed_out",
        /// There are too many others in hand.
        Overloaded = "overloaded",
        /// JetStream did not acknowledge it.
        Unavailable = "unavailable",
    }
}

label! {
    /// What became of one event of an ingress request.
    Arrival, "outcome" {
        /// JetStream has it.
        Accepted = "accepted",
        /// JetStream had it before.
        Duplicate = "duplicate",
        /// It may not come in.
        Rejected = "rejected",
        /// JetStream did not acknowledge it.
        Unavailable = "unavailable",
    }
}

label! {
    /// How a run ended.
    Run, "outcome" {
        /// All its tasks ended well.
        Completed = "completed",
        /// It failed.
        Failed = "failed",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// The same run was recorded before.
        Duplicate = "duplicate",
    }
}

label! {
    /// What became of a schedule's tick.
    Tick, "outcome" {
        /// It has a run of its own.
        Ran = "ran",
        /// It has none.
        Skipped = "skipped",
        /// The run of another tick stands for it.
        Compressed = "compressed",
    }
}

label! {
    /// What a task does.
    TaskKind, "kind" {
        /// It sends an HTTP request.
        Http = "http",
        /// It emits an event.
        Emit = "emit",
        /// It executes a statement in a database.
        Sql = "sql",
        /// It sends a NATS message.
        Nats = "nats",
        /// A worker of the operator's own does it.
        Worker = "worker",
        /// Another activity is run.
        Activity = "activity",
        /// Time passes.
        Wait = "wait",
        /// A person does it.
        Human = "human",
    }
}

label! {
    /// How one try of a task ended.
    TaskOutcome, "outcome" {
        /// It ended well.
        Completed = "completed",
        /// It failed and is not tried again.
        Failed = "failed",
        /// It failed and is tried again.
        Retried = "retried",
        /// It was given up, because its run failed or was cancelled.
        Cancelled = "cancelled",
    }
}

label! {
    /// How publishing an outbox row ended.
    Publication, "outcome" {
        /// JetStream has the event.
        Published = "published",
        /// JetStream had it before.
        Duplicate = "duplicate",
    }
}

impl Labels for (TaskKind, TaskOutcome) {
    const NAMES: &'static [&'static str] = &["kind", "outcome"];

    fn all() -> Vec<Self> {
        let of = |kind| TaskOutcome::all().into_iter().map(move |outcome| (kind, outcome));
        TaskKind::all().into_iter().flat_map(of).collect()
    }

    fn values(&self) -> Vec<&'static str> {
        [self.0.values(), self.1.values()].concat()
    }
}
