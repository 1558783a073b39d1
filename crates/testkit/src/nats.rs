//! nats-server with JetStream.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use crate::error::ServerError;
use crate::locate;
use crate::managed::{Managed, Spec};
use crate::process::Child;

/// A running nats-server.
#[derive(Debug)]
pub struct NatsServer {
    server: Managed,
    port: u16,
    url: String,
}

impl NatsServer {
    /// Starts it on 127.0.0.1:`port` with its data below `state`, and waits until JetStream is there.
    pub async fn start(state: &Path, port: u16) -> Result<Self, ServerError> {
        let data = state.join("nats");
        std::fs::create_dir_all(&data).map_err(ServerError::file(&data))?;
        let args = [
            "--jetstream",
            "--addr",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--store_dir",
            &data.display().to_string(),
        ];
        let spec = Spec {
            name: "nats-server",
            program: locate::program("nats-server")?,
            args: args.map(str::to_owned).into(),
            log: state.join("nats.log"),
            stop: Signal::TERM,
            user: None,
        };
        let server = Managed::start(spec, || is_ready(port)).await?;
        Ok(Self { server, port, url: format!("nats://127.0.0.1:{port}") })
    }

    /// Where clients connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, to be paused or killed.
    pub fn process(&mut self) -> &mut Child {
        self.server.child()
    }

    /// Starts it again on the same port and data; one that runs is killed first.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        let port = self.port;
        self.server.restart(|| is_ready(port)).await
    }

    /// Ends it in order.
    pub async fn stop(&mut self) -> Result<(), ServerError> {
        self.server.stop().await
    }

    pub(crate) fn ended(&mut self) -> Option<String> {
        self.server.ended()
    }
}

/// The server greets with `INFO {…}`, which says whether JetStream is on (NATS client protocol).
async fn is_ready(port: u16) -> bool {
    let greeting = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        std::io::Result::Ok(line)
    };
    match tokio::time::timeout(Duration::from_secs(1), greeting).await {
        Ok(Ok(line)) => line.starts_with("INFO ") && line.contains("\"jetstream\":true"),
        _ => false,
    }
}
