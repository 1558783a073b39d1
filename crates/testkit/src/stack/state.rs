//! The state folder, for one stack at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::ServerError;

use super::State;

/// A folder that is ours until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Removes the folder when it goes.
    _throw_away: Option<TempDir>,
    /// Held as long as the stack runs; the kernel lets it go when the process ends.
    _lock: Option<File>,
}

impl Folder {
    pub(super) fn open(state: &State) -> Result<Self, ServerError> {
        match state {
            State::Ephemeral => throw_away(),
            State::Kept(path) => kept(path),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn throw_away() -> Result<Folder, ServerError> {
    let parent = std::env::temp_dir();
    let folder = tempfile::Builder::new().prefix("spine-").tempdir().map_err(ServerError::file(parent))?;
    // PostgreSQL's user must be able to pass through; its own folder is closed to others.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))
            .map_err(ServerError::file(folder.path()))?;
    }
    Ok(Folder { path: folder.path().to_owned(), _throw_away: Some(folder), _lock: None })
}

fn kept(path: &Path) -> Result<Folder, ServerError> {
    fs::create_dir_all(path).map_err(ServerError::file(path))?;
    let path = fs::canonicalize(path).map_err(ServerError::file(path))?;
    let lock_path = path.join("lock");
    let lock = File::create(&lock_path).map_err(ServerError::file(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => Ok(Folder { path, _throw_away: None, _lock: Some(lock) }),
        Err(TryLockError::WouldBlock) => Err(ServerError::Taken(path)),
        Err(TryLockError::Error(source)) => Err(ServerError::File { path: lock_path, source }),
    }
}
