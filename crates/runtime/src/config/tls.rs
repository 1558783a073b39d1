//! `[tls.NAME]`: files with a private CA and a client certificate.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::{Value, ValueKind};

use super::error::ConfigError;
use super::keys;
use super::read::Reader;
use super::valid;

const WANTED: &str = "a section with `ca_file`, or `cert_file` and `key_file`, or all three: paths of PEM files";

/// Files in PEM form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The CAs that a server's certificate may come from, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
}

pub(super) fn read(reader: &mut Reader) -> Result<BTreeMap<String, Tls>, ConfigError> {
    let one = |value: &Value| one(value).map(|tls| (tls.clone(), shown(&tls)));
    Ok(reader.section(keys::TLS, one, WANTED)?.into_iter().collect())
}

/// The options, if every key is one of ours, and a key and its certificate are both there or neither.
fn one(value: &Value) -> Option<Tls> {
    let ValueKind::Table(table) = &value.kind else { return None };
    let mut tls = Tls::default();
    for (name, value) in table {
        let ValueKind::String(text) = &value.kind else { return None };
        let file = valid::path(text)?;
        match name.as_str() {
            "ca_file" => tls.ca_file = Some(file),
            "cert_file" => tls.cert_file = Some(file),
            "key_file" => tls.key_file = Some(file),
            _ => return None,
        }
    }
    let whole = tls.cert_file.is_some() == tls.key_file.is_some();
    (whole && tls != Tls::default()).then_some(tls)
}

fn shown(tls: &Tls) -> String {
    let files = [("ca_file", &tls.ca_file), ("cert_file", &tls.cert_file), ("key_file", &tls.key_file)];
    let files = files.into_iter().filter_map(|(name, file)| Some(format!("{name}={}", file.as_ref()?.display())));
    files.collect::<Vec<_>>().join(" ")
}
