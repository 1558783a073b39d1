//! All three servers, with one state folder.

mod state;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use crate::error::ServerError;
use crate::nats::NatsServer;
use crate::ports;
use crate::postgres::Postgres;
use crate::temporal::TemporalServer;

use state::Folder;

/// How often the supervisor looks whether a server has ended.
const LOOK: Duration = Duration::from_millis(200);
/// The longest pause before a server that ends again and again is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where servers keep what they know.
#[derive(Clone, Debug)]
pub enum State {
    /// Nowhere: a folder that goes with the stack.
    Ephemeral,
    /// In this folder, made if it is not there.
    Kept(PathBuf),
}

/// Where one server comes from.
#[derive(Clone, Debug)]
pub enum Server {
    /// It is started here, on this port, or on the usual one if that is free, or on any.
    Managed {
        /// The port.
        port: Option<u16>,
    },
    /// It runs already, here.
    External(String),
}

/// What to boot.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// Where state is kept.
    pub state: State,
    /// nats-server.
    pub nats: Server,
    /// Temporal.
    pub temporal: Server,
    /// PostgreSQL.
    pub postgres: Server,
    /// Whether Temporal's UI is wanted.
    pub ui: bool,
}

impl Default for StackOptions {
    /// A throw-away stack on free ports, without UI: for tests.
    fn default() -> Self {
        let managed = || Server::Managed { port: None };
        Self { state: State::Ephemeral, nats: managed(), temporal: managed(), postgres: managed(), ui: false }
    }
}

/// What the supervisor has seen and done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackEvent {
    /// A server has ended by itself.
    Died {
        /// Which.
        server: &'static str,
        /// How.
        status: String,
    },
    /// It runs again.
    Restarted {
        /// Which.
        server: &'static str,
    },
    /// It could not be started again; that is tried on.
    NotRestarted {
        /// Which.
        server: &'static str,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for StackEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Died { server, status } => write!(f, "{server} has ended ({status}); starting it again"),
            Self::Restarted { server } => write!(f, "{server} runs again"),
            Self::NotRestarted { server, reason } => write!(f, "{server} does not start again, still trying: {reason}"),
        }
    }
}

/// The servers that are ours to start and stop; the others are `None`.
#[derive(Debug)]
pub struct Servers {
    /// nats-server.
    pub nats: Option<NatsServer>,
    /// Temporal.
    pub temporal: Option<TemporalServer>,
    /// PostgreSQL.
    pub postgres: Option<Postgres>,
}

/// A running stack. Dropped, its servers are killed; [`Stack::shutdown`] ends them in order.
#[derive(Debug)]
pub struct Stack {
    servers: Arc<Mutex<Servers>>,
    supervisor: Option<JoinHandle<()>>,
    nats_url: String,
    temporal_address: String,
    temporal_ui_url: Option<String>,
    database_url: String,
    folder: Folder,
}

impl Stack {
    /// Boots what is not external, all at once, and waits until all are ready.
    pub async fn boot(options: StackOptions) -> Result<Self, ServerError> {
        let folder = Folder::open(&options.state)?;
        let kept = matches!(options.state, State::Kept(_));
        let port = |server: &Server, usual: u16| match server {
            Server::Managed { port: Some(port) } => Ok(*port),
            Server::Managed { port: None } if kept => ports::preferred(usual),
            _ => ports::free(),
        };
        let ui_port = if options.ui { Some(port(&Server::Managed { port: None }, 8233)?) } else { None };
        let (nats_port, temporal_port) = (port(&options.nats, 4222)?, port(&options.temporal, 7233)?);
        let postgres_port = port(&options.postgres, 5432)?;
        let state = folder.path();
        let (nats, temporal, postgres) = tokio::try_join!(
            managed(&options.nats, NatsServer::start(state, nats_port)),
            managed(&options.temporal, TemporalServer::start(state, temporal_port, ui_port)),
            managed(&options.postgres, Postgres::start(state, postgres_port, kept)),
        )?;
        Ok(Self {
            nats_url: place(&options.nats, nats.as_ref().map(NatsServer::url)),
            temporal_address: place(&options.temporal, temporal.as_ref().map(TemporalServer::address)),
            temporal_ui_url: temporal.as_ref().and_then(TemporalServer::ui_url).map(str::to_owned),
            database_url: place(&options.postgres, postgres.as_ref().map(Postgres::url)),
            servers: Arc::new(Mutex::new(Servers { nats, temporal, postgres })),
            supervisor: None,
            folder,
        })
    }

    /// Where nats-server is.
    pub fn nats_url(&self) -> &str {
        &self.nats_url
    }

    /// Where Temporal is, as `host:port`.
    pub fn temporal_address(&self) -> &str {
        &self.temporal_address
    }

    /// Where Temporal's UI is, if it was asked for.
    pub fn temporal_ui_url(&self) -> Option<&str> {
        self.temporal_ui_url.as_deref()
    }

    /// Where Spine's database is.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Where the servers keep their state and logs.
    pub fn state(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The servers, to be paused, killed and started again. A supervisor waits meanwhile.
    pub async fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().await
    }

    /// From now on starts a server again that ends by itself, and tells `on_event`.
    pub fn supervise(&mut self, on_event: impl Fn(StackEvent) + Send + 'static) {
        let servers = self.servers.clone();
        self.supervisor = Some(tokio::spawn(supervise(servers, on_event)));
    }

    /// Ends the servers in order, and removes state that is not kept.
    pub async fn shutdown(mut self) -> Result<(), ServerError> {
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.abort();
            // Cancelled is what it is meant to be; that it panicked would have been printed.
            drop(supervisor.await);
        }
        let mut servers = self.servers.lock().await;
        let Servers { nats, temporal, postgres } = &mut *servers;
        let stopped = tokio::join!(
            async { if let Some(server) = nats { server.stop().await } else { Ok(()) } },
            async { if let Some(server) = temporal { server.stop().await } else { Ok(()) } },
            async { if let Some(server) = postgres { server.stop().await } else { Ok(()) } },
        );
        stopped.0.and(stopped.1).and(stopped.2)
    }
}

async fn managed<T>(
    server: &Server,
    start: impl Future<Output = Result<T, ServerError>>,
) -> Result<Option<T>, ServerError> {
    match server {
        Server::Managed { .. } => start.await.map(Some),
        Server::External(_) => Ok(None),
    }
}

fn place(server: &Server, managed: Option<&str>) -> String {
    match server {
        Server::External(url) => url.clone(),
        Server::Managed { .. } => managed.unwrap_or_default().to_owned(),
    }
}

async fn supervise(servers: Arc<Mutex<Servers>>, on_event: impl Fn(StackEvent)) {
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        let mut servers = servers.lock().await;
        let Servers { nats, temporal, postgres } = &mut *servers;
        let mut failed = false;
        macro_rules! look {
            ($server:ident, $name:literal) => {
                if let Some(server) = $server
                    && let Some(status) = server.ended()
                {
                    on_event(StackEvent::Died { server: $name, status });
                    match server.restart().await {
                        Ok(()) => on_event(StackEvent::Restarted { server: $name }),
                        Err(error) => {
                            failed = true;
                            on_event(StackEvent::NotRestarted { server: $name, reason: error.to_string() });
                        }
                    }
                }
            };
        }
        look!(nats, "nats-server");
        look!(temporal, "the Temporal dev server");
        look!(postgres, "PostgreSQL");
        pause = if failed { (pause * 2).min(LONGEST_PAUSE) } else { LOOK };
    }
}
