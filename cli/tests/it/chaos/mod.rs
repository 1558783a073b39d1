//! Workers die, again and again, while 500 runs of every kind go on: every run ends as it should, and nothing that
//! it does or says is done or said twice.

mod load;
mod oracle;
mod sink;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use async_nats::jetstream::{self, stream};
use serde_json::json;
use spine_nats::publish::publish;
use spine_nats::wire::Mode;
use spine_store::{Answer, HumanFilter, HumanStatus, Store};
use spine_testkit::shop::Shop;
use spine_testkit::{postgres, temporal, wait};
use sqlx::PgPool;

use self::load::Planned;
pub(crate) use self::sink::Sink;
use crate::world::{PATIENCE, World};

/// How often the worker is killed.
const KILLS: usize = 10;
/// How many runs go on at once at most, so that some of each kind go on at every kill.
const OPEN: usize = 80;

/// What the runs are done with and looked at through, whatever happens to the worker.
struct Hands {
    plan: Vec<Planned>,
    sink: Sink,
    store: Store,
    pool: PgPool,
    jetstream: jetstream::Context,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_lose_nothing_and_do_nothing_twice() {
    let began = Instant::now();
    let mut world = World::boot().await;
    let shop = Shop::start(temporal::client(world.stack.temporal_address()).await.unwrap()).await.unwrap();
    let hands = Hands::take(&world).await;
    let ledger = "create table entry (event text not null)";
    let ledger = postgres::create_database(world.stack.database_url(), "ledger", ledger).await.unwrap();
    let file = world.folder.path().join("activities.yaml");
    std::fs::write(&file, include_str!("activities.yaml")).unwrap();
    world.ok(&["apply", "--file", file.to_str().unwrap()]);
    let settings = [("SPINE_VALUES__sink", hands.sink.url.as_str()), ("SPINE_DATABASES__ledger", ledger.as_str())];
    world.start("relay", &[]).await;
    world.start("worker", &settings).await;
    world.start("router", &[]).await;

    let (cancels, retries) =
        (commands(&world, &hands, "dropped", "cancel"), commands(&world, &hands, "retried", "retry"));
    let killing = kill(&mut world, &hands, &settings);
    let (hits, ..) =
        tokio::join!(killing, hands.publish(), hands.answer(), hands.cancel(cancels), hands.retry(retries));
    hands.settle().await;

    let temporal = temporal::client(world.stack.temporal_address()).await.unwrap();
    let mut report = oracle::check(&hands, &temporal, &ledger).await;
    (report.kills, report.hits, report.took) = (KILLS, hits, began.elapsed());
    println!("{report}");
    assert!(hits * 2 >= KILLS, "too few kills met a request that was done and not answered: {report}");
    assert!(report.has_seen_chaos(), "the kills did nothing: {report}");
    shop.stop().await.unwrap();
    world.end().await;
}

/// Kills the worker and starts it again each time that a part of the runs has ended, if it can be while a request is
/// done whose answer it does not have. Returns how often it could.
async fn kill(world: &mut World, hands: &Hands, settings: &[(&str, &str)]) -> usize {
    let step = hands.plan.len() / (KILLS + 1);
    let mut hits = 0;
    for kill in 1..=KILLS {
        wait::until(&format!("kill {kill}"), PATIENCE * 2, async || {
            let ended = hands.ended().await;
            let due = ended >= kill * step && hands.sink.hanging() > 0;
            (due || ended >= kill * step + step / 2).then_some(())
        })
        .await;
        hits += usize::from(hands.sink.hanging() > 0);
        world.kill("worker");
        world.start("worker", settings).await;
    }
    hits
}

/// A command of `spine runs` for each run of an activity, in the order in which they start.
fn commands(world: &World, hands: &Hands, activity: &str, command: &str) -> Vec<(Planned, Command)> {
    let runs = hands.plan.iter().filter(|one| one.kind.activity == activity);
    runs.map(|one| (one.clone(), world.spine(&["runs", command, &one.run]))).collect()
}

async fn run(command: Command) {
    let output = tokio::process::Command::from(command).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Hands {
    async fn take(world: &World) -> Self {
        let url = world.stack.database_url();
        let jetstream = jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
        let mail = stream::Config { name: "MAIL".into(), subjects: vec!["mail.>".into()], ..Default::default() };
        jetstream.create_stream(mail).await.unwrap();
        Self {
            plan: load::plan(),
            sink: Sink::start().await,
            store: Store::connect(url).await.unwrap(),
            pool: PgPool::connect(url).await.unwrap(),
            jetstream,
        }
    }

    /// How many runs of events have ended so far.
    async fn ended(&self) -> usize {
        self.count("select count(*) from run where trigger = 'event' and status <> 'running'").await
    }

    async fn count(&self, query: &'static str) -> usize {
        let count: i64 = sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap();
        usize::try_from(count).unwrap()
    }

    /// Publishes every event, the next one when there is room.
    async fn publish(&self) {
        for (number, one) in self.plan.iter().enumerate() {
            if number % 10 == 0 {
                wait::until("there is room for more runs", PATIENCE * 2, async || {
                    (number < self.ended().await + OPEN).then_some(())
                })
                .await;
            }
            publish(&self.jetstream, &one.event, Mode::Structured).await.unwrap();
        }
    }

    /// Does what people are asked: completes what is asked by `asked`, declines what is asked by `declined`.
    async fn answer(&self) {
        for (activity, answer) in
            [("asked", Answer::Completed(json!({"approve": true}))), ("declined", Answer::Failed("no".into()))]
        {
            let asked: usize = self.plan.iter().filter(|one| one.kind.activity == activity).count();
            let mut done = BTreeSet::new();
            while done.len() < asked {
                let open = HumanFilter {
                    statuses: vec![HumanStatus::Open],
                    activity: Some(activity.into()),
                    limit: 1000,
                    ..HumanFilter::default()
                };
                let tasks = wait::until("somebody is asked", PATIENCE * 2, async || {
                    let tasks = self.store.list_human_tasks(&open).await.unwrap();
                    (!tasks.is_empty()).then_some(tasks)
                })
                .await;
                for task in tasks {
                    self.store.end_human_task(&task.key(), "ann", &answer).await.unwrap();
                    done.insert(task.run);
                }
            }
        }
    }

    /// Cancels each run of `dropped` once it waits.
    async fn cancel(&self, commands: Vec<(Planned, Command)>) {
        for (one, command) in commands {
            wait::until("the run waits", PATIENCE * 2, async || {
                let query = "select true from task where run = $1 and task = 'pause' and status = 'created'";
                sqlx::query_scalar::<_, bool>(query).bind(&one.run).fetch_optional(&self.pool).await.unwrap()
            })
            .await;
            run(command).await;
        }
    }

    /// Retries each run of `retried` once it has failed, after what it failed for is mended.
    async fn retry(&self, commands: Vec<(Planned, Command)>) {
        for (one, command) in commands {
            wait::until("the run has failed", PATIENCE * 2, async || {
                let query = "select true from run where id = $1 and status = 'failed'";
                sqlx::query_scalar::<_, bool>(query).bind(&one.run).fetch_optional(&self.pool).await.unwrap()
            })
            .await;
            self.sink.mend(&one.event.id);
            run(command).await;
        }
    }

    /// Waits until nothing more happens.
    async fn settle(&self) {
        let runs = self.plan.len();
        wait::until("every run has ended", PATIENCE * 2, async || (self.ended().await == runs).then_some(())).await;
        wait::until("all that was said is published", PATIENCE, async || {
            (self.count("select count(*) from outbox where published_at is null").await == 0).then_some(())
        })
        .await;
    }
}
