//! A TCP proxy whose traffic can be held or cut: for what happens between two messages.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy on 127.0.0.1. Dropped, it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    held: Arc<watch::Sender<bool>>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of 127.0.0.1:`port`.
    pub async fn start(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let held = Arc::new(watch::channel(false).0);
        let acceptor = tokio::spawn(accept(listener, port, held.clone()));
        Ok(Self { address, held, acceptor })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds what clients send; connections stay open, and what the server sends still arrives.
    pub fn hold_upstream(&self) {
        self.held.send_replace(true);
    }

    /// Lets what was held go on its way.
    pub fn release(&self) {
        self.held.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, held: Arc<watch::Sender<bool>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let held = held.subscribe();
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            tokio::select! {
                () = upstream(client_read, server_write, held) => {}
                () = downstream(server_read, client_write) => {}
            }
        });
    }
}

async fn upstream(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if held.wait_for(|held| !held).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn downstream(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // Either side may end the connection; there is nobody to tell.
    drop(tokio::io::copy(&mut from, &mut to).await);
}
