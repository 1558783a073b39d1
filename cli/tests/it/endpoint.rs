//! An HTTP endpoint for tests: it answers with what it was asked, or as its path says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A running endpoint. Dropped, it takes no more connections.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Value>>>,
    acceptor: JoinHandle<()>,
}

impl Endpoint {
    /// Starts one; over TLS, if it is told how.
    pub(crate) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let acceptor = tokio::spawn(accept(listener, tls, asked.clone()));
        Self { url, asked, acceptor }
    }

    /// What it was asked on this path, in order.
    pub(crate) fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|request| request["path"].as_str().unwrap().starts_with(path)).cloned().collect()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, asked: Arc<Mutex<Vec<Value>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, asked) = (tls.clone(), asked.clone());
        tokio::spawn(async move {
            let served = match tls {
                None => serve(stream, &asked).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, &asked).await,
                    Err(error) => Err(error),
                },
            };
            // A client that does not trust us leaves: that is what some tests are for.
            if let Err(error) = served {
                eprintln!("the client left: {error}");
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, asked: &Mutex<Vec<Value>>) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    let request = read(&mut stream).await?;
    asked.lock().unwrap().push(request.clone());
    let path = request["path"].as_str().unwrap();
    let times = asked.lock().unwrap().iter().filter(|other| other["path"] == path).count();
    let (status, content_type, body) = answer(path, &request, times);
    let length = body.len();
    let body = if request["method"] == "HEAD" { String::new() } else { body };
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         X-Twice: a\r\nX-Twice: b\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).await?;
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

/// Status, content type and body.
fn answer(path: &str, request: &Value, times: usize) -> (u16, &'static str, String) {
    match path.split(['/', '?']).nth(1).unwrap_or_default() {
        "status" => {
            let status = path.rsplit('/').next().unwrap().parse().unwrap();
            (status, "application/problem+json", json!({"status": status}).to_string())
        }
        "flaky" if times == 1 => (503, "text/plain", "later".into()),
        "html" => (200, "text/html; charset=utf-8", "<p>no</p>".into()),
        "empty" => (200, "application/json", String::new()),
        _ => (200, "application/json", request.to_string()),
    }
}
