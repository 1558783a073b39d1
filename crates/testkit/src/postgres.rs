//! PostgreSQL, which refuses to run as root: as root it runs as nobody, from a place that nobody can reach.

mod home;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;

use crate::error::ServerError;
use crate::locate;
use crate::managed::{Managed, Spec};
use crate::process::Child;

use home::Home;

/// The role and the database that are there from the start.
const NAME: &str = "spine";

/// How long the shutdown of a server may take whose stack was killed: it writes what it has in memory.
const FORMER: Duration = Duration::from_secs(30);

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    server: Managed,
    url: String,
    /// Goes last: it removes what the server writes to.
    _home: Home,
}

impl Postgres {
    /// Starts it on 127.0.0.1:`port` with its data below `state`, and waits until it answers. With `durable`
    /// false it does not wait for the disk: for what is thrown away. Whoever reaches the port gets in, as
    /// it listens on 127.0.0.1 alone.
    pub async fn start(state: &Path, port: u16, durable: bool) -> Result<Self, ServerError> {
        let home = Home::prepare(state, &locate::postgres("postgres")?, durable)?;
        if !home.data().join("PG_VERSION").exists() {
            initialise(&home).await?;
        }
        former_has_ended(home.data()).await;
        let spec = Spec {
            name: "PostgreSQL",
            program: home.program("postgres"),
            args: arguments(&home, port, durable),
            log: state.join("postgres.log"),
            stop: Signal::INT,
            user: home.user(),
        };
        let admin = format!("postgres://{NAME}@127.0.0.1:{port}/postgres");
        let deadline = tokio::time::Instant::now() + FORMER;
        let server = loop {
            match Managed::start(spec.clone(), || is_ready(&admin)).await {
                Err(error) if is_held(&error, deadline).await => {}
                started => break started?,
            }
        };
        let url = create_database(&admin, NAME, "select 1").await?;
        Ok(Self { server, url, _home: home })
    }

    /// Where clients connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process, to be paused or killed.
    pub fn process(&mut self) -> &mut Child {
        self.server.child()
    }

    /// Starts it again on the same port and data; one that runs is killed first.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        let deadline = tokio::time::Instant::now() + FORMER;
        loop {
            match self.server.restart(|| is_ready(&self.url)).await {
                Err(error) if is_held(&error, deadline).await => {}
                started => return started,
            }
        }
    }

    /// Ends it in order: clients are disconnected, data is flushed.
    pub async fn stop(&mut self) -> Result<(), ServerError> {
        self.server.stop().await
    }

    pub(crate) fn ended(&mut self) -> Option<String> {
        self.server.ended()
    }
}

/// Makes the database `name` beside the one that `url` names, if it is not there, runs `sql` in it, and
/// returns its URL.
pub async fn create_database(url: &str, name: &str, sql: &str) -> Result<String, ServerError> {
    let exists = psql(url, &format!("select 1 from pg_database where datname = '{name}'")).await?;
    if exists.trim() != "1" {
        psql(url, &format!("create database {name}")).await?;
    }
    let (server, _) = url.rsplit_once('/').unwrap_or((url, ""));
    let made = format!("{server}/{name}");
    psql(&made, sql).await?;
    Ok(made)
}

/// Runs SQL and returns what it prints, unaligned and without headers.
pub async fn psql(url: &str, sql: &str) -> Result<String, ServerError> {
    let program = locate::postgres("psql")?;
    let mut command = Command::new(&program);
    command.args([
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set",
        "ON_ERROR_STOP=1",
        "--command",
        sql,
        url,
    ]);
    checked("psql", command).await
}

async fn is_ready(url: &str) -> bool {
    psql(url, "select 1").await.is_ok()
}

/// Waits for a server that a killed stack has left to its shutdown; its data can't be opened before it is
/// gone. One that does not end is reported by the server that is started then.
async fn former_has_ended(data: &Path) {
    let deadline = tokio::time::Instant::now() + FORMER;
    while former_runs(data) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether processes of a server that was killed still hold its shared memory. They end by themselves once they
/// notice, after the server itself; until `deadline`, a start is worth another try.
async fn is_held(error: &ServerError, deadline: tokio::time::Instant) -> bool {
    let held = matches!(error, ServerError::Ended { log, .. } if log.contains("pre-existing shared memory block"));
    if held {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    held && tokio::time::Instant::now() < deadline
}

/// Whether the process that `postmaster.pid` names is a PostgreSQL. The number may be another's by now.
fn former_runs(data: &Path) -> bool {
    let Ok(file) = std::fs::read_to_string(data.join("postmaster.pid")) else { return false };
    let id = file.lines().next().unwrap_or_default().trim();
    std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("postgres"))
}

async fn initialise(home: &Home) -> Result<(), ServerError> {
    let mut command = Command::new(home.program("initdb"));
    let data = home.data().display().to_string();
    command.args([
        "--pgdata",
        &data,
        "--username",
        NAME,
        "--auth",
        "trust",
        "--encoding",
        "UTF8",
        "--locale",
        "C",
        "--no-sync",
    ]);
    if let Some(user) = home.user() {
        command.uid(user).gid(user);
    }
    checked("initdb", command).await.map(drop)
}

fn arguments(home: &Home, port: u16, durable: bool) -> Vec<String> {
    let mut settings = vec![
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        "unix_socket_directories=".into(),
        "max_connections=200".into(),
        "log_min_messages=warning".into(),
    ];
    if !durable {
        settings.extend(["fsync=off".into(), "full_page_writes=off".into()]);
    }
    let data = ["-D".to_owned(), home.data().display().to_string()];
    data.into_iter().chain(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting])).collect()
}

async fn checked(program: &str, mut command: Command) -> Result<String, ServerError> {
    let start = |source| ServerError::File { path: PathBuf::from(program), source };
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(start)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let output = format!("{status}: {}", String::from_utf8_lossy(&stderr).trim());
    Err(ServerError::Program { program: program.to_owned(), output })
}
