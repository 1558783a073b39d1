//! `spine runs wait`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::bail;
use async_nats::jetstream;
use serde::Serialize;
use spine_core::decision::{Decision, Outcome};
use spine_core::run::RunStatus;
use spine_nats::decisions;
use spine_store::{RunSummary, Store};
use time::OffsetDateTime;

use super::{find, list};
use crate::args::Global;
use crate::args::runs::Wait;
use crate::failure::TimedOut;
use crate::{connect, output, trace};

/// How often it is looked at first; the pause doubles up to the second.
const POLL: Duration = Duration::from_millis(50);
const MAX_POLL: Duration = Duration::from_secs(1);
/// The most runs of one event that are waited for: as many as a decision names.
const MAX_RUNS: u32 = 100;
/// A router notes its decision right after its starts. An event whose run is older and that has no decision will get
/// none: the stream has forgotten it.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);

/// What is waited for.
#[derive(Debug, Serialize)]
struct Awaited {
    /// What was asked for.
    asked: String,
    /// The run, once it is known.
    run: Option<String>,
    /// The run's status; `unknown`, `opening` or `none` where there is no run.
    status: String,
    took: String,
    error: String,
    #[serde(skip)]
    ended: bool,
}

pub(crate) async fn run(global: &Global, options: &Wait) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let store = connect::store(&config).await?;
    let jetstream = connect::nats_if_there(&config, "spine runs wait").await.map(jetstream::new);
    let all = until_ended(&store, jetstream.as_ref(), options).await?;
    output::print(global.output, &all, |all| table(all))?;
    let open = all.iter().filter(|one| !one.ended).count();
    let completed = all.iter().filter(|one| one.status == RunStatus::Completed.as_str()).count();
    match all.len() {
        _ if open > 0 => {
            let waited = humane(options.timeout);
            Err(TimedOut(format!("after {waited} {open} of {} had not ended", all.len())).into())
        }
        count if completed < count => bail!("{} of {count} did not complete", count - completed),
        _ => Ok(()),
    }
}

/// Everything that is waited for, when all of it has ended or the time is over.
async fn until_ended(
    store: &Store,
    jetstream: Option<&jetstream::Context>,
    options: &Wait,
) -> anyhow::Result<Vec<Awaited>> {
    let deadline = Instant::now() + options.timeout;
    let mut pause = POLL;
    loop {
        let mut all = Vec::new();
        for text in &options.runs {
            all.extend(look(store, jetstream, text).await?);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || all.iter().all(|one| one.ended) {
            return Ok(all);
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(MAX_POLL);
    }
}

/// How it stands now with what `text` stands for: a run, or the runs of an event.
async fn look(store: &Store, jetstream: Option<&jetstream::Context>, text: &str) -> anyhow::Result<Vec<Awaited>> {
    let found = store.find_runs(text, MAX_RUNS).await?;
    let is_event = found.iter().all(|run| run.event_id == text);
    if !is_event {
        let events: BTreeSet<_> = found.iter().map(|run| (&run.event_source, &run.event_id)).collect();
        if events.len() > 1 {
            return Err(find::ambiguous(text, &found));
        }
        return Ok(found.iter().map(|run| of_run(text, run)).collect());
    }
    let decided = match jetstream {
        Some(jetstream) => decisions::of_id(jetstream, text).await?,
        None => Vec::new(),
    };
    Ok(of_event(text, &found, &decided))
}

/// The runs of an event that are there, those that its decisions name and that are not there yet, or why there are none.
fn of_event(text: &str, found: &[RunSummary], decided: &[Decision]) -> Vec<Awaited> {
    let named: BTreeSet<&String> =
        decided.iter().flat_map(|decision| &decision.verdicts).filter_map(|verdict| verdict.run.as_ref()).collect();
    let missing = named.into_iter().filter(|id| !found.iter().any(|run| run.id == **id));
    let mut all: Vec<_> = found.iter().map(|run| of_run(text, run)).collect();
    all.extend(missing.map(|id| without_run(text, Some(id), "opening", "", false)));
    match decided.last() {
        None if found.is_empty() => {
            all.push(without_run(text, None, "unknown", "no run and no event with this id is known yet", false));
        }
        None if found.iter().any(is_fresh) => {
            all.push(without_run(
                text,
                None,
                "unknown",
                "the event may start more: its decision is not there yet",
                false,
            ));
        }
        Some(decision) if all.is_empty() => all.push(without_run(text, None, "none", &because(decision), true)),
        _ => {}
    }
    all
}

fn is_fresh(run: &RunSummary) -> bool {
    run.started_at + DECIDED_WITHIN > OffsetDateTime::now_utc()
}

fn because(decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Rejected { reason, detail } => format!("the event is dead: {reason}: {detail}"),
        Outcome::Signalled => "the event went to instances of stateful activities, and started no run".into(),
        other => format!("the event started no run: {}", other.name()),
    }
}

fn of_run(text: &str, run: &RunSummary) -> Awaited {
    Awaited {
        asked: text.to_owned(),
        run: Some(run.id.clone()),
        status: run.status.as_str().to_owned(),
        took: list::took(run),
        error: run.error.as_ref().map(trace::people::failure).unwrap_or_default(),
        ended: run.status != RunStatus::Running,
    }
}

fn without_run(text: &str, run: Option<&str>, status: &str, error: &str, ended: bool) -> Awaited {
    Awaited {
        asked: text.to_owned(),
        run: run.map(str::to_owned),
        status: status.to_owned(),
        took: String::new(),
        error: error.to_owned(),
        ended,
    }
}

fn humane(timeout: Duration) -> String {
    time::Duration::try_from(timeout).map(output::span).unwrap_or_else(|_| format!("{timeout:?}"))
}

fn table(all: &[Awaited]) -> String {
    output::table(
        &["run", "status", "took", "error"],
        all.iter().map(|one| {
            let run = one.run.as_ref().unwrap_or(&one.asked);
            [run.clone(), one.status.clone(), one.took.clone(), output::clip(&one.error, 160)]
        }),
    )
}
