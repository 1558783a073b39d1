//! Clients with the TLS options that the operator names: a private CA, a certificate of our own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use reqwest::{Certificate, Client, ClientBuilder, Identity};
use spine_core::run::Failure;

use super::{Attempt, fatal};

/// TLS options: files in PEM form. They are read again for every request, so that a certificate that was
/// renewed counts without a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CAs that a server's certificate may come from; without it those of the system.
    pub ca: Option<PathBuf>,
    /// Our own certificate, followed by those between it and its CA.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// What stands in the files of one set of options.
#[derive(PartialEq, Eq)]
struct Material {
    ca: Option<Vec<u8>>,
    identity: Option<Vec<u8>>,
}

/// The clients by the operator's names, each made of what its files held when it was last used.
pub(super) struct TlsClients {
    files: BTreeMap<String, TlsFiles>,
    made: Mutex<BTreeMap<String, (Material, Client)>>,
}

impl TlsClients {
    pub(super) fn new(files: BTreeMap<String, TlsFiles>) -> Self {
        Self { files, made: Mutex::default() }
    }

    /// The client that is named so, made with `builder` if its files have changed.
    pub(super) async fn get(&self, name: &str, builder: ClientBuilder) -> Result<Client, Attempt> {
        let files = self.files.get(name).ok_or_else(|| {
            let message =
                format!("no TLS options are named {name:?}; name them in [tls.{name}] in the worker's configuration");
            fatal("UnknownTls", message)
        })?;
        let material = read(name, files).await?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = made.get(name)
            && *known == material
        {
            return Ok(client.clone());
        }
        let client = material.client(builder).map_err(|error| {
            failed(format!("the files of [tls.{name}] can't be used: {}", super::innermost(&error)))
        })?;
        made.insert(name.to_owned(), (material, client.clone()));
        Ok(client)
    }
}

impl Material {
    fn client(&self, mut builder: ClientBuilder) -> reqwest::Result<Client> {
        if let Some(ca) = &self.ca {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(ca)?);
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(Identity::from_pem(identity)?);
        }
        builder.https_only(true).build()
    }
}

async fn read(name: &str, files: &TlsFiles) -> Result<Material, Attempt> {
    let ca = pem(name, files.ca.as_deref()).await?;
    let (certificate, key) = (pem(name, files.certificate.as_deref()).await?, pem(name, files.key.as_deref()).await?);
    let identity = certificate.zip(key).map(|(certificate, key)| [certificate, key].join(&b'\n'));
    Ok(Material { ca, identity })
}

async fn pem(name: &str, path: Option<&Path>) -> Result<Option<Vec<u8>>, Attempt> {
    let Some(path) = path else { return Ok(None) };
    let read = tokio::fs::read(path).await;
    read.map(Some)
        .map_err(|error| failed(format!("[tls.{name}] names {}, which can't be read: {error}", path.display())))
}

/// The operator may be just about to put it right.
fn failed(message: String) -> Attempt {
    Attempt { failure: Failure::new("TlsFailed", message), retryable: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(files: TlsFiles, name: &str) -> (String, String) {
        let clients = TlsClients::new([("crm".to_owned(), files)].into());
        let attempt = clients.get(name, Client::builder()).await.unwrap_err();
        (attempt.failure.kind, attempt.failure.message)
    }

    #[tokio::test]
    async fn what_can_not_be_used_is_named() {
        let folder = std::env::temp_dir();
        let missing = TlsFiles { ca: Some(folder.join("no-such-ca.pem")), ..TlsFiles::default() };
        let (kind, message) = refused(missing.clone(), "crm").await;
        assert!(kind == "TlsFailed" && message.contains("no-such-ca.pem"), "{message}");
        let (kind, message) = refused(missing, "other").await;
        assert!(kind == "UnknownTls" && message.contains("[tls.other]"), "{message}");
        let garbage = folder.join(format!("spine-tls-{}.pem", std::process::id()));
        std::fs::write(&garbage, "no certificate").unwrap();
        let files = TlsFiles { certificate: Some(garbage.clone()), key: Some(garbage.clone()), ca: None };
        let (kind, message) = refused(files, "crm").await;
        assert!(kind == "TlsFailed" && message.contains("[tls.crm] can't be used"), "{message}");
        std::fs::remove_file(garbage).unwrap();
    }
}
