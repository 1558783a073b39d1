//! What the configuration means for the ingress, checked before any port is bound.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use spine_core::event::check_type;
use spine_runtime::config::{Ingress, IngressClient, IngressHook};
use spine_runtime::secret::Secret;
use tokio_rustls::TlsAcceptor;

use crate::access::{Access, Client};
use crate::hooks::Hook;
use crate::tls;

/// The fewest bytes that a bearer token may have: 16 random ones are not guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// What a secret starts with that is a token's hash instead of the token.
const HASHED: &str = "sha256:";

/// A value of the configuration that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("bad value for `{key}`: {reason}")]
pub struct SettingsError {
    /// The dotted key.
    pub key: String,
    /// What may stand there, or why this may not; without secrets.
    pub reason: String,
}

/// The ingress's settings.
pub struct Settings {
    pub(crate) limits: Limits,
    pub(crate) access: Access,
    pub(crate) hooks: BTreeMap<String, Hook>,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// How much is taken.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) body_bytes: usize,
    pub(crate) batch_events: usize,
    pub(crate) requests: usize,
    pub(crate) connections: usize,
    pub(crate) requests_per_second: usize,
    pub(crate) body_timeout: Duration,
}

impl Settings {
    /// What `config` means; `secrets` are those that it names. Reads the TLS files.
    pub fn new(config: &Ingress, secrets: &BTreeMap<String, Secret>) -> Result<Self, SettingsError> {
        let mut access = Access::default();
        for (name, section) in &config.clients {
            access.clients.insert(name.clone(), client(&format!("ingress.clients.{name}"), section, secrets)?);
        }
        let mut hooks = BTreeMap::new();
        for (name, section) in &config.hooks {
            hooks.insert(name.clone(), hook(&format!("ingress.hooks.{name}"), section, secrets)?);
        }
        let wants_certificates = config.clients.values().any(|client| !client.certificates.is_empty());
        if wants_certificates && config.tls.as_ref().is_none_or(|tls| tls.client_ca_file.is_none()) {
            return Err(wrong("ingress.tls_client_ca_file", "wanted the CA of the certificates that clients have"));
        }
        let tls = config.tls.as_ref().map(tls::acceptor).transpose().map_err(|(key, reason)| wrong(key, reason))?;
        Ok(Self { limits: limits(config), access, hooks, tls })
    }
}

fn limits(config: &Ingress) -> Limits {
    Limits {
        body_bytes: config.max_body_bytes,
        batch_events: config.max_batch_events,
        requests: config.max_requests,
        connections: config.max_connections,
        requests_per_second: config.requests_per_second,
        body_timeout: config.body_timeout,
    }
}

fn client(section: &str, config: &IngressClient, secrets: &BTreeMap<String, Secret>) -> Result<Client, SettingsError> {
    let tokens_key = format!("{section}.tokens");
    let tokens = named(&tokens_key, &config.tokens, secrets)?;
    let tokens = tokens.into_iter().map(|token| token_hash(&tokens_key, token)).collect::<Result<_, _>>()?;
    let check = |key: &str, list: &[String], fits: fn(&str) -> bool, wanted: &str| {
        let misfit = list.iter().find(|item| !fits(item));
        misfit.map_or(Ok(()), |item| Err(wrong(format!("{section}.{key}"), format!("{item:?} is not {wanted}"))))
    };
    let is_name =
        |name: &str| name.strip_prefix("dns:").or_else(|| name.strip_prefix("uri:")).is_some_and(|n| !n.is_empty());
    check("certificates", &config.certificates, is_name, "dns:NAME or uri:URI")?;
    check("sources", &config.sources, is_source_pattern, "a source, which may have one * and that at its end")?;
    check("types", &config.types, is_type_pattern, "a type, the start of one with .* at its end, or *")?;
    let certificates = config.certificates.iter().map(|name| match name.strip_prefix("dns:") {
        Some(host) => format!("dns:{}", host.to_ascii_lowercase()),
        None => name.clone(),
    });
    Ok(Client {
        tokens,
        certificates: certificates.collect(),
        sources: config.sources.clone(),
        types: config.types.clone(),
    })
}

fn hook(section: &str, config: &IngressHook, secrets: &BTreeMap<String, Secret>) -> Result<Hook, SettingsError> {
    let secrets = named(&format!("{section}.secrets"), &config.secrets, secrets)?;
    Hook::new(config, secrets.into_iter().cloned().collect())
        .map_err(|(key, reason)| wrong(format!("{section}.{key}"), reason))
}

/// The secrets of these names. The names are not shown: one that is none may be the secret itself.
fn named<'a>(
    key: &str,
    names: &[String],
    secrets: &'a BTreeMap<String, Secret>,
) -> Result<Vec<&'a Secret>, SettingsError> {
    let one = |(index, name): (usize, &String)| {
        let reason = || format!("entry {} is not the name of one of [secrets]", index + 1);
        secrets.get(name).ok_or_else(|| wrong(key, reason()))
    };
    names.iter().enumerate().map(one).collect()
}

/// The hash of a token. A secret may be that hash itself, so that nothing which is configured lets anybody in.
fn token_hash(key: &str, token: &Secret) -> Result<[u8; 32], SettingsError> {
    let text = token.expose();
    if let Some(digits) = text.strip_prefix(HASHED) {
        let hash = crate::hooks::hex(digits).and_then(|bytes| bytes.try_into().ok());
        return hash.ok_or_else(|| wrong(key, "a secret that starts with sha256: goes on with 64 hex digits"));
    }
    if text.len() < MIN_TOKEN_BYTES {
        return Err(wrong(key, format!("a token has at least {MIN_TOKEN_BYTES} bytes")));
    }
    Ok(Sha256::digest(text).into())
}

fn is_source_pattern(pattern: &str) -> bool {
    !pattern.is_empty() && !pattern.strip_suffix('*').unwrap_or(pattern).contains('*')
}

fn is_type_pattern(pattern: &str) -> bool {
    pattern == "*" || check_type(pattern.strip_suffix(".*").unwrap_or(pattern)).is_ok()
}

fn wrong(key: impl Into<String>, reason: impl Into<String>) -> SettingsError {
    SettingsError { key: key.into(), reason: reason.into() }
}
