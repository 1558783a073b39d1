//! A nats-server of one's own, with a folder that outlives a restart.

use async_nats::Client;
use async_nats::jetstream::{self, Context};
use spine_testkit::nats::NatsServer;
use spine_testkit::ports;
use tempfile::TempDir;

pub(crate) struct Server {
    server: NatsServer,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = NatsServer::start(folder.path(), ports::free().unwrap()).await.unwrap();
        Self { server, _folder: folder }
    }

    /// Kills the server as a crash would.
    pub(crate) fn kill(&mut self) {
        self.server.process().kill().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.server.restart().await.unwrap();
    }

    pub(crate) fn url(&self) -> String {
        self.server.url().to_owned()
    }

    /// Connected.
    pub(crate) async fn client(&self) -> Client {
        spine_nats::connect(&[self.url()], None, "test").await.unwrap()
    }

    /// Connected and provisioned.
    pub(crate) async fn jetstream(&self) -> Context {
        let client = self.client().await;
        spine_nats::topology::provision(&client).await.unwrap();
        jetstream::new(client)
    }
}
