//! `[ingress]`, with a section for each client and each webhook.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use config::Value;

use super::error::ConfigError;
use super::fields::Fields;
use super::keys;
use super::read::{Reader, Show};
use super::valid;
use crate::secret::REDACTED;

/// The section of the clients that may send events.
pub(super) const CLIENTS: &str = "ingress.clients";

/// The section of the webhooks.
pub(super) const HOOKS: &str = "ingress.hooks";

const PEM: &str = "the path of a PEM file";
const STYLES: [(&str, HookStyle); 3] =
    [("github", HookStyle::Github), ("stripe", HookStyle::Stripe), ("hmac", HookStyle::Hmac)];
const ENCODINGS: [(&str, Encoding); 2] = [("hex", Encoding::Hex), ("base64", Encoding::Base64)];

/// How events come in over HTTP.
#[derive(Clone, Debug)]
pub struct Ingress {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The largest request body, in bytes; NATS takes no more than its `max_payload` for one event.
    pub max_body_bytes: usize,
    /// The most events in one batch.
    pub max_batch_events: usize,
    /// The most requests in hand at once.
    pub max_requests: usize,
    /// The most connections at once.
    pub max_connections: usize,
    /// How many requests a second one client may make for long; for a moment twice as many.
    pub requests_per_second: usize,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// TLS, if the listener speaks it.
    pub tls: Option<IngressTls>,
    /// Who may send what, by name. Empty: everybody may send everything.
    pub clients: BTreeMap<String, IngressClient>,
    /// Webhooks, by the name that is the last part of their path.
    pub hooks: BTreeMap<String, IngressHook>,
}

/// The listener's certificate, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressTls {
    /// The listener's certificate, with what it was issued by.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The CAs that clients' certificates may come from; without it none are asked for.
    pub client_ca_file: Option<PathBuf>,
}

/// A client: how it is known, and what it may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressClient {
    /// Names of secrets: its bearer tokens.
    pub tokens: Vec<String>,
    /// Names in its certificate: `dns:NAME` or `uri:URI`.
    pub certificates: Vec<String>,
    /// Sources that its events may have; a `*` at the end stands for anything.
    pub sources: Vec<String>,
    /// Types that its events may have; `.*` at the end stands for anything below, `*` alone for all.
    pub types: Vec<String>,
}

/// A webhook: how its requests are signed, and the event that one becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressHook {
    /// Whose way of signing.
    pub style: HookStyle,
    /// Names of secrets; any of them may have signed.
    pub secrets: Vec<String>,
    /// The event's source.
    pub source: String,
    /// The event's type, with placeholders.
    pub event_type: String,
    /// Where the event's id is: `header:NAME`, a JSON Pointer, or `body` for its hash.
    pub id: Option<String>,
    /// A JSON Pointer to the event's subject.
    pub subject: Option<String>,
    /// The header with the signature; `hmac` only.
    pub signature_header: Option<String>,
    /// How the signature is written; `hmac` only.
    pub encoding: Option<Encoding>,
    /// The header with the time of signing, in seconds since 1970; `hmac` only.
    pub timestamp_header: Option<String>,
    /// How far the time of signing may be from now, where there is one.
    pub tolerance: Option<Duration>,
}

/// Whose way of signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookStyle {
    /// GitHub's.
    Github,
    /// Stripe's.
    Stripe,
    /// HMAC-SHA256 over the body, in a header of a name of one's own.
    Hmac,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits.
    Hex,
    /// Base64 with padding.
    Base64,
}

pub(super) fn read(reader: &mut Reader) -> Result<Ingress, ConfigError> {
    Ok(Ingress {
        listen: super::listen(reader, keys::INGRESS_LISTEN)?,
        max_body_bytes: reader.count(keys::INGRESS_MAX_BODY_BYTES)?,
        max_batch_events: reader.count(keys::INGRESS_MAX_BATCH_EVENTS)?,
        max_requests: reader.count(keys::INGRESS_MAX_REQUESTS)?,
        max_connections: reader.count(keys::INGRESS_MAX_CONNECTIONS)?,
        requests_per_second: reader.count(keys::INGRESS_REQUESTS_PER_SECOND)?,
        body_timeout: Duration::from_secs(reader.count(keys::INGRESS_BODY_TIMEOUT_SECONDS)? as u64),
        tls: tls(reader)?,
        clients: sections(reader, CLIENTS, client)?,
        hooks: sections(reader, HOOKS, hook)?,
    })
}

fn tls(reader: &mut Reader) -> Result<Option<IngressTls>, ConfigError> {
    let mut file = |key| reader.optional(key, Show::All, PEM, valid::path);
    let cert_file = file(keys::INGRESS_TLS_CERT_FILE)?;
    let key_file = file(keys::INGRESS_TLS_KEY_FILE)?;
    let client_ca_file = file(keys::INGRESS_TLS_CLIENT_CA_FILE)?;
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Ok(Some(IngressTls { cert_file, key_file, client_ca_file })),
        (None, None) if client_ca_file.is_none() => Ok(None),
        (None, _) => Err(reader.lacking(keys::INGRESS_TLS_CERT_FILE, PEM)),
        (_, None) => Err(reader.lacking(keys::INGRESS_TLS_KEY_FILE, PEM)),
    }
}

/// How names of secrets are shown.
type Shown<'a> = &'a dyn Fn(&[String]) -> String;

/// A section's meaning, and what to show of it.
type Read<T> = Result<(T, String), ConfigError>;

/// Every section below `parent`, and what to show of each.
fn sections<T>(
    reader: &mut Reader,
    parent: &'static str,
    read: fn(&mut Fields, Shown<'_>) -> Read<T>,
) -> Result<BTreeMap<String, T>, ConfigError> {
    let known = reader.names(keys::SECRETS);
    // What stands where the name of a secret should may be the secret.
    let secrets = |names: &[String]| {
        let shown = |name: &String| if known.contains(name) { name.clone() } else { REDACTED.to_owned() };
        names.iter().map(shown).collect::<Vec<_>>().join(",")
    };
    let mut all = BTreeMap::new();
    for (name, value) in reader.nested(parent)? {
        let section = format!("{parent}.{name}");
        let mut fields = Fields::of(section.clone(), &value)?;
        let (one, shown) = read(&mut fields, &secrets)?;
        let origin = fields.origin().to_owned();
        fields.finish()?;
        reader.note(&section, shown, &origin);
        all.insert(name, one);
    }
    Ok(all)
}

fn client(fields: &mut Fields, secrets: Shown<'_>) -> Read<IngressClient> {
    let client = IngressClient {
        tokens: fields.list("tokens")?,
        certificates: fields.list("certificates")?,
        sources: fields.list("sources")?,
        types: fields.list("types")?,
    };
    if client.tokens.is_empty() && client.certificates.is_empty() {
        return Err(fields.missing("tokens", "names of secrets, unless there are `certificates`"));
    }
    if client.sources.is_empty() {
        return Err(fields.missing("sources", "the sources that it may send, such as /shop/*, or *"));
    }
    if client.types.is_empty() {
        return Err(fields.missing("types", "the types that it may send, such as com.shop.*, or *"));
    }
    let shown = [
        ("tokens", secrets(&client.tokens)),
        ("certificates", client.certificates.join(",")),
        ("sources", client.sources.join(",")),
        ("types", client.types.join(",")),
    ];
    Ok((client, pairs(&shown)))
}

fn hook(fields: &mut Fields, secrets: Shown<'_>) -> Read<IngressHook> {
    const STYLE: &str = "github, stripe or hmac";
    let style = fields.word("style", &STYLES, STYLE)?.ok_or_else(|| fields.missing("style", STYLE))?;
    let source = fields.text("source")?.ok_or_else(|| fields.missing("source", "the source of its events"))?;
    let wanted = "the type of its events, such as com.github.{event}";
    let hook = IngressHook {
        style,
        secrets: fields.list("secrets")?,
        source,
        event_type: fields.text("type")?.ok_or_else(|| fields.missing("type", wanted))?,
        id: fields.text("id")?,
        subject: fields.text("subject")?,
        signature_header: fields.text("signature_header")?,
        encoding: fields.word("encoding", &ENCODINGS, "hex or base64")?,
        timestamp_header: fields.text("timestamp_header")?,
        tolerance: fields.seconds("tolerance_seconds")?.map(Duration::from_secs),
    };
    if hook.secrets.is_empty() {
        return Err(fields.missing("secrets", "names of secrets, one or more"));
    }
    let style = STYLES.iter().find(|(_, style)| *style == hook.style).map(|(word, _)| (*word).to_owned());
    let shown = [
        ("style", style.unwrap_or_default()),
        ("secrets", secrets(&hook.secrets)),
        ("source", hook.source.clone()),
        ("type", hook.event_type.clone()),
        ("id", hook.id.clone().unwrap_or_default()),
        ("subject", hook.subject.clone().unwrap_or_default()),
        ("signature_header", hook.signature_header.clone().unwrap_or_default()),
        ("timestamp_header", hook.timestamp_header.clone().unwrap_or_default()),
    ];
    Ok((hook, pairs(&shown)))
}

fn pairs(pairs: &[(&str, String)]) -> String {
    let filled = pairs.iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// The sections of a table, in the order of their names.
pub(super) fn named(table: &config::Map<String, Value>) -> Vec<(String, Value)> {
    keys::sorted(table).into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
