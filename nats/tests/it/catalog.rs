use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use spine_core::catalog::{ActivityEntry, CatalogState};
use spine_nats::catalog::{Catalog, CatalogError, Written};
use tokio::time::timeout;

use crate::server::Server;

fn state(version: u64, hashes: &[&str]) -> CatalogState {
    let entry =
        |hash: &&str| ActivityEntry { name: format!("a-{hash}"), revision: 1, hash: (*hash).into(), enabled: true };
    CatalogState { version, activities: hashes.iter().map(entry).collect(), ..CatalogState::default() }
}

fn documents(hashes: &[&str]) -> Vec<(String, Value)> {
    hashes.iter().map(|hash| ((*hash).to_owned(), json!({"is": hash}))).collect()
}

async fn version(heads: &mut BoxStream<'static, CatalogState>) -> u64 {
    timeout(Duration::from_secs(20), heads.next()).await.expect("a head").unwrap().version
}

#[tokio::test]
async fn documents_come_before_the_head_and_go_after_it() {
    let server = Server::start().await;
    let catalog = Catalog::new(server.jetstream().await);
    let mut writer = catalog.writer();
    assert_eq!(catalog.state().await.unwrap(), None);
    let one = state(1, &["sha256:a", "sha256:b"]);
    assert_eq!(writer.missing(&one).await.unwrap(), ["sha256:a", "sha256:b"]);
    let written = writer.write(&one, &documents(&["sha256:a", "sha256:b"])).await.unwrap();
    assert_eq!(written, Written { changed: true, stored: 3, retired: 0 });
    assert_eq!(writer.write(&one, &[]).await.unwrap(), Written { changed: false, stored: 0, retired: 0 });

    let two = state(2, &["sha256:b", "sha256:c"]);
    assert_eq!(writer.missing(&two).await.unwrap(), ["sha256:c"]);
    let written = writer.write(&two, &documents(&["sha256:c"])).await.unwrap();
    assert_eq!(written, Written { changed: true, stored: 2, retired: 2 });
    assert_eq!(catalog.documents(vec!["sha256:c".into()]).await.unwrap(), documents(&["sha256:c"]));
    assert!(matches!(catalog.documents(vec!["sha256:a".into()]).await, Err(CatalogError::Missing(_))));
    assert_eq!(catalog.state().await.unwrap(), Some(two));
}

#[tokio::test]
async fn what_was_deleted_by_hand_is_stored_again() {
    let server = Server::start().await;
    let jetstream = server.jetstream().await;
    let catalog = Catalog::new(jetstream.clone());
    let mut writer = catalog.writer();
    let one = state(1, &["sha256:a"]);
    writer.write(&one, &documents(&["sha256:a"])).await.unwrap();
    jetstream.get_key_value("spine-catalog").await.unwrap().purge("document.a").await.unwrap();
    assert!(catalog.documents(vec!["sha256:a".into()]).await.is_err());
    writer.forget();
    assert_eq!(writer.missing(&one).await.unwrap(), ["sha256:a"]);
    let written = writer.write(&one, &documents(&["sha256:a"])).await.unwrap();
    assert_eq!(written, Written { changed: false, stored: 1, retired: 0 });
    assert!(catalog.documents(vec!["sha256:a".into()]).await.is_ok());
}

#[tokio::test]
async fn a_follower_sees_every_state_and_survives_the_broker() {
    let mut server = Server::start().await;
    let catalog = Catalog::new(server.jetstream().await);
    let mut writer = catalog.writer();
    let mut heads = catalog.watch();
    assert!(timeout(Duration::from_millis(300), heads.next()).await.is_err(), "there is none yet");
    writer.write(&state(1, &[]), &[]).await.unwrap();
    assert_eq!(version(&mut heads).await, 1);
    writer.write(&state(2, &[]), &[]).await.unwrap();
    assert_eq!(version(&mut heads).await, 2);
    server.kill();
    server.restart().await;
    while writer.write(&state(3, &[]), &[]).await.is_err() {}
    assert_eq!(version(&mut heads).await, 3);
}

#[tokio::test]
async fn a_change_in_a_large_catalog_rewrites_one_page_and_one_document() {
    let server = Server::start().await;
    let catalog = Catalog::new(server.jetstream().await);
    let mut writer = catalog.writer();
    let hashes: Vec<String> = (0..20_000).map(|n| format!("sha256:{n:06}")).collect();
    let names: Vec<&str> = hashes.iter().map(String::as_str).collect();
    let mut large = state(1, &names);
    writer.write(&large, &documents(&names)).await.unwrap();
    assert_eq!(catalog.state().await.unwrap().as_ref(), Some(&large));

    (large.version, large.activities[77].hash) = (2, "sha256:changed".into());
    // A writer that knows nothing yet finds out what there is.
    let mut other = catalog.writer();
    assert_eq!(other.missing(&large).await.unwrap(), ["sha256:changed"]);
    let written = other.write(&large, &documents(&["sha256:changed"])).await.unwrap();
    assert_eq!(written, Written { changed: true, stored: 2, retired: 2 });
    assert_eq!(catalog.state().await.unwrap(), Some(large));
}
