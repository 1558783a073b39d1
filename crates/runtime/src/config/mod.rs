//! What a process is told: layers of configuration, checked once, passed on as values.
//!
//! From weak to strong: built-in defaults, a running local stack (`stack.toml` in its state folder),
//! `spine.toml`, the ecosystem's variables (`NATS_URL`, …), `SPINE_<SECTION>__<KEY>` variables,
//! flags. An empty variable counts as not set. Nothing here reads the process's environment or
//! arguments: the caller passes them in.

mod error;
mod fields;
mod ingress;
mod keys;
mod layers;
mod read;
mod stack_file;
#[cfg(test)]
mod tests;
mod tls;
mod valid;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use config::ValueKind;
use serde::Serialize;

pub use error::{ConfigError, Nearest};
pub use ingress::{Encoding, HookStyle, Ingress, IngressClient, IngressHook, IngressTls};
pub use stack_file::StackFile;
pub use tls::Tls;

use crate::secret::{REDACTED, Secret, redact_url};
use read::{Reader, Show};

/// The configuration file that is used if there is one and none is named.
pub const DEFAULT_FILE: &str = "spine.toml";

/// Where configuration is taken from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The folder with `spine.toml`.
    pub dir: PathBuf,
    /// The state folder of a local stack, which is used while it runs; relative to `dir`.
    pub state: PathBuf,
    /// The file named by a flag; else `SPINE_CONFIG` names it, else it is [`DEFAULT_FILE`] in `dir`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Flags, as dotted keys with their values.
    pub overrides: Vec<(String, String)>,
}

/// The whole configuration of a process.
#[derive(Clone, Debug)]
pub struct Config {
    /// NATS.
    pub nats: Nats,
    /// Temporal.
    pub temporal: Temporal,
    /// Our own database.
    pub database: Database,
    /// The ingress.
    pub ingress: Ingress,
    /// Metrics and health.
    pub metrics: Metrics,
    /// The router.
    pub router: Router,
    /// The worker.
    pub worker: Worker,
    /// The operator's plain values, `config.*` in expressions. Keys keep their case.
    pub values: BTreeMap<String, serde_json::Value>,
    /// Named databases for `sql` contexts and tasks, as URLs.
    pub databases: BTreeMap<String, Secret>,
    /// What `secret("name")` gives in activities.
    pub secrets: BTreeMap<String, Secret>,
    /// TLS options that `http` tasks and lookups may name.
    pub tls: BTreeMap<String, Tls>,
    entries: Vec<Entry>,
}

/// Where NATS is and who we are there.
#[derive(Clone)]
pub struct Nats {
    /// One server, or several with commas between; may hold a password.
    pub url: String,
    /// A file with the user's credentials.
    pub creds: Option<PathBuf>,
}

/// Where Temporal is and who we are there.
#[derive(Clone, Debug)]
pub struct Temporal {
    /// `host:port`, or an `http://` or `https://` URL.
    pub address: String,
    /// The namespace of our runs.
    pub namespace: String,
    /// The key of a Temporal Cloud account.
    pub api_key: Option<Secret>,
}

/// Where our own database is.
#[derive(Clone, Debug)]
pub struct Database {
    /// A PostgreSQL URL.
    pub url: Secret,
}

/// How a process is seen.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Where metrics and health are served.
    pub listen: SocketAddr,
}

/// How the router works.
#[derive(Clone, Debug)]
pub struct Router {
    /// The most deliveries taken and not settled. At 10 ms a start 256 are 25,600 starts a second,
    /// ten times what Temporal's frontend lets one namespace ask by default (2,400): more would only
    /// age in memory, and come again when a router dies.
    pub max_in_flight: usize,
}

/// How the worker works.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The most tasks at work at once. They mostly wait for others; 100 keep those busy and one
    /// worker's memory small.
    pub max_tasks: usize,
    /// A folder with a file for each secret that is not named under `secrets`.
    pub secrets_dir: Option<PathBuf>,
}

/// One key as `spine config show` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The dotted key.
    pub key: String,
    /// Its value, without secrets.
    pub value: String,
    /// The file, variable or flag it comes from, or `default`.
    pub origin: String,
}

impl Nats {
    /// The servers of [`Nats::url`], in order.
    pub fn servers(&self) -> Vec<String> {
        self.url.split(',').map(|server| server.trim().to_owned()).collect()
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("url", &redact_url(&self.url)).field("creds", &self.creds).finish()
    }
}

impl Config {
    /// Every key that is known or set, sections first, with its value redacted and its origin.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.clone()
    }
}

/// The configuration that `sources` make, or the first thing wrong with them.
pub fn load(sources: Sources) -> Result<Config, ConfigError> {
    let builder = config::Config::builder()
        .add_source(layers::defaults())
        .add_source(stack_layer(&sources)?)
        .add_source(file_layer(&sources)?)
        .add_source(layers::ecosystem(&sources.env))
        .add_source(layers::own(&sources.env)?)
        .add_source(layers::overrides(&sources.overrides)?);
    let merged = builder.build().map_err(ConfigError::Merge)?;
    typed(Reader::new(config::Source::collect(&merged).map_err(ConfigError::Merge)?))
}

fn stack_layer(sources: &Sources) -> Result<layers::Layer, ConfigError> {
    let state = sources.dir.join(&sources.state);
    let origin = StackFile::path(&state).display().to_string();
    let stack = StackFile::read(&state)?;
    Ok(stack.map(|stack| layers::stack(stack, &origin)).unwrap_or_default())
}

/// A named file must be there; the default one may be.
fn file_layer(sources: &Sources) -> Result<layers::Layer, ConfigError> {
    let variable = sources.env.get(layers::FILE_VARIABLE).filter(|path| !path.is_empty());
    let default = sources.dir.join(DEFAULT_FILE);
    match sources.file.clone().or_else(|| variable.map(PathBuf::from)) {
        Some(file) => layers::file(&file),
        None if default.exists() => layers::file(&default),
        None => Ok(layers::Layer::default()),
    }
}

fn typed(mut reader: Reader) -> Result<Config, ConfigError> {
    Ok(Config {
        nats: nats(&mut reader)?,
        temporal: temporal(&mut reader)?,
        database: Database { url: reader.text(keys::DATABASE_URL, Show::Url, valid::POSTGRES, valid::postgres)? },
        ingress: ingress::read(&mut reader)?,
        metrics: Metrics { listen: listen(&mut reader, keys::METRICS_LISTEN)? },
        router: Router { max_in_flight: reader.count(keys::ROUTER_MAX_IN_FLIGHT)? },
        worker: worker(&mut reader)?,
        values: values(&mut reader)?,
        databases: databases(&mut reader)?,
        secrets: secrets(&mut reader)?,
        tls: tls::read(&mut reader)?,
        entries: reader.entries,
    })
}

fn nats(reader: &mut Reader) -> Result<Nats, ConfigError> {
    Ok(Nats {
        url: reader.text(keys::NATS_URL, Show::Url, valid::NATS, valid::nats)?,
        creds: reader.optional(keys::NATS_CREDS, Show::All, "the path of a credentials file", valid::path)?,
    })
}

fn temporal(reader: &mut Reader) -> Result<Temporal, ConfigError> {
    Ok(Temporal {
        address: reader.text(keys::TEMPORAL_ADDRESS, Show::All, valid::TEMPORAL, valid::temporal)?,
        namespace: reader.text(keys::TEMPORAL_NAMESPACE, Show::All, "a name", valid::filled)?,
        api_key: reader.optional(keys::TEMPORAL_API_KEY, Show::Nothing, "a key", valid::filled)?.map(Secret::new),
    })
}

fn worker(reader: &mut Reader) -> Result<Worker, ConfigError> {
    let folder = "the path of a folder with one file for each secret";
    Ok(Worker {
        max_tasks: reader.count(keys::WORKER_MAX_TASKS)?,
        secrets_dir: reader.optional(keys::WORKER_SECRETS_DIR, Show::All, folder, valid::path)?,
    })
}

fn listen(reader: &mut Reader, key: &'static str) -> Result<SocketAddr, ConfigError> {
    reader.text(key, Show::All, "an IP address and a port, such as 127.0.0.1:8080", |text| text.parse().ok())
}

fn values(reader: &mut Reader) -> Result<BTreeMap<String, serde_json::Value>, ConfigError> {
    let json = |value: &config::Value| read::json(value).map(|json| (json.clone(), json.to_string()));
    Ok(reader.section(keys::VALUES, json, "a value that JSON can say")?.into_iter().collect())
}

fn databases(reader: &mut Reader) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let url = |value: &config::Value| match &value.kind {
        ValueKind::String(text) => valid::postgres(text).map(|url| (url, redact_url(text))),
        _ => None,
    };
    Ok(reader.section(keys::DATABASES, url, valid::POSTGRES)?.into_iter().collect())
}

fn secrets(reader: &mut Reader) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let secret = |value: &config::Value| match &value.kind {
        ValueKind::String(text) if !text.is_empty() => Some((Secret::new(text.clone()), REDACTED.to_owned())),
        _ => None,
    };
    Ok(reader.section(keys::SECRETS, secret, "a text")?.into_iter().collect())
}
