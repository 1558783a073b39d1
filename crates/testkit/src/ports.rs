//! Free ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use crate::error::ServerError;

/// A port that nobody listens on now.
pub fn free() -> Result<u16, ServerError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(ServerError::Port)?;
    Ok(listener.local_addr().map_err(ServerError::Port)?.port())
}

/// `port` if nobody listens on it now, else a free one.
pub fn preferred(port: u16) -> Result<u16, ServerError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(port),
        Err(_) => free(),
    }
}
