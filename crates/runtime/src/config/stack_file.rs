//! Where a running local stack is: `stack.toml` in its state folder, so that commands beside it find it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ConfigError;
use super::layers;
use crate::secret::redact_url;

/// What a running local stack says about itself. Only its owner may read the file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackFile {
    /// The process that keeps the stack; the file counts only while it lives.
    pub pid: u32,
    /// Where NATS is.
    pub nats_url: String,
    /// Where Temporal is, `host:port`.
    pub temporal_address: String,
    /// Where Temporal's web interface is.
    pub temporal_ui: String,
    /// Where PostgreSQL is.
    pub database_url: String,
    /// Where the ingress is.
    pub ingress_url: String,
    /// Where the metrics are.
    pub metrics_url: String,
    /// The operator's plain values.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
    /// Named databases by name, as URLs.
    #[serde(default)]
    pub databases: BTreeMap<String, String>,
}

impl StackFile {
    /// Where the file is for a stack whose state folder is `state`.
    pub fn path(state: &Path) -> PathBuf {
        state.join("stack.toml")
    }

    /// The stack whose state folder is `state`; none without a file, or when its process is gone.
    pub fn read(state: &Path) -> Result<Option<Self>, ConfigError> {
        let path = Self::path(state);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let stack: Self = layers::parse(&path, &text)?;
        Ok(lives(stack.pid).then_some(stack))
    }

    /// Writes the file into `state`, whole or not at all, with mode 0600.
    pub fn write(&self, state: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let path = Self::path(state);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let draft = path.with_extension(format!("{}.tmp", self.pid));
        let mut file = create_private(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    }

    /// Removes the file from `state`; that there is none is fine.
    pub fn remove(state: &Path) -> io::Result<()> {
        match fs::remove_file(Self::path(state)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for StackFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackFile")
            .field("pid", &self.pid)
            .field("nats_url", &redact_url(&self.nats_url))
            .field("temporal_address", &self.temporal_address)
            .field("database_url", &redact_url(&self.database_url))
            .field("ingress_url", &self.ingress_url)
            .finish_non_exhaustive()
    }
}

/// An old draft may be there with another mode, so it goes first.
fn create_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether a process of that id lives; one of another user does, too.
#[cfg(unix)]
fn lives(pid: u32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| matches!(test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

/// The local stack needs unix; elsewhere none runs.
#[cfg(not(unix))]
fn lives(_: u32) -> bool {
    false
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::config) fn stack(pid: u32) -> StackFile {
        StackFile {
            pid,
            nats_url: "nats://127.0.0.1:14222".into(),
            temporal_address: "127.0.0.1:17233".into(),
            temporal_ui: "http://127.0.0.1:18233".into(),
            database_url: "postgres://spine:hunter2@127.0.0.1:15432/spine".into(),
            ingress_url: "http://127.0.0.1:18080".into(),
            metrics_url: "http://127.0.0.1:19464".into(),
            values: BTreeMap::from([("shopUrl".into(), Value::from("http://shop"))]),
            databases: BTreeMap::from([("shop".into(), "postgres://shop:hunter2@db/shop".into())]),
        }
    }

    #[test]
    fn is_read_while_its_process_lives() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        assert_eq!(StackFile::read(dir.path())?, None);
        let own = stack(std::process::id());
        own.write(dir.path())?;
        own.write(dir.path())?;
        assert_eq!(StackFile::read(dir.path())?, Some(own.clone()));
        assert!(!format!("{own:?}").contains("hunter2"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(StackFile::path(dir.path()))?.permissions().mode() & 0o777, 0o600);
        }
        for gone in [0, i32::MAX as u32, u32::MAX] {
            stack(gone).write(dir.path())?;
            assert_eq!(StackFile::read(dir.path())?, None, "{gone}");
        }
        StackFile::remove(dir.path())?;
        StackFile::remove(dir.path())?;
        assert_eq!(fs::read_dir(dir.path())?.count(), 0);
        Ok(())
    }
}
