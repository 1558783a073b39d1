use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use spine_core::canonical;
use spine_store::{ApplyOptions, Change, Kind, NewDocument, NewRevision, Prune, Store, StoreError};
use spine_testkit::postgres::psql;
use tokio::task::JoinSet;

use crate::support::{Database, store};

const APPLY: ApplyOptions = ApplyOptions { prune: Prune::Nothing, dry_run: false };
const DRY_RUN: ApplyOptions = ApplyOptions { prune: Prune::Nothing, dry_run: true };

fn activity(name: &str, document: Value) -> NewRevision {
    NewRevision { name: name.into(), hash: canonical::hash(&document), document }
}

fn event_type(name: &str, document: Value) -> NewDocument {
    NewDocument { kind: Kind::EventType, name: name.into(), hash: canonical::hash(&document), document }
}

#[tokio::test]
async fn applying_again_changes_nothing_and_an_older_content_becomes_current_again() {
    let store = store().await;
    let (one, two) = (activity("fulfil", json!({"v": 1})), activity("fulfil", json!({"v": 2, "n": 1e2})));
    let types = [event_type("com.shop.order.placed", json!({"schema": true}))];
    let steps = [
        (&one, Change::Created, 1, 1),
        (&one, Change::Unchanged, 1, 1),
        (&two, Change::Updated, 2, 2),
        (&one, Change::Updated, 1, 3),
        (&two, Change::Updated, 2, 4),
    ];
    for (new, change, revision, version) in steps {
        let applied = store.apply(std::slice::from_ref(new), &types, "tester", APPLY).await.unwrap();
        assert_eq!((applied[0].change, applied[0].revision), (change, Some(revision)));
        assert_eq!(store.registry_version().await.unwrap(), version);
    }
    let current = store.current_revision("fulfil").await.unwrap().unwrap();
    assert_eq!((current.revision, &current.document, current.enabled), (2, &two.document, true));
    assert_eq!(canonical::hash(&current.document), current.hash);
    assert_eq!(store.revision("fulfil", 1).await.unwrap().unwrap().document, one.document);
    assert!(store.revision("fulfil", 3).await.unwrap().is_none());

    let head = store.catalog_state().await.unwrap();
    assert_eq!((head.version, head.activities.len(), head.event_types.len()), (4, 1, 1));
    assert_eq!(head.activities[0].hash, two.hash);
    let documents = store.documents(&[two.hash.clone(), types[0].hash.clone()]).await.unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(store.list_activities().await.unwrap()[0].revision, 2);
    assert_eq!(store.list_event_types().await.unwrap()[0].name, "com.shop.order.placed");
}

#[tokio::test]
async fn a_dry_run_tells_and_does_nothing_and_a_name_given_twice_is_refused() {
    let store = store().await;
    let new = activity("fulfil", json!({}));
    let applied = store.apply(std::slice::from_ref(&new), &[], "tester", DRY_RUN).await.unwrap();
    assert_eq!((applied[0].change, applied[0].revision), (Change::Created, Some(1)));
    assert_eq!(store.catalog_state().await.unwrap(), Default::default());
    let error = store.apply(&[new.clone(), new], &[], "tester", APPLY).await.unwrap_err();
    assert!(matches!(error, StoreError::NamedTwice { .. }));
}

#[tokio::test]
async fn parallel_applies_lose_nothing_and_leave_no_gap() {
    let store = store().await;
    let mut changes = store.registry_changes().await.unwrap();
    let mut applies = JoinSet::new();
    for i in 0..20 {
        let store = store.clone();
        applies.spawn(async move {
            let new = [activity("shared", json!({"i": i})), activity(&format!("own-{i}"), json!({"i": i}))];
            store.apply(&new, &[], "tester", APPLY).await.unwrap()[0].revision.unwrap()
        });
    }
    let revisions: BTreeSet<u32> = applies.join_all().await.into_iter().collect();
    assert_eq!(revisions, (1..=20).collect());
    let head = store.catalog_state().await.unwrap();
    assert_eq!((head.version, head.activities.len()), (20, 21));
    let seen = tokio::time::timeout(Duration::from_secs(5), changes.wait(19)).await.unwrap().unwrap();
    assert_eq!(seen, 20);
}

#[tokio::test]
async fn migrating_twice_at_once_is_safe() {
    let store = store().await;
    let (one, two) = tokio::join!(store.migrate(), store.migrate());
    one.unwrap();
    two.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn disabled_rolled_back_deleted_and_applied_again_each_leaves_a_line() {
    let store = store().await;
    let (one, two) = (activity("fulfil", json!({"v": 1})), activity("fulfil", json!({"v": 2})));
    for new in [&one, &two] {
        store.apply(std::slice::from_ref(new), &[], "ada", APPLY).await.unwrap();
    }
    let name = ["fulfil".to_owned()];
    let changes = store.set_enabled(&name, false, "bob", Some("it hurts")).await.unwrap();
    assert_eq!((changes[0].change, changes[0].revision), (Change::Disabled, Some(2)));
    assert_eq!(store.set_enabled(&name, false, "bob", None).await.unwrap()[0].change, Change::Unchanged);
    assert!(!store.catalog_state().await.unwrap().activities[0].enabled);
    // A new revision of a disabled activity leaves it disabled.
    let rolled = store.rollback("fulfil", None, "bob", None).await.unwrap();
    assert_eq!((rolled.change, rolled.previous, rolled.revision), (Change::RolledBack, Some(2), Some(1)));
    assert!(!store.current_revision("fulfil").await.unwrap().unwrap().enabled);
    assert_eq!(store.rollback("fulfil", Some(1), "bob", None).await.unwrap().change, Change::Unchanged);
    assert_eq!(store.delete(Kind::Activity, &name, "bob", None).await.unwrap()[0].change, Change::Deleted);
    assert!(store.current_revision("fulfil").await.unwrap().is_none());
    assert_eq!(store.revision("fulfil", 2).await.unwrap().unwrap().document, two.document);

    let three = activity("fulfil", json!({"v": 3}));
    let again = store.apply(&[three], &[], "ada", APPLY).await.unwrap();
    assert_eq!((again[0].change, again[0].revision), (Change::Created, Some(3)));
    assert!(store.current_revision("fulfil").await.unwrap().unwrap().enabled);

    let history = store.history("fulfil").await.unwrap();
    let actions: Vec<&str> = history.changes.iter().map(|change| change.action.as_str()).collect();
    assert_eq!(actions, ["created", "deleted", "rolled_back", "disabled", "updated", "created"]);
    assert_eq!((history.changes[3].by.as_str(), history.changes[3].reason.as_deref()), ("bob", Some("it hurts")));
    let versions: Vec<u64> = history.changes.iter().map(|change| change.version).collect();
    assert_eq!(versions, [6, 5, 4, 3, 2, 1]);
    let revisions: Vec<(u32, bool)> = history.revisions.iter().map(|one| (one.revision, one.current)).collect();
    assert_eq!(revisions, [(3, true), (2, false), (1, false)]);
}

#[tokio::test]
async fn rolling_back_goes_to_what_was_current_before() {
    let store = store().await;
    for v in 1..=3 {
        store.apply(&[activity("fulfil", json!({"v": v}))], &[], "ada", APPLY).await.unwrap();
    }
    let to = |revision: Option<u32>| store.rollback("fulfil", revision, "ada", None);
    assert_eq!(to(Some(1)).await.unwrap().revision, Some(1));
    // Before revision 1 was rolled back to, 3 was current.
    assert_eq!(to(None).await.unwrap().revision, Some(3));
    assert!(matches!(to(Some(9)).await, Err(StoreError::NoRevision { revision: Some(9), .. })));
    let new = activity("other", json!({}));
    store.apply(&[new], &[], "ada", APPLY).await.unwrap();
    let error = store.rollback("other", None, "ada", None).await.unwrap_err();
    assert!(matches!(error, StoreError::NoRevision { revision: None, .. }), "{error}");
}

#[tokio::test]
async fn one_unknown_name_leaves_everything_as_it_was() {
    let store = store().await;
    store.apply(&[activity("fulfil", json!({}))], &[], "ada", APPLY).await.unwrap();
    let names = ["fulfil".to_owned(), "nobody".to_owned()];
    let disabled = store.set_enabled(&names, false, "ada", None).await;
    assert!(matches!(disabled, Err(StoreError::Unknown { name, .. }) if name == "nobody"));
    assert!(store.delete(Kind::Activity, &names, "ada", None).await.is_err());
    assert!(store.delete(Kind::EventType, &names[1..], "ada", None).await.is_err());
    assert!(store.current_revision("fulfil").await.unwrap().unwrap().enabled);
    assert_eq!(store.registry_version().await.unwrap(), 1);
}

#[tokio::test]
async fn pruning_deletes_what_is_not_applied() {
    let store = store().await;
    let all = [activity("a", json!({})), activity("b", json!({}))];
    let types = [event_type("com.x", json!({"x": 1})), event_type("com.y", json!({"y": 1}))];
    store.apply(&all, &types, "ada", APPLY).await.unwrap();
    let told = ApplyOptions { prune: Prune::Everything, dry_run: true };
    let told = store.apply(&all[..1], &types[..1], "ada", told).await.unwrap();
    let told: Vec<(&str, Change)> = told.iter().map(|one| (one.name.as_str(), one.change)).collect();
    let (same, gone) = (Change::Unchanged, Change::Deleted);
    assert_eq!(told, [("a", same), ("com.x", same), ("b", gone), ("com.y", gone)]);
    assert_eq!(store.catalog_state().await.unwrap().activities.len(), 2);
    let mut agreed = vec![(Kind::Activity, "b".to_owned())];
    let prune = |agreed: &[(Kind, String)]| ApplyOptions { prune: Prune::Agreed(agreed.to_vec()), dry_run: false };
    let error = store.apply(&all[..1], &types[..1], "ada", prune(&agreed)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotAgreed { name, .. } if name == "com.y"));
    assert_eq!(store.registry_version().await.unwrap(), 1, "all or nothing");
    agreed.push((Kind::EventType, "com.y".to_owned()));
    store.apply(&all[..1], &types[..1], "ada", prune(&agreed)).await.unwrap();
    let state = store.catalog_state().await.unwrap();
    assert_eq!((state.version, state.activities.len(), state.event_types.len()), (2, 1, 1));
}

/// A line of the log: version, name, action, the current revision before and after.
type Line = (u64, String, String, Option<u32>, Option<u32>);

/// One writer among many: what it does follows from its number.
async fn disturb(store: Store, writer: u32) {
    for step in 0..6 {
        let name = ["red", "green", "blue"][((writer + step) % 3) as usize];
        let one = [name.to_owned()];
        let result = match (writer * 7 + step) % 6 {
            0 => store.set_enabled(&one, false, "writer", None).await.map(drop),
            1 => store.set_enabled(&one, true, "writer", None).await.map(drop),
            2 => store.rollback(name, None, "writer", None).await.map(drop),
            3 if step == 3 => store.delete(Kind::Activity, &one, "writer", None).await.map(drop),
            _ => {
                let own = format!("own-{writer}");
                let new = [activity(name, json!({"v": (writer + step) % 5})), activity(&own, json!({"v": step}))];
                store.apply(&new, &[], "writer", APPLY).await.map(drop)
            }
        };
        match result {
            Ok(()) | Err(StoreError::Unknown { .. } | StoreError::NoRevision { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_are_as_if_they_had_come_one_after_the_other() {
    let database = Database::start().await;
    // Two processes, as far as the database can tell.
    let stores = [Store::connect(database.url()).await.unwrap(), Store::connect(database.url()).await.unwrap()];
    stores[0].migrate().await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..24 {
        writers.spawn(disturb(stores[(writer % 2) as usize].clone(), writer));
    }
    writers.join_all().await;

    let columns =
        "select json_agg(json_build_array(version, name, action, previous, revision) order by id) from registry_change";
    let rows = psql(database.url(), columns).await.unwrap();
    let rows: Vec<Line> = serde_json::from_str(&rows).unwrap();
    let version = stores[0].registry_version().await.unwrap();
    let logged: BTreeSet<u64> = rows.iter().map(|row| row.0).collect();
    assert_eq!(logged, (1..=version).collect(), "each version is one change, and none is missing");
    let mut replayed = BTreeMap::new();
    for (version, name, action, from, to) in rows {
        let before: Option<(u32, bool)> = replayed.get(&name).copied();
        assert_eq!(before.map(|(revision, _)| revision), from, "version {version}, {name}");
        match (to, action.as_str()) {
            (None, _) => replayed.remove(&name),
            (Some(to), "enabled") => replayed.insert(name, (to, true)),
            (Some(to), "disabled") => replayed.insert(name, (to, false)),
            (Some(to), _) => replayed.insert(name, (to, before.is_none_or(|(_, enabled)| enabled))),
        };
    }
    let standing =
        stores[1].list_activities().await.unwrap().into_iter().map(|row| (row.name, (row.revision, row.enabled)));
    assert_eq!(standing.collect::<BTreeMap<_, _>>(), replayed, "the log, replayed, gives what is there");
    assert!(psql(database.url(), "delete from registry_change").await.is_err(), "the log is append-only");
}

#[tokio::test]
async fn two_documents_for_one_source_are_refused() {
    let store = store().await;
    let source = |name: &str, source: &str| {
        let document = json!({"metadata": {"name": name}, "spec": {"source": source}});
        NewDocument { kind: Kind::Source, name: name.into(), hash: canonical::hash(&document), document }
    };
    store.apply(&[], &[source("a", "/shop"), source("b", "/till")], "ada", APPLY).await.unwrap();
    assert_eq!(store.catalog_state().await.unwrap().sources.len(), 2);
    assert_eq!(store.list_sources().await.unwrap()[1].name, "b");
    let error = store.apply(&[], &[source("c", "/till")], "ada", APPLY).await.unwrap_err();
    assert!(matches!(&error, StoreError::SameSource { names, .. } if names == "b, c"), "{error}");
    // They may change places, since only the end counts.
    store.apply(&[], &[source("a", "/till"), source("b", "/shop")], "ada", APPLY).await.unwrap();
    let pruned = ApplyOptions { prune: Prune::Everything, dry_run: false };
    let applied = store.apply(&[], &[source("a", "/till")], "ada", pruned).await.unwrap();
    assert_eq!((applied[1].kind, applied[1].name.as_str(), applied[1].change), (Kind::Source, "b", Change::Deleted));
}

#[tokio::test]
async fn a_schema_that_breaks_its_mode_is_refused_with_everything_beside_it() {
    let store = store().await;
    let order = |mode: &str, total: &str| {
        let schema = json!({"type": "object", "properties": {"total": {"type": total}}});
        event_type("com.shop.order", json!({"spec": {"compatibility": mode, "schema": schema}}))
    };
    store.apply(&[], &[order("backward", "integer")], "ada", APPLY).await.unwrap();
    store.apply(&[], &[order("backward", "number")], "ada", APPLY).await.unwrap();
    let beside = [activity("fulfil", json!({}))];
    for mode in ["backward", "none"] {
        let error = store.apply(&beside, &[order(mode, "integer")], "ada", APPLY).await.unwrap_err();
        let place = "not backward compatible: spec.schema.properties.total: the new schema has no fraction";
        assert!(error.to_string().contains(place), "{error}");
    }
    assert!(store.list_activities().await.unwrap().is_empty());
    // Who means it says so first.
    store.apply(&[], &[order("none", "number")], "ada", APPLY).await.unwrap();
    store.apply(&beside, &[order("none", "integer")], "ada", APPLY).await.unwrap();
}
