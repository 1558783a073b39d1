//! A request's body, under bounds of size and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::problem::{Code, Problem};

/// Reads the whole body, which may have `max_bytes` and take `within`.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    max_bytes: usize,
    within: Duration,
) -> Result<Bytes, Problem> {
    refuse_encoding(headers)?;
    if declared(headers).is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(too_large(max_bytes));
    }
    match tokio::time::timeout(within, Limited::new(body, max_bytes).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(max_bytes)),
        Ok(Err(error)) => Err(Problem::new(Code::MalformedBody, format!("read the body: {error}"))),
        Err(_) => {
            let detail = format!("the body had {within:?} to arrive");
            Err(Problem::new(Code::BodyTimeout, detail).with_header(header::CONNECTION, "close"))
        }
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(max_bytes: usize) -> Problem {
    let detail = format!("the body has more than {max_bytes} bytes, which ingress.max_body_bytes allows");
    Problem::new(Code::TooLarge, detail).with_header(header::CONNECTION, "close")
}

/// Nothing is unpacked: a kilobyte could become a gigabyte, and the signature of a webhook is of the bytes sent.
fn refuse_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_plain = |value: &header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    match headers.get_all(header::CONTENT_ENCODING).iter().find(|value| !is_plain(value)) {
        None => Ok(()),
        Some(value) => {
            let detail = format!("Content-Encoding is {value:?}");
            Err(Problem::new(Code::UnsupportedEncoding, detail).with_header(header::ACCEPT_ENCODING, "identity"))
        }
    }
}
