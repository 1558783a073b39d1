//! A nats-server of one's own: on a free port, with a folder that outlives a restart.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use async_nats::Client;
use async_nats::jetstream::{self, Context};
use tempfile::TempDir;

pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(&folder, port);
        Self { folder, port, child }
    }

    /// Kills the server as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.folder, self.port);
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Connected, once the server answers.
    pub(crate) async fn client(&self) -> Client {
        let mut last = None;
        for _ in 0..200 {
            match spine_nats::connect(&[self.url()], None, "test").await {
                Ok(client) => return client,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("no server: {last:?}");
    }

    /// Connected and provisioned.
    pub(crate) async fn jetstream(&self) -> Context {
        let client = self.client().await;
        spine_nats::topology::provision(&client).await.unwrap();
        jetstream::new(client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &TempDir, port: u16) -> Child {
    Command::new(binary())
        .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server; `make setup` installs it")
}

fn binary() -> PathBuf {
    let installed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin/nats-server");
    if installed.exists() { installed } else { "nats-server".into() }
}
