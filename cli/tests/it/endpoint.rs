//! An HTTP endpoint for tests: it keeps what it was asked, and answers as its test says.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What an endpoint answers.
pub(crate) enum Answer {
    /// A status, a content type and a body.
    Whole(u16, &'static str, String),
    /// These bytes as they are, and then the end.
    Raw(Vec<u8>),
    /// A head, and then a kilobyte after each pause, for ever.
    Endless(Duration),
    /// What this gives, once it does.
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
    /// Nothing, for ever.
    Never,
}

impl Answer {
    /// 200 with this.
    pub(crate) fn json(body: &Value) -> Self {
        Self::Whole(200, "application/json", body.to_string())
    }
}

/// Answers a request, the how-manieth of its path it is, counted from 1.
type Handler = dyn Fn(&Value, usize) -> Answer + Send + Sync;

/// A running endpoint. Dropped, it takes no more connections.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    service: Arc<Service>,
    acceptor: JoinHandle<()>,
}

struct Service {
    asked: Mutex<Vec<Value>>,
    handler: Box<Handler>,
}

impl Endpoint {
    /// Starts one that answers so.
    pub(crate) async fn start(handler: impl Fn(&Value, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(None, handler).await
    }

    /// Starts one; over TLS, if it is told how.
    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        handler: impl Fn(&Value, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let service = Arc::new(Service { asked: Mutex::default(), handler: Box::new(handler) });
        let acceptor = tokio::spawn(accept(listener, tls, service.clone()));
        Self { url, service, acceptor }
    }

    /// What it was asked on paths that begin so, in order: `method`, `path`, `headers` and `body` of each.
    pub(crate) fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.service.asked.lock().unwrap();
        asked.iter().filter(|request| request["path"].as_str().unwrap().starts_with(path)).cloned().collect()
    }

    /// What it was asked since the last call: method and path, and the end of each idempotency key, from the task on.
    pub(crate) fn taken(&self) -> Vec<(String, String)> {
        let asked = std::mem::take(&mut *self.service.asked.lock().unwrap());
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let what = |request: &Value| format!("{} {}", word(&request["method"]), word(&request["path"]));
        let key = |request: &Value| word(&request["headers"]["idempotency-key"]);
        asked.iter().map(|one| (what(one), key(one).splitn(4, '/').nth(3).unwrap_or_default().to_owned())).collect()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, service: Arc<Service>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, service) = (tls.clone(), service.clone());
        tokio::spawn(async move {
            let served = match tls {
                None => serve(stream, &service).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, &service).await,
                    Err(error) => Err(error),
                },
            };
            // A client that does not trust us or has seen enough leaves: that is what some tests are for.
            if let Err(error) = served {
                eprintln!("the client left: {error}");
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, service: &Service) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    let request = read(&mut stream).await?;
    let times = {
        let mut asked = service.asked.lock().unwrap();
        asked.push(request.clone());
        asked.iter().filter(|other| other["path"] == request["path"]).count()
    };
    let answer = match (service.handler)(&request, times) {
        Answer::Later(later) => later.await,
        answer => answer,
    };
    match answer {
        Answer::Whole(status, content_type, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
                 Content-Length: {}\r\nX-Twice: a\r\nX-Twice: b\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            if request["method"] != "HEAD" {
                stream.write_all(body.as_bytes()).await?;
            }
        }
        Answer::Raw(bytes) => stream.write_all(&bytes).await?,
        Answer::Endless(pause) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 1024]).await?;
                stream.flush().await?;
                tokio::time::sleep(pause).await;
            }
        }
        Answer::Later(_) | Answer::Never => std::future::pending().await,
    }
    stream.flush().await?;
    stream.shutdown().await
}

async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Value> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let (method, path) = (line.split(' ').next().unwrap(), line.split(' ').nth(1).unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = String::from_utf8(body).unwrap();
    Ok(json!({"method": method, "path": path, "headers": headers, "body": body}))
}
