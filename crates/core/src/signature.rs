//! Signatures of events: Ed25519 over a text that is the same however the event travels.
//!
//! docs/admission.md defines the text for those who sign in other languages.

mod json;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::event::{Data, Event};
use crate::key::hex;
use crate::names::{KEY_ID_EXTENSION, SIGNATURE_EXTENSION};

/// The first line of the text that is signed: the version of its form.
const FORM: &str = "spine-event-v1";
/// The lines around a private key in PEM (RFC 7468, section 10).
const PEM: (&str, &str) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
/// The most characters of a line in PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// What is signed: a line for each attribute but the signature, by name, and one for the data.
pub fn text(event: &Event) -> String {
    let mut attributes = event.attributes();
    attributes.remove(SIGNATURE_EXTENSION);
    if matches!(event.data, Data::Json(_)) {
        // Only the JSON format implies it; the binary mode writes it out.
        attributes.entry("datacontenttype").or_insert_with(|| Value::from("application/json"));
    }
    let mut lines: Vec<(String, String)> =
        attributes.into_iter().map(|(name, value)| (name, attribute(value))).collect();
    lines.sort_unstable();
    let mut text = format!("{FORM}\n");
    for (name, value) in lines {
        text.push_str(&format!("{name}:{}:{value}\n", value.len()));
    }
    text.push_str(&format!("data:sha256:{}\n", hex(&Sha256::digest(data(&event.data)))));
    text
}

/// The canonical string of an attribute (CloudEvents 1.0.2, section 3, "Type system").
fn attribute(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn data(data: &Data) -> Vec<u8> {
    match data {
        Data::None => Vec::new(),
        Data::Json(value) => json::text(value).into_bytes(),
        Data::Text(text) => text.clone().into_bytes(),
        Data::Binary(bytes) => bytes.clone(),
    }
}

/// A public key: who has its private one can sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key that this text, 32 bytes in base64, stands for.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = "a public key is 32 bytes in base64, as `spine keys generate` prints it";
        let bytes = STANDARD.decode(text).map_err(|_| wanted.to_owned())?;
        bytes.try_into().map(Self).map_err(|bytes: Vec<u8>| format!("{wanted}; this is {} bytes", bytes.len()))
    }

    /// An id that follows from the key: the first 16 hex digits of its SHA-256.
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.0)[..8])
    }

    /// Whether the event's `spinesignature` was made with this key's private one.
    pub fn verifies(&self, event: &Event) -> bool {
        let signature = event.extensions.get(SIGNATURE_EXTENSION).and_then(Value::as_str);
        let Some(signature) = signature.and_then(|signature| STANDARD.decode(signature).ok()) else { return false };
        UnparsedPublicKey::new(&ED25519, self.0).verify(text(event).as_bytes(), &signature).is_ok()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// A private key. Nothing that is printed has it.
pub struct PrivateKey(Ed25519KeyPair);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({})", self.public_key().id())
    }
}

impl PrivateKey {
    /// The key of a PEM file (PKCS #8, RFC 8410), as `spine keys generate` and
    /// `openssl genpkey -algorithm ed25519` write it.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let wanted = "it is no Ed25519 private key in PEM (`-----BEGIN PRIVATE KEY-----`)";
        let body = pem.split_once(PEM.0).and_then(|(_, rest)| rest.split_once(PEM.1)).map(|(body, _)| body);
        let body: String = body.ok_or(wanted)?.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| wanted)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self).map_err(|_| wanted.to_owned())
    }

    /// The key of these 32 bytes, which nobody may guess.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, String> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|error| error.to_string())
    }

    /// The key as a PEM file.
    pub fn to_pem(&self) -> Result<String, String> {
        let der = self.0.to_pkcs8v1().map_err(|error| error.to_string())?;
        let body = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = body.as_bytes().chunks(PEM_LINE).filter_map(|line| str::from_utf8(line).ok()).collect();
        Ok(format!("{}\n{}\n{}\n", PEM.0, lines.join("\n"), PEM.1))
    }

    /// What belongs to it in public.
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs the event, as whoever has the key with this id.
    pub fn sign(&self, event: &mut Event, key_id: &str) {
        event.extensions.insert(KEY_ID_EXTENSION.into(), Value::from(key_id));
        let signature = self.0.sign(text(event).as_bytes());
        event.extensions.insert(SIGNATURE_EXTENSION.into(), Value::from(STANDARD.encode(signature.as_ref())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first key of RFC 8032, section 7.1, as openssl writes it.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
    const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    /// What examples/sign-event/sign.py made of this event with that key.
    const SIGNED: &str = r#"{"specversion": "1.0", "type": "com.shop.order", "source": "https://shop.example/till",
        "id": "4711", "time": "2026-11-24T10:00:00Z", "subject": "Käse", "priority": 7, "urgent": true,
        "data": {"z": [1, 2.5, null, 1e16, -1.5e-5, 0.0001, 1e-6, 1.25e300, 18446744073709551615],
        "a": {"é": "x\ny\u001f\u007f", "b": 100.0}}, "spinekeyid": "till-1", "spinesignature":
        "RJqe3oizXVa7FIU30dBBV4yfHTYumf5BnvlPSEPTtyWcqcLGYwplO5hA4r41bTSuw160UyIg3qo86Eh/bR33BQ=="}"#;

    fn signed() -> Event {
        Event::from_json(SIGNED.as_bytes()).unwrap()
    }

    #[test]
    fn what_another_implementation_signs_is_verified_and_signed_alike() {
        let key = PublicKey::parse(PUBLIC_KEY).unwrap();
        assert!(key.verifies(&signed()));
        let private = PrivateKey::from_pem(KEY).unwrap();
        assert_eq!((private.public_key(), private.to_pem().unwrap().as_str()), (key, KEY));
        let mut event = signed();
        event.extensions.retain(|name, _| !name.starts_with("spine"));
        private.sign(&mut event, "till-1");
        assert_eq!(event, signed());
    }

    #[test]
    fn what_is_signed_has_each_attribute_with_its_length_and_a_hash_of_the_data() {
        let mut event = Event::new("com.shop.order", "/till", "1");
        event.subject = Some("a\u{e9}".into());
        event.data = Data::Json(serde_json::json!({"b": 1, "a": null}));
        let digest = hex(&Sha256::digest(r#"{"a":null,"b":1}"#));
        let wanted = format!(
            "spine-event-v1\ndatacontenttype:16:application/json\nid:1:1\nsource:5:/till\nspecversion:3:1.0\n\
             subject:3:a\u{e9}\ntype:14:com.shop.order\ndata:sha256:{digest}\n"
        );
        assert_eq!(text(&event), wanted);
    }

    #[test]
    fn nothing_of_an_event_can_be_changed() {
        let key = PublicKey::parse(PUBLIC_KEY).unwrap();
        let changes: [fn(&mut Event); 6] = [
            |event| event.id = "4712".into(),
            |event| event.subject = None,
            |event| event.data = Data::None,
            |event| drop(event.extensions.insert("urgent".into(), Value::from(false))),
            |event| drop(event.extensions.insert("spinekeyid".into(), Value::from("till-2"))),
            |event| drop(event.extensions.insert("spinesignature".into(), Value::from("no base64"))),
        ];
        for change in changes {
            let mut event = signed();
            change(&mut event);
            assert!(!key.verifies(&event), "{event:?}");
        }
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        assert!(PublicKey::parse("AAAA").unwrap_err().ends_with("this is 3 bytes"));
        assert!(PublicKey::parse("no base64").is_err());
        for pem in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
            assert!(PrivateKey::from_pem(pem).is_err());
        }
    }
}
