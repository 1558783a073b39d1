//! Which crate may know which: the table of docs/architecture.md.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crate, and what it may know of ours.
const ARROWS: [(&str, &[&str]); 13] = [
    ("spine-core", &[]),
    ("spine-runtime", &[]),
    ("spine-schemas", &["spine-core"]),
    ("spine-nats", &["spine-core"]),
    ("spine-store", &["spine-core"]),
    ("spine-testkit", &["spine-core", "spine-runtime"]),
    ("spine-loadtest", &["spine-core", "spine-runtime"]),
    ("spine-ingress", &["spine-core", "spine-schemas", "spine-nats", "spine-runtime"]),
    ("spine-router", &["spine-core", "spine-schemas", "spine-nats", "spine-runtime"]),
    ("spine-worker", &["spine-core", "spine-schemas", "spine-store", "spine-runtime"]),
    ("spine-worker-next", &["spine-core", "spine-schemas", "spine-store", "spine-runtime"]),
    ("spine-egress", &["spine-core", "spine-store", "spine-nats", "spine-runtime"]),
    (
        "spine",
        &[
            "spine-core",
            "spine-egress",
            "spine-ingress",
            "spine-nats",
            "spine-router",
            "spine-runtime",
            "spine-schemas",
            "spine-store",
            "spine-testkit",
            "spine-worker",
        ],
    ),
];

#[test]
fn every_crate_knows_only_what_it_may() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    let names: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, allowed.keys().copied().collect(), "the table names every crate of the workspace");
    for package in &metadata.packages {
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        let ours: BTreeSet<&str> =
            normal.map(|dependency| dependency.name.as_str()).filter(|name| names.contains(name)).collect();
        let beyond: Vec<_> = ours.difference(&allowed[package.name.as_str()]).collect();
        assert!(beyond.is_empty(), "{} may not know {beyond:?}", package.name);
    }
}

/// A library that would let a crate do what it must not.
#[test]
fn the_core_does_no_io_and_the_worker_cannot_publish() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    for (name, forbidden) in
        [("spine-core", "tokio"), ("spine-core", "reqwest"), ("spine-worker", "async-nats"), ("spine-router", "sqlx")]
    {
        let package = metadata.packages.iter().find(|package| package.name == name).unwrap();
        assert!(
            !package.dependencies.iter().any(|dependency| dependency.name == forbidden),
            "{name} may not know {forbidden}"
        );
    }
}
