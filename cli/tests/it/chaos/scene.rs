//! A stack with everything that the runs need, and the hands that do with them what people do.

use std::collections::BTreeSet;
use std::process::Command;

use async_nats::jetstream::{self, stream};
use serde_json::json;
use spine_nats::publish::publish;
use spine_nats::wire::Mode;
use spine_store::{Answer, HumanFilter, HumanStatus, Store};
use spine_testkit::shop::Shop;
use spine_testkit::{postgres, temporal, wait};
use sqlx::PgPool;
use temporalio_client::Client;

use super::load::Planned;
use super::next;
use super::oracle;
use super::sink::Sink;
use crate::world::{PATIENCE, World};

/// How many runs go on at once at most, so that some of each kind go on whenever something happens.
const OPEN: usize = 80;

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) hands: Hands,
    /// Has a foreign worker on the task queue `risk`.
    pub(super) shop: Shop,
    pub(super) settings: Settings,
}

/// What a worker is told.
pub(super) struct Settings {
    pub(super) sink: String,
    pub(super) ledger: String,
}

/// What the runs are done with and looked at through, whatever happens to the worker.
pub(super) struct Hands {
    pub(super) plan: Vec<Planned>,
    pub(super) sink: Sink,
    pub(super) ledger: PgPool,
    pub(super) pool: PgPool,
    pub(super) jetstream: jetstream::Context,
    store: Store,
    temporal: Client,
}

/// Commands of `spine runs`, each for a run.
pub(super) struct Commands {
    cancel: Vec<(Planned, Command)>,
    retry: Vec<(Planned, Command)>,
}

impl Scene {
    /// Everything runs, and no event is published.
    pub(super) async fn set(plan: Vec<Planned>) -> Self {
        let mut world = World::boot().await;
        let temporal = temporal::client(world.stack.temporal_address()).await.unwrap();
        let shop = Shop::start(temporal.clone()).await.unwrap();
        let url = world.stack.database_url();
        let ledger = postgres::create_database(url, "ledger", "create table entry (event text not null)");
        let ledger = ledger.await.unwrap();
        let jetstream = jetstream::new(async_nats::connect(world.stack.nats_url()).await.unwrap());
        let mail = stream::Config { name: "MAIL".into(), subjects: vec!["mail.>".into()], ..Default::default() };
        jetstream.create_stream(mail).await.unwrap();
        let hands = Hands {
            plan,
            sink: Sink::start().await,
            ledger: PgPool::connect(&ledger).await.unwrap(),
            pool: PgPool::connect(url).await.unwrap(),
            jetstream,
            store: Store::connect(url).await.unwrap(),
            temporal,
        };
        let file = world.folder.path().join("activities.yaml");
        std::fs::write(&file, include_str!("activities.yaml")).unwrap();
        world.ok(&["apply", "--file", file.to_str().unwrap()]);
        let settings = Settings { sink: hands.sink.url.clone(), ledger };
        world.start("relay", &[]).await;
        world.start("worker", &settings.of_worker()).await;
        world.start("router", &[]).await;
        Self { world, hands, shop, settings }
    }
}

impl Settings {
    pub(super) fn of_worker(&self) -> [(&str, &str); 2] {
        [("SPINE_VALUES__sink", &self.sink), ("SPINE_DATABASES__ledger", &self.ledger)]
    }

    /// A worker of this release.
    pub(super) fn worker(&self, world: &World) -> Command {
        let mut command = world.spine(&["worker"]);
        command.envs(self.of_worker());
        command
    }

    /// A worker of the next release.
    pub(super) fn next_worker(&self, world: &World) -> Command {
        let mut command = next::command(world);
        command.envs(self.of_worker());
        command
    }
}

impl Hands {
    /// Does all that is to be done with the runs, until each has ended and nothing more happens.
    pub(super) async fn load(&self, Commands { cancel, retry }: Commands) {
        tokio::join!(self.publish(), self.answer(), self.cancel(cancel), self.retry(retry));
        let (runs, ended) = (self.plan.len(), async || (self.ended().await == self.plan.len()).then_some(()));
        let waited = tokio::time::timeout(PATIENCE * 2, wait::until("every run has ended", PATIENCE * 3, ended)).await;
        if waited.is_err() {
            panic!("{} of {runs} runs have ended; not: {:#?}", self.ended().await, self.stuck().await);
        }
        wait::until("all that was said is published", PATIENCE, async || {
            (self.count("select count(*) from outbox where published_at is null").await == 0).then_some(())
        })
        .await;
    }

    /// Each run that goes on, with its tasks that do, and what Temporal knows of it.
    async fn stuck(&self) -> Vec<(String, String, Vec<String>)> {
        let query = "select id, coalesce((select string_agg(task || '/' || index || ' ' || uses, ', ') from task
            where run = id and status = 'created'), 'no task') from run where status = 'running' order by id limit 10";
        let runs: Vec<(String, String)> = sqlx::query_as(query).fetch_all(&self.pool).await.unwrap();
        let histories = runs.into_iter().map(async |(run, tasks)| {
            let history = oracle::history(&self.temporal, &run).await;
            (run, tasks, history.iter().map(oracle::describe).collect())
        });
        futures::future::join_all(histories).await
    }

    /// The commands that the runs of this world will need.
    pub(super) fn commands(&self, world: &World) -> Commands {
        let each = |activity, command| {
            let runs = self.plan.iter().filter(move |one| one.kind.activity == activity);
            runs.map(|one| (one.clone(), world.spine(&["runs", command, &one.run]))).collect()
        };
        Commands { cancel: each("dropped", "cancel"), retry: each("retried", "retry") }
    }

    /// Waits until so many of so many parts of the runs have ended; a little longer, if no request hangs then.
    pub(super) async fn part(&self, part: usize, parts: usize) {
        let step = self.plan.len() / parts;
        wait::until(&format!("part {part} of {parts} has ended"), PATIENCE * 2, async || {
            let ended = self.ended().await;
            let due = ended >= part * step && self.sink.hanging() > 0;
            (due || ended >= part * step + step / 2).then_some(())
        })
        .await;
    }

    /// How many rows a query counts.
    pub(super) async fn count(&self, query: &'static str) -> usize {
        let count: i64 = sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap();
        usize::try_from(count).unwrap()
    }

    /// How many runs of events have ended so far.
    async fn ended(&self) -> usize {
        self.count("select count(*) from run where trigger = 'event' and status <> 'running'").await
    }

    /// Publishes every event, the next few when there is room.
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

    /// Completes what is asked by `asked`, declines what is asked by `declined`.
    async fn answer(&self) {
        let completed = Answer::Completed(json!({"approve": true}));
        tokio::join!(self.answer_all("asked", completed), self.answer_all("declined", Answer::Failed("no".into())));
    }

    async fn answer_all(&self, activity: &str, answer: Answer) {
        let open = HumanFilter {
            statuses: vec![HumanStatus::Open],
            activity: Some(activity.into()),
            limit: 1000,
            ..HumanFilter::default()
        };
        let expected = self.plan.iter().filter(|one| one.kind.activity == activity).count();
        let mut answered = BTreeSet::new();
        while answered.len() < expected {
            let tasks = wait::until("somebody is asked", PATIENCE * 2, async || {
                let tasks = self.store.list_human_tasks(&open).await.unwrap();
                (!tasks.is_empty()).then_some(tasks)
            })
            .await;
            for task in tasks {
                self.store.end_human_task(&task.key(), "ann", &answer).await.unwrap();
                answered.insert(task.run);
            }
        }
    }

    /// Cancels each run of `dropped` once it waits.
    async fn cancel(&self, commands: Vec<(Planned, Command)>) {
        for (one, command) in commands {
            self.holds("select true from task where run = $1 and task = 'pause' and status = 'created'", &one.run)
                .await;
            run(command).await;
        }
    }

    /// Retries each run of `retried` once it has failed, after what it failed for is mended.
    async fn retry(&self, commands: Vec<(Planned, Command)>) {
        for (one, command) in commands {
            self.holds("select true from run where id = $1 and status = 'failed'", &one.run).await;
            self.sink.mend(&one.event.id);
            run(command).await;
        }
    }

    /// Waits until this is true of a run.
    pub(super) async fn holds(&self, query: &'static str, run: &str) {
        wait::until(&format!("{query}, with {run}"), PATIENCE * 2, async || {
            sqlx::query_scalar::<_, bool>(query).bind(run).fetch_optional(&self.pool).await.unwrap()
        })
        .await;
    }
}

async fn run(command: Command) {
    let output = tokio::process::Command::from(command).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
