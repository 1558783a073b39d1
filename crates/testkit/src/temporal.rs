//! The Temporal dev server.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest;

use crate::error::ServerError;
use crate::locate;
use crate::managed::{Managed, Spec};
use crate::process::Child;

/// What makes the dev server fast enough for a burst; none of it weakens what it promises.
const TUNING: [&str; 7] = [
    "frontend.rps=200000",
    "frontend.namespaceRPS=200000",
    "history.rps=200000",
    "matching.rps=200000",
    "system.forceSearchAttributesCacheRefreshOnRead=false",
    "history.timerProcessorMaxTimeShift=\"10ms\"",
    "history.transferProcessorMaxPollRPS=100",
];

/// A running Temporal dev server.
#[derive(Debug)]
pub struct TemporalServer {
    server: Managed,
    address: String,
    ui: Option<String>,
}

impl TemporalServer {
    /// Starts it on 127.0.0.1:`port` with its database below `state`, with the UI on `ui_port` if there is
    /// one, and waits until the namespace `default` is there.
    pub async fn start(state: &Path, port: u16, ui_port: Option<u16>) -> Result<Self, ServerError> {
        let database = state.join("temporal.db").display().to_string();
        let mut args: Vec<String> =
            ["server", "start-dev", "--ip", "127.0.0.1", "--log-level", "error"].map(str::to_owned).into();
        args.extend(["--port".into(), port.to_string(), "--db-filename".into(), database]);
        args.extend(["--sqlite-pragma".into(), "journal_mode=wal".into()]);
        args.extend(match ui_port {
            Some(ui) => vec!["--ui-port".into(), ui.to_string()],
            None => vec!["--headless".into()],
        });
        args.extend(TUNING.iter().flat_map(|value| ["--dynamic-config-value".to_owned(), (*value).to_owned()]));
        let spec = Spec {
            name: "the Temporal dev server",
            program: locate::program("temporal")?,
            args,
            log: state.join("temporal.log"),
            stop: Signal::TERM,
            user: None,
        };
        let address = format!("127.0.0.1:{port}");
        let server = Managed::start(spec, || is_ready(&address)).await?;
        Ok(Self { server, address: address.clone(), ui: ui_port.map(|port| format!("http://127.0.0.1:{port}")) })
    }

    /// Where clients connect: `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where people look, if the UI runs.
    pub fn ui_url(&self) -> Option<&str> {
        self.ui.as_deref()
    }

    /// Its process, to be paused or killed.
    pub fn process(&mut self) -> &mut Child {
        self.server.child()
    }

    /// Starts it again on the same port and database; one that runs is killed first.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        let address = self.address.clone();
        self.server.restart(|| is_ready(&address)).await
    }

    /// Ends it in order.
    pub async fn stop(&mut self) -> Result<(), ServerError> {
        self.server.stop().await
    }

    pub(crate) fn ended(&mut self) -> Option<String> {
        self.server.ended()
    }
}

/// A client of the server at `address`, in the namespace `default`. `None` if it can't be reached.
pub async fn client(address: &str) -> Option<Client> {
    let target: url::Url = format!("http://{address}").parse().ok()?;
    let options = ConnectionOptions::new(target).connect_timeout(Duration::from_secs(1)).build();
    let connection = tokio::time::timeout(Duration::from_secs(2), Connection::connect(options)).await.ok()?.ok()?;
    Client::new(connection, ClientOptions::new("default").build()).ok()
}

async fn is_ready(address: &str) -> bool {
    // The client itself waits and retries for seconds, so it is asked only once somebody listens.
    if tokio::net::TcpStream::connect(address).await.is_err() {
        return false;
    }
    let Some(mut client) = client(address).await else { return false };
    let request = DescribeNamespaceRequest { namespace: "default".into(), ..Default::default() };
    let described = WorkflowService::describe_namespace(&mut client, tonic::Request::new(request));
    matches!(tokio::time::timeout(Duration::from_secs(2), described).await, Ok(Ok(_)))
}
