//! Copies the sources of the worker and changes its workflow as a release would: guarded by a patch.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where the workflow starts what it was told to start.
const BEFORE: &str = "running.extend(start.into_iter().map(|start| begin(ctx, start)));";
/// The change: the last first. What runs in flight have started, and how, their histories say.
const AFTER: &str = "let mut start = start;
                    if ctx.patched(\"start-the-last-first\") {
                        start.reverse();
                    }
                    running.extend(start.into_iter().map(|start| begin(ctx, start)));";

fn main() -> Result<(), Box<dyn Error>> {
    let (sources, out) = (Path::new("../src"), PathBuf::from(env::var("OUT_DIR")?));
    println!("cargo::rerun-if-changed=../src");
    println!("cargo::rerun-if-changed=build.rs");
    copy(sources, &out)?;
    change(&out.join("workflow.rs"), |workflow| {
        assert!(workflow.contains(BEFORE), "worker/src/workflow.rs has changed: adapt BEFORE in worker/next/build.rs");
        workflow.replace(BEFORE, AFTER)
    })?;
    // What is included can't say what the crate is.
    change(&out.join("lib.rs"), |lib| {
        lib.lines().filter(|line| !line.starts_with("//!")).collect::<Vec<_>>().join("\n")
    })
}

fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => fs::write(target, fs::read(entry.path())?)?,
        }
    }
    Ok(())
}

fn change(file: &Path, with: impl Fn(&str) -> String) -> Result<(), Box<dyn Error>> {
    Ok(fs::write(file, with(&fs::read_to_string(file)?))?)
}
