//! A `spine dev` as a child, used as anybody would use it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_nats::HeaderMap;
use async_nats::jetstream;
use futures::StreamExt as _;
use serde_json::json;
use spine_core::key::EventKey;
use spine_core::names;
use spine_runtime::config::StackFile;
use tokio::process::{Child, Command};

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
const SOURCE: &str = "https://bench.example";

const ACTIVITY: &str = r#"
apiVersion: spine/v1
kind: Activity
metadata: {name: bench}
spec:
  on:
    - event: com.bench.asked
      match: {data: {n: [{numeric: [">=", 0]}]}}
  tasks:
    - id: answer
      uses: emit
      with: {type: com.bench.answered, data: "${ event.data }"}
"#;

/// The running stack.
pub(crate) struct Spine {
    child: Child,
    stack: StackFile,
    ready_seconds: f64,
    jetstream: jetstream::Context,
    ended: async_nats::Subscriber,
}

/// How much time a histogram has counted over how many observations.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    seconds: f64,
    count: f64,
}

impl Spent {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { seconds: self.seconds - earlier.seconds, count: self.count - earlier.count }
    }

    pub(crate) fn mean_seconds(self) -> f64 {
        self.seconds / self.count
    }
}

impl Spine {
    /// Starts `spine dev` with its state in `folder`, waits until it is ready, and applies one activity.
    pub(crate) async fn start(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        let binary = std::fs::canonicalize(binary).with_context(|| format!("find {}", binary.display()))?;
        // PostgreSQL's user, where this runs as root, passes through.
        #[cfg(unix)]
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let state = folder.join("state");
        let began = Instant::now();
        let mut child = spine(&binary, &state)
            .arg("dev")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start spine dev")?;
        let stack = ready(&mut child, &state).await?;
        let ready_seconds = began.elapsed().as_secs_f64();
        apply(&binary, &state, folder).await?;
        let client = async_nats::connect(&stack.nats_url).await.context("connect to NATS")?;
        let ended = client.subscribe(names::event_subject("com.spine.run.completed")).await?;
        client.flush().await?;
        Ok(Self { child, stack, ready_seconds, jetstream: jetstream::new(client), ended })
    }

    pub(crate) fn ready_seconds(&self) -> f64 {
        self.ready_seconds
    }

    pub(crate) fn temporal_address(&self) -> &str {
        &self.stack.temporal_address
    }

    /// What the process has in memory now, in MB. Its servers are processes of their own.
    pub(crate) fn resident_megabytes(&self) -> anyhow::Result<f64> {
        let id = self.child.id().context("spine dev has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("find VmRSS")?;
        let kilobytes: f64 = line.split_whitespace().nth(1).context("read VmRSS")?.parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }

    /// Publishes one event and waits until its run's end stands in the stream; returns how long that took, in seconds.
    pub(crate) async fn run_one(&mut self, n: u32) -> anyhow::Result<f64> {
        let id = format!("bench-{n}");
        let run = names::run_id("bench", &EventKey::new(SOURCE, &id));
        let event =
            json!({"specversion": "1.0", "type": "com.bench.asked", "source": SOURCE, "id": id, "data": {"n": n}});
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/cloudevents+json");
        headers.insert(names::MSG_ID_HEADER, EventKey::new(SOURCE, &id).as_str());
        let began = Instant::now();
        let subject = names::event_subject("com.bench.asked");
        self.jetstream.publish_with_headers(subject, headers, event.to_string().into()).await?.await?;
        let ended = async {
            while let Some(message) = self.ended.next().await {
                let told: serde_json::Value = serde_json::from_slice(&message.payload)?;
                if told["subject"] == run {
                    return Ok(began.elapsed().as_secs_f64());
                }
            }
            bail!("NATS has ended the subscription")
        };
        tokio::time::timeout(PATIENCE, ended).await.with_context(|| format!("wait for {run}"))?
    }

    /// What the router's histogram of its own time says so far.
    pub(crate) async fn start_issue(&self) -> anyhow::Result<Spent> {
        let text = reqwest::get(&self.stack.metrics_url).await?.text().await?;
        let value = |name: &str| -> anyhow::Result<f64> {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")))
                .with_context(|| format!("find {name}"))?;
            Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
        };
        let name = "spine_router_start_issue_seconds";
        Ok(Spent { seconds: value(&format!("{name}_sum"))?, count: value(&format!("{name}_count"))? })
    }

    /// Ends it as Ctrl-C would, and waits.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("spine dev has ended by itself")?;
        let status = Command::new("kill").args(["-INT", &id.to_string()]).status().await?;
        anyhow::ensure!(status.success(), "kill -INT {id}: {status}");
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.context("wait for spine dev to end")??;
        anyhow::ensure!(status.success(), "spine dev ended with {status}");
        Ok(())
    }
}

fn spine(binary: &PathBuf, state: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg("--state").arg(state).stdin(Stdio::null());
    command
}

async fn ready(child: &mut Child, state: &Path) -> anyhow::Result<StackFile> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("spine dev ended with {status}");
        }
        if let Some(stack) = StackFile::read(state)? {
            let readiness = reqwest::get(stack.metrics_url.replace("/metrics", "/readyz")).await;
            if readiness.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(stack);
            }
        }
        anyhow::ensure!(Instant::now() < deadline, "spine dev is not ready after {PATIENCE:?}");
        tokio::time::sleep(POLL).await;
    }
}

async fn apply(binary: &PathBuf, state: &Path, folder: &Path) -> anyhow::Result<()> {
    let file = folder.join("bench.yaml");
    std::fs::write(&file, ACTIVITY)?;
    let output = spine(binary, state).args(["apply", "--file"]).arg(&file).output().await?;
    anyhow::ensure!(output.status.success(), "spine apply: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
