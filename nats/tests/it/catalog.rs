use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use spine_core::catalog::{ActivityEntry, CatalogHead};
use spine_nats::catalog::{Catalog, CatalogError, Written};
use tokio::time::timeout;

use crate::server::Server;

fn head(version: u64, hashes: &[&str]) -> CatalogHead {
    let entry =
        |hash: &&str| ActivityEntry { name: format!("a-{hash}"), revision: 1, hash: (*hash).into(), enabled: true };
    CatalogHead { version, activities: hashes.iter().map(entry).collect(), event_types: Vec::new() }
}

fn documents(hashes: &[&str]) -> Vec<(String, Value)> {
    hashes.iter().map(|hash| ((*hash).to_owned(), json!({"is": hash}))).collect()
}

async fn version(heads: &mut BoxStream<'static, CatalogHead>) -> u64 {
    timeout(Duration::from_secs(20), heads.next()).await.expect("a head").unwrap().version
}

#[tokio::test]
async fn documents_come_before_the_head_and_go_after_it() {
    let server = Server::start().await;
    let catalog = Catalog::new(server.jetstream().await);
    assert_eq!(catalog.head().await.unwrap(), None);
    let one = head(1, &["sha256:a", "sha256:b"]);
    assert_eq!(catalog.missing(&one).await.unwrap(), ["sha256:a", "sha256:b"]);
    let written = catalog.write(&one, &documents(&["sha256:a", "sha256:b"])).await.unwrap();
    assert_eq!(written, Written { changed: true, stored: 2, retired: 0 });
    assert_eq!(catalog.write(&one, &[]).await.unwrap(), Written { changed: false, stored: 0, retired: 0 });

    let two = head(2, &["sha256:b", "sha256:c"]);
    assert_eq!(catalog.missing(&two).await.unwrap(), ["sha256:c"]);
    let written = catalog.write(&two, &documents(&["sha256:c"])).await.unwrap();
    assert_eq!(written, Written { changed: true, stored: 1, retired: 1 });
    assert_eq!(catalog.document("sha256:c").await.unwrap(), json!({"is": "sha256:c"}));
    assert!(matches!(catalog.document("sha256:a").await, Err(CatalogError::Missing(_))));
    assert_eq!(catalog.head().await.unwrap(), Some(two));
}

#[tokio::test]
async fn a_follower_sees_every_state_and_survives_the_broker() {
    let mut server = Server::start().await;
    let catalog = Catalog::new(server.jetstream().await);
    let mut heads = catalog.watch();
    assert!(timeout(Duration::from_millis(300), heads.next()).await.is_err(), "there is none yet");
    catalog.write(&head(1, &[]), &[]).await.unwrap();
    assert_eq!(version(&mut heads).await, 1);
    catalog.write(&head(2, &[]), &[]).await.unwrap();
    assert_eq!(version(&mut heads).await, 2);
    server.kill();
    server.restart().await;
    while catalog.write(&head(3, &[]), &[]).await.is_err() {}
    assert_eq!(version(&mut heads).await, 3);
}
