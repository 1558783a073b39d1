//! A stack, and services as processes of their own that can be killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use spine_testkit::process::{self, Child};
use spine_testkit::shop::{SCHEMA, Shop};
use spine_testkit::stack::{Stack, StackOptions};
use spine_testkit::{ports, postgres, temporal, wait};
use tempfile::TempDir;

/// How long a condition may take that holds within a second or two on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) folder: TempDir,
    env: BTreeMap<String, String>,
    services: BTreeMap<&'static str, Service>,
    shop: Option<Shop>,
}

struct Service {
    child: Child,
    metrics: String,
}

impl World {
    /// Servers, provisioned; no service runs yet.
    pub(crate) async fn boot() -> Self {
        let stack = Stack::boot(StackOptions::default()).await.unwrap();
        let mut env = BTreeMap::new();
        env.insert("NATS_URL".into(), stack.nats_url().to_owned());
        env.insert("TEMPORAL_ADDRESS".into(), stack.temporal_address().to_owned());
        env.insert("DATABASE_URL".into(), stack.database_url().to_owned());
        let world = Self { stack, folder: tempfile::tempdir().unwrap(), env, services: BTreeMap::new(), shop: None };
        world.ok(&["provision"]);
        world
    }

    /// The same with all services and the web-shop example.
    pub(crate) async fn shop() -> Self {
        let mut world = Self::boot().await;
        let client = temporal::client(world.stack.temporal_address()).await.unwrap();
        let shop = Shop::start(client).await.unwrap();
        for (name, value) in shop.values() {
            world.env.insert(format!("SPINE_VALUES__{name}"), value.as_str().unwrap().to_owned());
        }
        let database = postgres::create_database(world.stack.database_url(), "shop", SCHEMA).await.unwrap();
        world.env.insert("SPINE_DATABASES__shop".into(), database);
        world.shop = Some(shop);
        world.ok(&[
            "apply",
            "--file",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/activities"),
            concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/event-types"),
        ]);
        world.start_all().await;
        world
    }

    /// The same with one activity: each `com.test.asked` emits a `com.test.answered`.
    pub(crate) async fn echo() -> Self {
        let mut world = Self::boot().await;
        world.apply_echo();
        world.start_all().await;
        world
    }

    pub(crate) fn apply_echo(&self) {
        let file = self.folder.path().join("echo.yaml");
        std::fs::write(&file, ECHO).unwrap();
        self.ok(&["apply", "--file", &file.display().to_string()]);
    }

    pub(crate) async fn start_all(&mut self) {
        for service in ["relay", "worker", "router"] {
            self.start(service, &[]).await;
        }
    }

    /// Starts a service with extra environment, and waits until it is ready.
    pub(crate) async fn start(&mut self, service: &'static str, extra: &[(&str, &str)]) {
        let mut command = self.spine(&[service]);
        command.envs(extra.iter().copied());
        self.launch(service, command).await;
    }

    /// Starts `command` as a service that is called so here, and waits until it is ready.
    pub(crate) async fn launch(&mut self, service: &'static str, mut command: Command) {
        let metrics = format!("127.0.0.1:{}", ports::free().unwrap());
        command.env("SPINE_METRICS__LISTEN", &metrics);
        let log = self.folder.path().join(format!("{service}.log"));
        let child = process::spawn(command, &log, Signal::KILL).unwrap();
        self.services.insert(service, Service { child, metrics: metrics.clone() });
        wait::until(&format!("{service} is ready"), PATIENCE, async || {
            let service = self.services.get_mut(service)?;
            assert!(service.child.try_wait().unwrap().is_none(), "{}", service.child.log());
            let answer = reqwest::get(format!("http://{metrics}/readyz")).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Ends a service at once.
    pub(crate) fn kill(&mut self, service: &str) {
        self.services.remove(service).unwrap().child.kill().unwrap();
    }

    /// Tells a service to end, which it must do well; returns how long it took.
    pub(crate) async fn stop(&mut self, service: &str) -> Duration {
        let mut stopped = self.services.remove(service).unwrap().child;
        let told = Instant::now();
        stopped.signal(Signal::TERM).unwrap();
        let status = stopped.wait(PATIENCE).await.unwrap();
        assert!(status.is_some_and(|status| status.success()), "{service}: {status:?}\n{}", stopped.log_tail());
        told.elapsed()
    }

    /// The value of one of a service's metrics, named with its labels as it is printed.
    pub(crate) async fn metric(&self, service: &str, name: &str) -> f64 {
        let text = reqwest::get(format!("http://{}/metrics", self.services[service].metrics))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.rsplit_once(' '))
            .unwrap_or_else(|| panic!("{name} is not in {text}"))
            .1
            .parse()
            .unwrap()
    }

    /// Whether a service says that it is ready, and all that it says.
    pub(crate) async fn ready(&self, service: &str) -> (bool, String) {
        let answer = reqwest::get(format!("http://{}/readyz", self.services[service].metrics)).await.unwrap();
        (answer.status().is_success(), answer.text().await.unwrap())
    }

    /// What the shop's stand-ins were asked.
    pub(crate) fn shop_requests(&self) -> Vec<spine_testkit::shop::Request> {
        self.shop.as_ref().unwrap().requests()
    }

    /// `spine` with these arguments, in a folder of its own, connected to this stack and nothing else.
    pub(crate) fn spine(&self, args: &[&str]) -> Command {
        spine(self.folder.path(), args, &self.env)
    }

    /// Runs `spine`, which must succeed, and returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.spine(args).output().unwrap();
        assert!(status.success(), "spine {args:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// The same, as data.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--output", "json"]].concat())).unwrap()
    }

    /// Publishes one `com.test.asked`; returns the broker's answer.
    pub(crate) fn ask(&self, id: &str) -> Value {
        self.json(&["publish", "--type", "com.test.asked", "--source", SOURCE, "--id", id, "--data", r#"{"n": 1}"#])
    }

    /// What a statement gives, a row a line.
    pub(crate) async fn sql(&self, statement: &str) -> String {
        postgres::psql(self.stack.database_url(), statement).await.unwrap().trim_end().to_owned()
    }

    /// Waits until the inbox has read the EVENTS stream as far as this.
    pub(crate) async fn until_read(&self, sequence: u64) {
        wait::until("the inbox has read on", PATIENCE, async || {
            let position = postgres::psql(self.stack.database_url(), "select sequence from inbox_position").await;
            let position: u64 = position.ok()?.trim().parse().ok()?;
            (position >= sequence).then_some(())
        })
        .await;
    }

    /// The trace of an event with this id once nothing more will happen to it.
    pub(crate) fn settled(&self, id: &str) -> Value {
        let mut traces = self.json(&["trace", id, "--wait", "60"]);
        assert_eq!(traces.as_array().unwrap().len(), 1, "{traces:#}");
        traces[0].take()
    }

    pub(crate) async fn end(mut self) {
        self.services.clear();
        if let Some(shop) = self.shop.take() {
            shop.stop().await.unwrap();
        }
        self.stack.shutdown().await.unwrap();
    }
}

/// The source of the events that [`World::ask`] publishes.
pub(crate) const SOURCE: &str = "https://test.example";

const ECHO: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: echo}
spec:
  on:
    - event: com.test.asked
  tasks:
    - id: answer
      uses: emit
      with: {type: com.test.answered, subject: "${ event.id }", data: "${ event.data }"}
"#;

/// `spine` in `folder`, with nothing of the caller's environment but where programs are.
pub(crate) fn spine(folder: &Path, args: &[&str], env: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spine"));
    command.args(args).current_dir(folder).env_clear();
    for name in ["PATH", "HOME", "TMPDIR", "SPINE_SERVERS_DIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(env);
    command
}

/// Waits until a service's metric has at least this value.
pub(crate) async fn until_metric(world: &World, service: &str, name: &str, at_least: f64) {
    wait::until(name, PATIENCE, async || (world.metric(service, name).await >= at_least).then_some(())).await;
}
