//! The servers that all other tests stand on.

#![expect(clippy::unwrap_used, reason = "what can't be had fails the test")]

use std::process::Command;
use std::time::Duration;

use spine_testkit::postgres::psql;
use spine_testkit::process;
use spine_testkit::stack::{Stack, StackEvent, StackOptions, State};
use spine_testkit::{temporal, wait};

/// Set for the process that the test about a killed parent kills.
const AS_PARENT: &str = "TESTKIT_AS_PARENT";

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_boots_survives_kills_and_leaves_nothing() {
    let stack = Stack::boot(StackOptions::default()).await.unwrap();
    psql(stack.database_url(), "create table kept (n int); insert into kept values (7)").await.unwrap();
    {
        let mut servers = stack.servers().await;
        servers.postgres.as_mut().unwrap().restart().await.unwrap();
        servers.nats.as_mut().unwrap().restart().await.unwrap();
        servers.temporal.as_mut().unwrap().restart().await.unwrap();
    }
    assert_eq!(psql(stack.database_url(), "select n from kept").await.unwrap().trim(), "7");
    assert!(temporal::client(stack.temporal_address()).await.is_some());
    let state = stack.state().to_owned();
    stack.shutdown().await.unwrap();
    assert!(!state.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_starts_a_server_again_that_died() {
    let mut stack = Stack::boot(StackOptions::default()).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    stack.supervise(move |event| tell.send(event).unwrap());
    stack.servers().await.nats.as_mut().unwrap().process().kill().unwrap();
    assert!(matches!(told.recv().await, Some(StackEvent::Died { server: "nats-server", .. })));
    assert_eq!(told.recv().await, Some(StackEvent::Restarted { server: "nats-server" }));
    stack.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_is_for_one_stack_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let options = || StackOptions { state: State::Kept(folder.path().join("a state")), ..StackOptions::default() };
    let stack = Stack::boot(options()).await.unwrap();
    let refused = Stack::boot(options()).await.unwrap_err().to_string();
    assert!(refused.contains("another stack runs in it"), "{refused}");
    psql(stack.database_url(), "create table kept ()").await.unwrap();
    stack.shutdown().await.unwrap();
    let stack = Stack::boot(options()).await.unwrap();
    psql(stack.database_url(), "select from kept").await.unwrap();
    stack.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn children_die_with_a_parent_that_is_killed() {
    if std::env::var_os(AS_PARENT).is_some() {
        return boot_and_wait().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["children_die_with_a_parent_that_is_killed", "--exact", "--nocapture"]);
    command.env(AS_PARENT, "1").env("TMPDIR", folder.path());
    // PostgreSQL's user passes through the folder.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let mut parent = process::spawn(command, &folder.path().join("log"), rustix::process::Signal::KILL).unwrap();
    let ids = wait::until("the stack is booted", Duration::from_secs(60), async || {
        let log = parent_log(folder.path());
        let list = log.split_once("children [")?.1.split_once("] end")?.0.to_owned();
        Some(list.split(", ").map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| runs(*id)));
    parent.kill().unwrap();
    wait::until("all children are gone", Duration::from_secs(20), async || {
        (!ids.iter().any(|id| runs(*id))).then_some(())
    })
    .await;
}

/// What the test runs as a process of its own.
async fn boot_and_wait() {
    let stack = Stack::boot(StackOptions::default()).await.unwrap();
    let mut servers = stack.servers().await;
    let ids = [
        servers.nats.as_mut().unwrap().process().id(),
        servers.temporal.as_mut().unwrap().process().id(),
        servers.postgres.as_mut().unwrap().process().id(),
    ];
    println!("children {ids:?} end");
    std::future::pending::<()>().await;
}

fn parent_log(folder: &std::path::Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Whether a process with this id runs; one that has ended and waits to be reaped does not.
fn runs(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}
