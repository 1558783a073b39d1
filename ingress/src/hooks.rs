//! Webhooks: a signed request of somebody else's becomes an event.
//!
//! Invariant: nothing of a body is read before its signature has been found right.

mod answer;
mod mapping;
mod signature;
#[cfg(test)]
mod tests;

use axum::http::{HeaderMap, header};
use spine_core::event::Event;
use spine_runtime::config::{HookStyle, IngressHook};
use spine_runtime::secret::Secret;

pub(crate) use answer::accept;
use mapping::Mapping;
use signature::Signing;
pub(crate) use signature::hex;

use crate::problem::{Code, Problem};

/// One webhook: how it is signed, and the event that it becomes.
#[derive(Debug)]
pub struct Hook {
    style: HookStyle,
    signing: Signing,
    secrets: Vec<Secret>,
    mapping: Mapping,
}

impl Hook {
    /// What a section of the configuration means, or the key in it that can't be used and why.
    pub fn new(config: &IngressHook, secrets: Vec<Secret>) -> Result<Self, (&'static str, String)> {
        if secrets.iter().any(|secret| secret.expose().is_empty()) {
            return Err(("secrets", "an empty secret signs nothing".to_owned()));
        }
        Ok(Self { style: config.style, signing: Signing::new(config)?, secrets, mapping: Mapping::new(config)? })
    }

    /// Whether the request is signed with one of the secrets, and just now; `now` is in seconds since 1970.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: u64) -> Result<(), Problem> {
        self.signing.verify(&self.secrets, headers, body, now)
    }

    /// The event that a request becomes.
    pub fn event(&self, headers: &HeaderMap, body: &[u8]) -> Result<Event, Problem> {
        let content_type = crate::http::content_type(headers)?;
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if self.style != HookStyle::Hmac && !essence.eq_ignore_ascii_case("application/json") {
            let detail = format!("the webhook's Content-Type is {essence:?}, wanted application/json");
            let problem = Problem::new(Code::UnsupportedMediaType, detail);
            return Err(problem.with_header(header::ACCEPT, "application/json"));
        }
        self.mapping.event(headers, content_type, body)
    }
}
