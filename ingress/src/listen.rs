//! Connections: how many, how slow they may be, and who is at their other end.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use spine_runtime::metrics::IntGauge;
use spine_runtime::shutdown::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::tls;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and a connection be idle between two: longer than the 60 s of the usual
/// load balancers, which would otherwise now and then send a request into a connection that is being closed.
const HEAD: Duration = Duration::from_secs(75);
/// The most bytes of a request's head. An event's attributes have 2 KiB each, and its id 1 KiB.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most headers that are read at all; fewer are answered with a problem, see `observe`.
const MAX_HEADERS_READ: usize = 256;
/// How long requests in hand may take when the ingress is told to stop; whoever is not answered sends again.
const DRAIN: Duration = Duration::from_secs(10);
/// The pause after the operating system had no connection to give, as when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The names in its certificate, if it has one that one of our CAs has issued.
    pub(crate) names: Arc<[String]>,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, names: Vec<String>) -> Self {
        Self { address, names: names.into() }
    }
}

/// What all connections share.
pub(crate) struct Door {
    pub(crate) router: Router,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) max_connections: usize,
    pub(crate) open: IntGauge,
}

/// Serves connections until `shutdown` is requested; then lets requests in hand end, for a while.
pub(crate) async fn serve(listener: TcpListener, door: Door, shutdown: Shutdown) -> io::Result<()> {
    let (door, slots) = (Arc::new(door), Arc::new(Semaphore::new(0)));
    slots.add_permits(door.max_connections);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            Some(_) = connections.join_next() => {}
            (stream, peer, slot) = accept(&listener, &slots) => {
                connections.spawn(connection(door.clone(), stream, peer, slot, shutdown.clone()));
            }
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(left = connections.len(), "stopped with requests in hand; their senders will send them again");
        connections.shutdown().await;
    }
    Ok(())
}

/// The next connection. While there are too many, the next ones wait in the operating system's queue.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, IpAddr, Option<OwnedSemaphorePermit>) {
    let slot = slots.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address.ip(), slot),
            Err(error) => {
                tracing::warn!(%error, "failed to take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    door: Arc<Door>,
    stream: TcpStream,
    address: IpAddr,
    _slot: Option<OwnedSemaphorePermit>,
    shutdown: Shutdown,
) {
    let _open = Open::new(&door.open);
    // An answer is one small packet: to wait for more only delays it.
    drop(stream.set_nodelay(true));
    let Some(acceptor) = &door.tls else {
        return speak(stream, Peer::new(address, Vec::new()), &door.router, shutdown).await;
    };
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let names = tls::names(stream.get_ref().1.peer_certificates());
            speak(stream, Peer::new(address, names), &door.router, shutdown).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%address, "a TLS handshake took longer than {HANDSHAKE:?}"),
    }
}

async fn speak<S>(stream: S, peer: Peer, router: &Router, shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = peer.address;
    let service = TowerToHyperService::new(router.clone().layer(Extension(peer)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(MAX_HEADERS_READ).max_buf_size(MAX_HEAD_BYTES);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection ended");
    }
}

/// Counts a connection for as long as it lives.
struct Open<'a>(&'a IntGauge);

impl<'a> Open<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
