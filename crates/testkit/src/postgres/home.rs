//! Where PostgreSQL's programs and data stand, so that the user it runs as can reach them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::ServerError;

/// The user and group `nobody`, by the number that Linux distributions give it.
const NOBODY: u32 = 65534;

/// Programs, data, and the user who runs them.
#[derive(Debug)]
pub(super) struct Home {
    programs: PathBuf,
    data: PathBuf,
    user: Option<u32>,
    /// Set where the data stands outside of the state folder.
    apart: Option<PathBuf>,
}

impl Home {
    /// Finds or makes the places. A folder whose parents `nobody` may not enter (under /root, say) is
    /// replaced by one below /var/tmp that is named after it.
    pub(super) fn prepare(state: &Path, postgres: &Path) -> Result<Self, ServerError> {
        let state = fs::canonicalize(state).map_err(ServerError::file(state))?;
        let programs = postgres.parent().unwrap_or(Path::new("/")).to_owned();
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { programs, data: state.join("postgres"), user: None, apart: None });
        }
        let programs = if reachable(&programs) { programs } else { copied(&programs)? };
        let apart = (!reachable(&state)).then(|| elsewhere("data", &state));
        let data = apart.clone().unwrap_or_else(|| state.clone()).join("postgres");
        fs::create_dir_all(&data).map_err(ServerError::file(&data))?;
        own(&data).map_err(ServerError::file(&data))?;
        Ok(Self { programs, data, user: Some(NOBODY), apart })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn user(&self) -> Option<u32> {
        self.user
    }

    /// Removes what stands outside of the state folder.
    pub(super) fn remove(&self) {
        if let Some(apart) = &self.apart
            && let Err(error) = fs::remove_dir_all(apart)
        {
            tracing::warn!("failed to remove {}: {error}", apart.display());
        }
    }
}

/// Gives the folder to the user, for whom alone it is.
fn own(data: &Path) -> std::io::Result<()> {
    std::os::unix::fs::chown(data, Some(NOBODY), Some(NOBODY))?;
    fs::set_permissions(data, fs::Permissions::from_mode(0o700))
}

/// Whether everybody may enter the folder and all above it.
fn reachable(folder: &Path) -> bool {
    let Ok(folder) = fs::canonicalize(folder) else { return false };
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
}

/// A place for what stands at `path`, the same each time.
fn elsewhere(what: &str, path: &Path) -> PathBuf {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    PathBuf::from(format!("/var/tmp/spine-postgres-{what}-{:016x}", hasher.finish()))
}

/// A copy of the installation that `programs` is the `bin` of. Made once: whole, or not at all.
fn copied(programs: &Path) -> Result<PathBuf, ServerError> {
    let installation = programs.parent().unwrap_or(programs);
    let copy = elsewhere("programs", installation);
    // A folder of that name that somebody else has made is not ours to run.
    if fs::symlink_metadata(&copy).is_ok_and(|metadata| metadata.uid() != 0 || !metadata.is_dir()) {
        let source = std::io::Error::other("it does not belong to root; remove it");
        return Err(ServerError::File { path: copy, source });
    }
    if !copy.exists() {
        let draft = copy.with_extension(std::process::id().to_string());
        copy_folder(installation, &draft).map_err(ServerError::file(&draft))?;
        if let Err(source) = fs::rename(&draft, &copy)
            && !copy.exists()
        {
            return Err(ServerError::File { path: copy, source });
        }
        drop(fs::remove_dir_all(&draft));
    }
    Ok(copy.join("bin"))
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if fs::metadata(entry.path())?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
