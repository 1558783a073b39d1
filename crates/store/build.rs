//! Rebuilds when a migration is added: `migrate!` alone sees only files that it has already embedded.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
