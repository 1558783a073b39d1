//! Who may send what.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use reqwest::{Certificate, Client, ClientBuilder, Identity, RequestBuilder};
use serde_json::{Value, json};
use spine_ingress::Settings;
use spine_runtime::metrics::labels::Request;
use tempfile::TempDir;

use crate::support::{Ingress, answer, binary, configuration, event, ingress, refused};

const CLIENTS: &str = r#"
[secrets]
shop-now = "0123456789abcdef-now"
# printf %s 0123456789abcdef-next | sha256sum
shop-next = "sha256:HASH"
crm = "fedcba9876543210-crm"
[ingress.clients.shop]
tokens = ["shop-now", "shop-next"]
sources = ["/shop", "/shop/*"]
types = ["com.shop.*"]
[ingress.clients.crm]
tokens = ["crm"]
sources = ["*"]
types = ["com.crm.customer"]
"#;

async fn guarded() -> Ingress {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest("0123456789abcdef-next").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    ingress(&CLIENTS.replace("HASH", &hash)).await
}

fn with(request: RequestBuilder, token: &str) -> RequestBuilder {
    request.header("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_token_opens_for_its_sources_and_types_alone() {
    let ingress = guarded().await;
    let response = ingress.binary().send().await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    refused(ingress.binary(), 401, "missing_credentials", "Authorization").await;
    for token in ["fedcba9876543210", "", "sha256:0", "0123456789abcdef-now "] {
        let request = with(ingress.binary(), token);
        let trimmed = token.trim_end() == "0123456789abcdef-now";
        let (status, body) = answer(request).await;
        assert_eq!(status, if trimmed { 202 } else { 401 }, "{token:?} {body}");
    }
    for token in ["0123456789abcdef-now", "0123456789abcdef-next"] {
        assert_eq!(answer(with(ingress.binary(), token)).await.0, 202, "{token}");
    }
    let crm = "fedcba9876543210-crm";
    let body = refused(with(ingress.binary(), crm), 403, "forbidden", "type \"com.shop.order\"").await;
    assert!(body["detail"].as_str().unwrap().contains("client \"crm\""), "{body}");
    let mut foreign = event("8");
    foreign["source"] = json!("/shopping");
    let shop = "0123456789abcdef-next";
    refused(with(ingress.structured(&foreign), shop), 403, "forbidden", "source \"/shopping\"").await;
    let batch = ingress.batch(&[event("9"), foreign]);
    let body = refused(with(batch, shop), 403, "forbidden", "1 of 2 events").await;
    let status: Vec<&Value> = body["items"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    assert_eq!(status, ["accepted", "rejected"]);
    let metrics = &ingress.door.metrics.ingress.requests;
    assert_eq!((metrics.get(Request::Unauthenticated), metrics.get(Request::Forbidden)), (5, 3));
}

#[test]
fn a_wrong_client_is_refused_by_its_key_and_its_secret_is_not_shown() {
    let check = |from: &str, to: &str, expected: &str| {
        let config = configuration(&CLIENTS.replace("HASH", &"0".repeat(64)).replacen(from, to, 1));
        let refused = Settings::new(&config.ingress, &config.secrets).err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some(expected));
    };
    let clients = "bad value for `ingress.clients";
    check("0123456789abcdef-now", "short", &format!("{clients}.shop.tokens`: a token has at least 16 bytes"));
    check("[\"crm\"]", "[\"hunter2\"]", &format!("{clients}.crm.tokens`: entry 1 is not the name of one of [secrets]"));
    check(
        "sha256:00",
        "sha256:0",
        &format!("{clients}.shop.tokens`: a secret that starts with sha256: goes on with 64 hex digits"),
    );
    check(
        "\"/shop/*\"",
        "\"/*/shop\"",
        &format!("{clients}.shop.sources`: \"/*/shop\" is not a source, which may have one * and that at its end"),
    );
    check(
        "com.shop.*",
        "com.*.order",
        &format!("{clients}.shop.types`: \"com.*.order\" is not a type, the start of one with .* at its end, or *"),
    );
    check(
        "tokens = [\"crm\"]",
        "certificates = [\"crm\"]",
        &format!("{clients}.crm.certificates`: \"crm\" is not dns:NAME or uri:URI"),
    );
    check(
        "tokens = [\"crm\"]",
        "certificates = [\"dns:crm\"]",
        "bad value for `ingress.tls_client_ca_file`: wanted the CA of the certificates that clients have",
    );
}

/// A CA, and what it has issued, as files in a folder.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: TempDir::new().unwrap(), issuer };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A certificate and its key, both in PEM.
    fn issue(&self, names: Vec<SanType>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn client(&self) -> ClientBuilder {
        Client::builder().tls_certs_only([Certificate::from_pem(self.issuer.pem().as_bytes()).unwrap()])
    }
}

#[tokio::test]
async fn a_client_certificate_opens_too() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(vec![SanType::IpAddress([127, 0, 0, 1].into())]);
    authority.write("cert.pem", &certificate);
    authority.write("key.pem", &key);
    let folder = authority.folder.path().display();
    let ingress = ingress(&format!(
        r#"
        [ingress]
        tls_cert_file = "{folder}/cert.pem"
        tls_key_file = "{folder}/key.pem"
        tls_client_ca_file = "{folder}/ca.pem"
        [ingress.clients.shop]
        certificates = ["dns:Shop.example", "uri:spiffe://cluster/shop"]
        sources = ["/shop"]
        types = ["com.shop.order"]
        "#
    ))
    .await;
    let url = format!("https://{}/events", ingress.door.address);
    let send = async |client: ClientBuilder| {
        let (_, request) = binary(&url).build_split();
        client.build().unwrap().execute(request.unwrap()).await
    };
    let identity = |authority: &Authority, name: SanType| {
        let (certificate, key) = authority.issue(vec![name]);
        Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap()
    };
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let uri = SanType::URI("spiffe://cluster/shop".try_into().unwrap());
    for name in [dns("shop.example"), uri] {
        let response = send(authority.client().identity(identity(&authority, name))).await.unwrap();
        assert_eq!(response.status().as_u16(), 202);
    }
    let unknown = send(authority.client().identity(identity(&authority, dns("crm.example")))).await.unwrap();
    assert_eq!(crate::support::read(unknown).await.1["code"], "unknown_credentials");
    let nobody = send(authority.client()).await.unwrap();
    assert_eq!(crate::support::read(nobody).await.1["code"], "missing_credentials");
    let stranger = identity(&Authority::new(), dns("shop.example"));
    assert!(send(authority.client().identity(stranger)).await.is_err(), "another CA's certificate ends the handshake");
    assert_eq!(ingress.count().await, 1);
}
