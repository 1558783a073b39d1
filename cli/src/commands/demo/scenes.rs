//! What the demo publishes, and what should become of it.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use spine_core::decision::{DeadReason, Outcome};
use spine_core::event::Event;
use spine_core::names;
use spine_core::run::{RunStatus, TaskStatus};
use spine_nats::wire::{self, Mode};
use spine_store::{PublishState, RunFilter};

use super::expect::Verdicts;
use crate::dev::Running;
use crate::example;
use crate::trace::{self, EventTrace, RunTrace, Sources};

/// How long one event may take from its publication to its last effect.
const PATIENCE: Duration = Duration::from_secs(30);
const SHOP: &str = "https://shop.example/checkout";

/// Plays all scenes. An error is about the stage, not about what was expected.
pub(super) async fn play(stack: &Running, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    let stage = Stage { stack, jetstream: stack.jetstream()? };
    order(&stage, verdicts).await?;
    same_order_again(&stage, verdicts).await?;
    risky_order(&stage, verdicts).await?;
    small_order(&stage, verdicts).await?;
    invalid_orders(&stage, verdicts).await?;
    nobody_listens(&stage, verdicts).await?;
    schedule(&stage, verdicts).await
}

struct Stage<'a> {
    stack: &'a Running,
    jetstream: async_nats::jetstream::Context,
}

async fn order(stage: &Stage<'_>, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    title("An order of 259.90, published to NATS in structured mode");
    let event = Event::from_json(example::ORDER_PLACED.as_bytes())?;
    let ack = spine_nats::publish::publish(&stage.jetstream, &event, Mode::Structured).await?;
    let trace = stage.settled(&event.source, &event.id).await?;
    verdicts.expect("the broker has stored it", !ack.duplicate);
    verdicts.expect(
        "it was admitted, and started one run",
        outcome(&trace) == Some(&Outcome::Started) && trace.runs.len() == 1,
    );
    let run = trace.runs.first().context("find the run")?;
    verdicts.expect("the run completed, with its context's hash in the audit", completed(run) && audited(run));
    verdicts.expect(
        "the context came from HTTP and SQL",
        context(run, "/customer/tier") == json!("gold") && context(run, "/history/0/orders") == json!(2),
    );
    verdicts
        .expect("the risk team's Temporal worker scored it", status(run, "score", 0) == Some(TaskStatus::Completed));
    verdicts.expect("each of its 2 items was reserved, the second after a retry", attempts(run, "reserve") == [1, 2]);
    verdicts.expect("`flag` was skipped, as the risk is low", status(run, "flag", 0) == Some(TaskStatus::Skipped));
    verdicts.expect("every event it wrote stands in the stream", published(run));
    let reviewed = emitted(run, "com.shop.order.reviewed").context("find the emitted event")?;
    follow_up(stage, verdicts, &reviewed).await
}

/// What one activity emits starts another.
async fn follow_up(stage: &Stage<'_>, verdicts: &mut Verdicts, reviewed: &Event) -> anyhow::Result<()> {
    title("The event that order-review emitted");
    let trace = stage.settled(&reviewed.source, &reviewed.id).await?;
    let run = trace.runs.first();
    verdicts.expect(
        "it started order-fulfilment",
        run.is_some_and(|run| run.run.activity == "order-fulfilment" && completed(run)),
    );
    verdicts.expect(
        "which emitted com.shop.order.shipped",
        run.and_then(|run| emitted(run, "com.shop.order.shipped")).is_some(),
    );
    Ok(())
}

async fn same_order_again(stage: &Stage<'_>, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    title("The same order twice more: once as before, once by a publisher that sets no Nats-Msg-Id");
    let event = Event::from_json(example::ORDER_PLACED.as_bytes())?;
    let ack = spine_nats::publish::publish(&stage.jetstream, &event, Mode::Structured).await?;
    verdicts.expect("the broker dropped the first as a duplicate", ack.duplicate);
    let (headers, payload) = wire::encode(&event, Mode::Structured)?;
    let headers = without(&headers, names::MSG_ID_HEADER);
    stage.raw(names::event_subject(&event.event_type), headers, payload.to_vec()).await?;
    let trace = stage.decided(&event.source, &event.id, 2).await?;
    let last = trace.decisions.last().map(|decision| &decision.outcome);
    verdicts.expect(
        "the router called the second a duplicate",
        matches!(last, Some(Outcome::Duplicate { of_sequence: Some(_) })),
    );
    verdicts.expect("there is still one run", trace.runs.len() == 1);
    Ok(())
}

async fn risky_order(stage: &Stage<'_>, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    title("An order of 1,500 by an unknown customer, in binary mode");
    let event = placed(
        "order-1002",
        json!({"customer_id": "zoe", "total": 1500, "items": [{"sku": "chair-4", "quantity": 1}]}),
    )?;
    spine_nats::publish::publish(&stage.jetstream, &event, Mode::Binary).await?;
    let trace = stage.settled(&event.source, &event.id).await?;
    let run = trace.runs.first().context("find the run")?;
    verdicts.expect(
        "the customer is unknown: the context's default stands in",
        context(run, "/customer/tier") == json!("unknown"),
    );
    verdicts.expect("it was flagged", emitted(run, "com.shop.order.flagged").is_some());
    let reviewed = emitted(run, "com.shop.order.reviewed").context("find the emitted event")?;
    title("Its review");
    let trace = stage.settled(&reviewed.source, &reviewed.id).await?;
    let because =
        trace.decisions.first().and_then(|decision| decision.verdicts.first()).map(|verdict| verdict.because.as_str());
    verdicts
        .expect("order-fulfilment did not match, and says why", because == Some("data.approved is false, wanted true"));
    Ok(())
}

async fn small_order(stage: &Stage<'_>, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    title("An order of 40, over HTTP");
    let event =
        placed("order-1003", json!({"customer_id": "bob", "total": 40, "items": [{"sku": "lamp-7", "quantity": 1}]}))?;
    let client = reqwest::Client::new();
    let request = client
        .post(&stage.stack.ingress_url)
        .header("content-type", "application/cloudevents+json")
        .body(event.to_json().to_string());
    let answer = request.send().await.context("post to the ingress")?;
    verdicts.expect("the ingress answered 202, after JetStream's ack", answer.status() == 202);
    let trace = stage.settled(&event.source, &event.id).await?;
    let because =
        trace.decisions.first().and_then(|decision| decision.verdicts.first()).map(|verdict| verdict.because.as_str());
    verdicts.expect(
        "no run, and the reason names value and bound",
        trace.runs.is_empty() && because == Some("data.total is 40, wanted numeric >= 100"),
    );
    Ok(())
}

async fn invalid_orders(stage: &Stage<'_>, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    title("An order without items");
    let event = placed("order-1004", json!({"customer_id": "ada", "total": 300}))?;
    spine_nats::publish::publish(&stage.jetstream, &event, Mode::Structured).await?;
    let trace = stage.settled(&event.source, &event.id).await?;
    verdicts.expect(
        "it is dead-lettered: its data does not meet the schema",
        reason(&trace) == Some(DeadReason::SchemaViolation),
    );
    title("A message that is no CloudEvent");
    let before = stage.dead().await?;
    let subject = names::event_subject("com.shop.order.placed");
    let sequence = stage.raw(subject, async_nats::HeaderMap::new(), b"an order, please".to_vec()).await?;
    let source = format!("nats:{}", names::EVENTS_STREAM);
    let trace = stage.settled(&source, &sequence.to_string()).await?;
    verdicts.expect("it is dead-lettered as an invalid event", reason(&trace) == Some(DeadReason::InvalidEvent));
    verdicts.expect("the DEAD stream holds it", stage.dead().await? == before + 1);
    Ok(())
}

async fn nobody_listens(stage: &Stage<'_>, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    title("An event of a type that no activity listens to");
    let event = Event::new("com.shop.newsletter.opened", SHOP, "newsletter-1");
    spine_nats::publish::publish(&stage.jetstream, &event, Mode::Structured).await?;
    let trace = stage.settled(&event.source, &event.id).await?;
    verdicts.expect("it was admitted, and matched nothing", outcome(&trace) == Some(&Outcome::Unmatched));
    Ok(())
}

async fn schedule(stage: &Stage<'_>, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    title("The schedule of stock-watch, every 10 s");
    let store = stage.stack.parts.store.as_ref().context("use the store")?;
    let (activity, statuses) = (Some("stock-watch".into()), vec![RunStatus::Completed]);
    let filter = RunFilter { activity, statuses, limit: 1, ..RunFilter::default() };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let found = loop {
        match store.list_runs(&filter).await?.pop() {
            Some(run) => break Some(run),
            None if tokio::time::Instant::now() >= deadline => break None,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    verdicts.expect("Temporal's schedule started a run, and it completed", found.is_some());
    if let Some(found) = found {
        let run = trace::run(store, None, &found.id).await?.context("find the run")?;
        println!("{}", trace::people::run(&run).join("\n"));
        verdicts
            .expect("it read the stock, and emitted one event for each low article", attempts(&run, "warn").len() == 2);
    }
    Ok(())
}

impl Stage<'_> {
    /// The event's trace once nothing more will happen to it; prints it.
    async fn settled(&self, source: &str, id: &str) -> anyhow::Result<EventTrace> {
        let traces = trace::settled(&self.sources()?, Some(source), id, PATIENCE).await?;
        println!("{}", trace::people::events(&traces));
        traces.into_iter().next().with_context(|| format!("find a decision for event {id} within {PATIENCE:?}"))
    }

    /// The event's trace once that many messages were decided; prints it.
    async fn decided(&self, source: &str, id: &str, decisions: usize) -> anyhow::Result<EventTrace> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let traces = trace::event(&self.sources()?, Some(source), id).await?;
            if let Some(trace) = traces.into_iter().next().filter(|trace| trace.decisions.len() >= decisions) {
                println!("{}", trace::people::events(std::slice::from_ref(&trace)));
                return Ok(trace);
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "event {id} has fewer than {decisions} decisions after {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn sources(&self) -> anyhow::Result<Sources<'_>> {
        let parts = &self.stack.parts;
        Ok(Sources {
            jetstream: &self.jetstream,
            store: parts.store.as_ref().context("use the store")?,
            temporal: parts.temporal.as_ref(),
        })
    }

    /// Publishes bytes as they are, and returns their place in the stream.
    async fn raw(&self, subject: String, headers: async_nats::HeaderMap, payload: Vec<u8>) -> anyhow::Result<u64> {
        let ack = self.jetstream.publish_with_headers(subject, headers, payload.into()).await?.await?;
        Ok(ack.sequence)
    }

    /// How many dead letters there are.
    async fn dead(&self) -> anyhow::Result<u64> {
        Ok(self.jetstream.get_stream(names::DEAD_STREAM).await?.get_info().await?.state.messages)
    }
}

fn placed(id: &str, data: Value) -> anyhow::Result<Event> {
    let event = json!({"specversion": "1.0", "type": "com.shop.order.placed", "source": SHOP, "id": id, "subject": id,
        "datacontenttype": "application/json", "data": data});
    Ok(Event::from_json(event.to_string().as_bytes())?)
}

fn title(text: &str) {
    println!("\n── {text}");
}

fn without(headers: &async_nats::HeaderMap, name: &str) -> async_nats::HeaderMap {
    let mut kept = async_nats::HeaderMap::new();
    for (known, values) in headers.iter().filter(|(known, _)| !known.to_string().eq_ignore_ascii_case(name)) {
        values.iter().for_each(|value| kept.append(known.clone(), value.clone()));
    }
    kept
}

fn outcome(trace: &EventTrace) -> Option<&Outcome> {
    trace.decisions.first().map(|decision| &decision.outcome)
}

fn reason(trace: &EventTrace) -> Option<DeadReason> {
    match outcome(trace) {
        Some(Outcome::Rejected { reason, .. }) => Some(*reason),
        _ => None,
    }
}

fn completed(run: &RunTrace) -> bool {
    run.run.status == RunStatus::Completed
}

fn audited(run: &RunTrace) -> bool {
    let hash = json!(run.run.context_hash);
    !hash.is_null() && run.audit.iter().any(|entry| entry.fact == "decided" && entry.detail["contextHash"] == hash)
}

fn context(run: &RunTrace, pointer: &str) -> Value {
    run.run.context.as_ref().and_then(|context| context.pointer(pointer)).cloned().unwrap_or_default()
}

fn status(run: &RunTrace, task: &str, index: u32) -> Option<TaskStatus> {
    run.tasks.iter().find(|row| row.task == task && row.index == index).map(|row| row.status)
}

fn attempts(run: &RunTrace, task: &str) -> Vec<u32> {
    run.tasks.iter().filter(|row| row.task == task).map(|row| row.attempts).collect()
}

fn published(run: &RunTrace) -> bool {
    !run.events.is_empty() && run.events.iter().all(|event| matches!(event.state, PublishState::Published { .. }))
}

fn emitted(run: &RunTrace, event_type: &str) -> Option<Event> {
    let found = run.events.iter().find(|event| event.event["type"] == event_type)?;
    Event::from_json(found.event.to_string().as_bytes()).ok()
}
