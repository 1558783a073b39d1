//! TLS: our certificate, and the names in those of clients.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use spine_runtime::config::IngressTls;
use tokio_rustls::TlsAcceptor;
use webpki::EndEntityCert;

/// What accepts TLS connections with these files, or the key of the file that can't be used and why.
pub(crate) fn acceptor(files: &IngressTls) -> Result<TlsAcceptor, (&'static str, String)> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| ("ingress.tls_cert_file", error.to_string()))?;
    let builder = match &files.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let wrong = |why: String| ("ingress.tls_client_ca_file", format!("{}: {why}", file.display()));
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file).map_err(wrong)? {
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            // Senders of webhooks have no certificate of ours; who has none has to say who they are otherwise.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(error.to_string()))?)
        }
    };
    let cert_file = &files.cert_file;
    let chain =
        certificates(cert_file).map_err(|why| ("ingress.tls_cert_file", format!("{}: {why}", cert_file.display())))?;
    let wrong_key = |why: String| ("ingress.tls_key_file", format!("{}: {why}", files.key_file.display()));
    let key = PrivateKeyDer::from_pem_file(&files.key_file).map_err(|error| wrong_key(error.to_string()))?;
    let config = builder.with_single_cert(chain, key).map_err(|error| wrong_key(error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?.collect();
    match certificates.map_err(|error| error.to_string())? {
        none if none.is_empty() => Err("it has no certificate".to_owned()),
        some => Ok(some),
    }
}

/// The alternative names of a client's certificate: `dns:NAME` and `uri:URI`. The subject is not looked at: it is
/// text that no two CAs write alike.
pub(crate) fn names(certificates: Option<&[CertificateDer<'_>]>) -> Vec<String> {
    let own = certificates.and_then(<[_]>::first).and_then(|certificate| EndEntityCert::try_from(certificate).ok());
    let Some(own) = own else { return Vec::new() };
    let hosts = own.valid_dns_names().map(|name| format!("dns:{}", name.to_ascii_lowercase()));
    hosts.chain(own.valid_uri_names().map(|uri| format!("uri:{uri}"))).collect()
}
