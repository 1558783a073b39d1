//! `spine dev`: starts all, says where, ends cleanly, and takes its children with it however it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::Signal;
use spine_testkit::process::{self, Child};
use spine_testkit::wait;

use crate::world::{PATIENCE, spine};

#[tokio::test(flavor = "multi_thread")]
async fn dev_runs_an_event_keeps_its_state_and_ends_on_a_signal() {
    let folder = tempfile::Builder::new().prefix("with a space ").tempdir().unwrap();
    let mut dev = start(folder.path(), &["dev", "--example"]).await;
    let run = |args: &[&str]| {
        let output = spine(folder.path(), args, &BTreeMap::new()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let order = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/events/order-placed.json");
    run(&["publish", "--file", order]);
    let trace = run(&["trace", "order-1001", "--wait", "60"]);
    assert!(trace.contains("reserve/1  http  completed  2 attempts"), "{trace}");
    wait::until("a line was printed for the run", PATIENCE, async || dev.log().contains("completed").then_some(()))
        .await;
    let log = dev.log();
    assert!(log.contains("event    com.shop.order.placed order-1001  started run/order-review/"), "{log}");
    assert!(log.contains("emitted  com.shop.order.reviewed 1001"), "{log}");
    let children = children_of(dev.id());
    assert_eq!(children.len(), 3, "{log}");
    dev.signal(Signal::INT).unwrap();
    let status = dev.wait(PATIENCE).await.unwrap().expect("it ends");
    assert!(status.success(), "{status}: {}", dev.log());
    assert!(!children.iter().any(|id| runs(*id)));

    let mut again = start(folder.path(), &["dev"]).await;
    assert!(run(&["runs", "list"]).contains("order-review"), "the state was kept");
    again.kill().unwrap();
    // At once: servers of the one that was killed may still be ending.
    let mut after_kill = start(folder.path(), &["dev"]).await;
    assert!(run(&["runs", "list"]).contains("order-review"), "the state was kept through a kill");
    after_kill.stop(Signal::INT, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dev_leaves_no_child_and_a_killed_child_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = start(folder.path(), &["dev", "--ephemeral"]).await;
    let children = children_of(dev.id());
    assert_eq!(children.len(), 3);
    let victim = *children.iter().find(|id| name(**id).starts_with("nats-server")).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(victim as i32).unwrap(), Signal::KILL).unwrap();
    wait::until("the server runs again", PATIENCE, async || dev.log().contains("nats-server runs again").then_some(()))
        .await;
    let children = children_of(dev.id());
    dev.kill().unwrap();
    wait::until("no child is left", Duration::from_secs(20), async || {
        (!children.iter().any(|id| runs(*id))).then_some(())
    })
    .await;
}

async fn start(folder: &std::path::Path, args: &[&str]) -> Child {
    let log = folder.join("dev.log");
    drop(std::fs::remove_file(&log));
    let mut dev = process::spawn(spine(folder, args, &BTreeMap::new()), &log, Signal::KILL).unwrap();
    wait::until("spine dev is ready", PATIENCE, async || {
        assert!(dev.try_wait().unwrap().is_none(), "{}", dev.log());
        dev.log().contains("Spine is ready.").then_some(())
    })
    .await;
    dev
}

/// The processes whose parent is `id`, threads of it included.
fn children_of(id: u32) -> BTreeSet<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let lists = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

fn name(id: u32) -> String {
    std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default()
}

/// Whether a process with this id runs; one that has ended and waits to be reaped does not.
fn runs(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}
