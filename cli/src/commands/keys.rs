//! `spine keys`: keys that events are signed with.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use aws_lc_rs::rand;
use serde_json::json;
use spine_core::signature::PrivateKey;

use crate::args::{Global, Keys};
use crate::failure::invalid;
use crate::output;

pub(crate) fn run(global: &Global, command: &Keys) -> anyhow::Result<()> {
    let Keys::Generate { file } = command;
    let mut seed = [0; 32];
    rand::fill(&mut seed).map_err(|_| anyhow!("the system gives no random bytes"))?;
    let key = PrivateKey::from_seed(&seed).map_err(|error| anyhow!(error))?;
    write(file, &key.to_pem().map_err(|error| anyhow!(error))?)?;
    let public = key.public_key();
    output::print(global.output, &json!({"id": public.id(), "publicKey": public.to_string()}), |_| {
        format!("keys:\n  - {{id: {:?}, publicKey: {:?}}}", public.id(), public.to_string())
    })
}

/// Nobody else may read the file, and none that is there is written over.
fn write(file: &Path, pem: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut opened = opened.map_err(|error| invalid(format!("write {}: {error}", file.display())))?;
    opened.write_all(pem.as_bytes()).with_context(|| format!("write {}", file.display()))
}

/// The key in this file.
pub(crate) fn read(file: &Path) -> anyhow::Result<PrivateKey> {
    let pem = std::fs::read_to_string(file).map_err(|error| invalid(format!("read {}: {error}", file.display())))?;
    PrivateKey::from_pem(&pem).map_err(|error| invalid(format!("{}: {error}", file.display())))
}
