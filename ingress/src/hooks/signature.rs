//! Whether a request was signed by who has the secret, and just now.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use spine_runtime::config::{Encoding, HookStyle, IngressHook};
use spine_runtime::secret::Secret;

use crate::problem::{Code, Problem};

/// How far the time of signing may be from now unless it is configured: what Stripe's own libraries allow.
const TOLERANCE: Duration = Duration::from_secs(300);

/// The most signatures in one header: two secrets are valid while they are changed, and a sender may add others.
const MAX_SIGNATURES: usize = 8;

/// Where the signature is, how it is written, and what it is of.
#[derive(Debug)]
pub(super) struct Signing {
    header: HeaderName,
    form: Form,
    timestamp: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `t=<seconds>,v1=<hex>`, with more of either.
    Stripe,
    /// The signature alone, or behind `sha256=`.
    Plain(Encoding),
}

/// Whether the time of signing is signed too: then the signature is of `<time>.<body>`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Timestamp {
    None,
    InSignature(Duration),
    InHeader(HeaderName, Duration),
}

/// What a request claims.
struct Claim<'a> {
    timestamp: Option<&'a str>,
    signatures: Vec<Vec<u8>>,
}

impl Signing {
    pub(super) fn new(config: &IngressHook) -> Result<Self, (&'static str, String)> {
        let tolerance = config.tolerance.unwrap_or(TOLERANCE);
        match config.style {
            HookStyle::Hmac => Self::own(config, tolerance),
            style => {
                only_hmac(config)?;
                Self::known(style, config, tolerance)
            }
        }
    }

    fn known(style: HookStyle, config: &IngressHook, within: Duration) -> Result<Self, (&'static str, String)> {
        if style == HookStyle::Stripe {
            let header = HeaderName::from_static("stripe-signature");
            return Ok(Self { header, form: Form::Stripe, timestamp: Timestamp::InSignature(within) });
        }
        if config.tolerance.is_some() {
            return Err(("tolerance_seconds", "GitHub does not sign the time".to_owned()));
        }
        let header = HeaderName::from_static("x-hub-signature-256");
        Ok(Self { header, form: Form::Plain(Encoding::Hex), timestamp: Timestamp::None })
    }

    fn own(config: &IngressHook, within: Duration) -> Result<Self, (&'static str, String)> {
        let name = |key: &'static str, text: &str| {
            text.parse::<HeaderName>().map_err(|_| (key, "wanted the name of a header".to_owned()))
        };
        let header = config.signature_header.as_deref();
        let header = header.ok_or(("signature_header", "wanted the header with the signature".to_owned()))?;
        let timestamp = match &config.timestamp_header {
            Some(header) => Timestamp::InHeader(name("timestamp_header", header)?, within),
            None if config.tolerance.is_some() => {
                return Err(("tolerance_seconds", "wanted timestamp_header as well".to_owned()));
            }
            None => Timestamp::None,
        };
        let form = Form::Plain(config.encoding.unwrap_or(Encoding::Hex));
        Ok(Self { header: name("signature_header", header)?, form, timestamp })
    }

    /// The signature is checked before the time, so that only who can sign learns of our clock. Every secret is
    /// tried on every signature, whichever fits.
    pub(super) fn verify(&self, secrets: &[Secret], headers: &HeaderMap, body: &[u8], now: u64) -> Result<(), Problem> {
        let claim = self.claim(headers)?;
        let mut is_signed = false;
        for secret in secrets {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { continue };
            if let Some(timestamp) = claim.timestamp {
                mac.update(timestamp.as_bytes());
                mac.update(b".");
            }
            mac.update(body);
            for signature in &claim.signatures {
                is_signed |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        if !is_signed {
            let detail = format!("the signature in {} is not that of this body", self.header);
            return Err(Problem::new(Code::InvalidSignature, detail));
        }
        self.check_time(claim.timestamp, now)
    }

    fn claim<'a>(&self, headers: &'a HeaderMap) -> Result<Claim<'a>, Problem> {
        let text = only(headers, &self.header)?;
        let claim = match self.form {
            Form::Stripe => stripe(text),
            Form::Plain(encoding) => {
                let digits = text.strip_prefix("sha256=").unwrap_or(text);
                let signature = match encoding {
                    Encoding::Hex => hex(digits),
                    Encoding::Base64 => STANDARD.decode(digits).ok(),
                };
                signature.map(|signature| Claim { timestamp: None, signatures: vec![signature] })
            }
        };
        let wanted = match self.form {
            Form::Stripe => "t=<seconds since 1970>,v1=<64 hex digits>",
            Form::Plain(Encoding::Hex) => "sha256=<64 hex digits>",
            Form::Plain(Encoding::Base64) => "the signature in base64",
        };
        let mut claim = claim.ok_or_else(|| malformed(&self.header, wanted))?;
        if let Timestamp::InHeader(header, _) = &self.timestamp {
            claim.timestamp = Some(only(headers, header)?);
        }
        Ok(claim)
    }

    fn check_time(&self, timestamp: Option<&str>, now: u64) -> Result<(), Problem> {
        let (header, within) = match &self.timestamp {
            Timestamp::None => return Ok(()),
            Timestamp::InSignature(within) => (&self.header, within),
            Timestamp::InHeader(header, within) => (header, within),
        };
        let signed = timestamp.and_then(|text| text.parse::<u64>().ok());
        let signed = signed.ok_or_else(|| malformed(header, "seconds since 1970"))?;
        if now.abs_diff(signed) <= within.as_secs() {
            return Ok(());
        }
        let (seconds, side) = (now.abs_diff(signed), if signed < now { "ago" } else { "in the future" });
        let detail = format!("{header} says that it was signed {seconds} s {side}, {} s may be", within.as_secs());
        Err(Problem::new(Code::ExpiredSignature, detail))
    }
}

/// Refuses what only `style = "hmac"` knows.
fn only_hmac(config: &IngressHook) -> Result<(), (&'static str, String)> {
    let keys = [
        ("signature_header", config.signature_header.is_some()),
        ("encoding", config.encoding.is_some()),
        ("timestamp_header", config.timestamp_header.is_some()),
    ];
    match keys.into_iter().find(|(_, is_set)| *is_set) {
        Some((key, _)) => Err((key, "only style = \"hmac\" has it: the others say it themselves".to_owned())),
        None => Ok(()),
    }
}

/// The one value of a header.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Problem> {
    let mut values = headers.get_all(name).iter();
    let missing = || Problem::new(Code::MissingSignature, format!("the request has no header {name}"));
    let value = values.next().ok_or_else(missing)?;
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(text),
        _ => Err(malformed(name, "one value, and that of printable ASCII")),
    }
}

fn malformed(header: &HeaderName, wanted: &str) -> Problem {
    Problem::new(Code::InvalidSignature, format!("the header {header} has to be {wanted}"))
}

/// The claim in `Stripe-Signature`; other versions than v1 are left alone.
fn stripe(text: &str) -> Option<Claim<'_>> {
    let mut claim = Claim { timestamp: None, signatures: Vec::new() };
    for pair in text.split(',') {
        match pair.trim().split_once('=')? {
            ("t", _) if claim.timestamp.is_some() => return None,
            ("t", timestamp) => claim.timestamp = Some(timestamp),
            ("v1", digits) => claim.signatures.push(hex(digits)?),
            _ => {}
        }
    }
    let fits = claim.timestamp.is_some() && (1..=MAX_SIGNATURES).contains(&claim.signatures.len());
    fits.then_some(claim)
}

/// Bytes from pairs of hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
