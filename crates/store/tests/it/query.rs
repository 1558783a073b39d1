use std::ops::Deref;
use std::time::Duration;

use serde_json::{Value, json};
use spine_store::{MAX_BYTES, QueryDatabase, QueryError};
use sqlx::{Connection as _, PgConnection};

use crate::support::Database;

const SECOND: Duration = Duration::from_secs(1);

/// A database with customers, and the server that it is on.
struct Shop {
    queries: QueryDatabase,
    database: Database,
}

impl Deref for Shop {
    type Target = QueryDatabase;

    fn deref(&self) -> &QueryDatabase {
        &self.queries
    }
}

async fn shop() -> Shop {
    let database = Database::start().await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql(
        "create table customer (id int, name text, big bigint, price numeric, vip boolean, tags text[],
            data jsonb, raw json, at timestamptz, uid uuid, score float8, code varchar(9));
        insert into customer values (1, 'o''brien \\ x', 9007199254740993, 9.90, true, '{a,b}', '{\"a\": 1}', '[1]',
            '2026-01-02T03:04:05+02', '6f9619ff-8b86-d011-b42d-00cf4fc964ff', 0.5, 'c1'),
            (2, 'ann', null, null, false, '{}', '\"text\"', null, null, null, null, null)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    Shop { queries: QueryDatabase::connect_lazy(database.url()).unwrap(), database }
}

#[tokio::test]
async fn arguments_become_what_their_columns_are() {
    let shop = shop().await;
    let cases = [
        ("name = $1", json!(["o'brien \\ x"])),
        ("id = $1", json!([1])),
        ("id = $1", json!(["1"])),
        ("big = $1", json!([9_007_199_254_740_993_i64])),
        ("price = $1", json!([9.9])),
        ("vip = $1", json!([true])),
        ("score = $1", json!([0.5])),
        ("tags = $1", json!([["a", "b"]])),
        ("id = any($1) and vip", json!([[1, 2]])),
        ("name = any($1)", json!([["o'brien \\ x", "\"", "{}"]])),
        ("data = $1", json!([{"a": 1}])),
        ("data @> $1", json!([{"a": 1}])),
        ("at = $1", json!(["2026-01-02T01:04:05Z"])),
        ("uid = $1", json!(["6f9619ff-8b86-d011-b42d-00cf4fc964ff"])),
        ("code = $1 and id = $2", json!(["c1", 1])),
        ("$1::text is null and id = $2", json!([null, 1])),
        ("id = 1", json!([])),
    ];
    for (condition, args) in cases {
        let sql = format!("select id from customer where {condition}");
        let rows = shop.query(&sql, args.as_array().unwrap(), SECOND, MAX_BYTES).await;
        assert_eq!(rows.unwrap_or_else(|e| panic!("{condition}: {e:?}")), json!([{"id": 1}]), "{condition}");
    }
    let text =
        shop.query("select id from customer where data = $1", &[json!("text")], SECOND, MAX_BYTES).await.unwrap();
    assert_eq!(text, json!([{"id": 2}]));
}

#[tokio::test]
async fn rows_come_back_as_objects() {
    let shop = shop().await;
    let sql = "select id, name, price, tags, at, data from customer order by id desc; -- the newest first";
    let error = shop.query(sql, &[], SECOND, MAX_BYTES).await.unwrap_err();
    assert!(matches!(error, QueryError::Database(_)), "a comment after the semicolon is not patched away");
    let sql = "with c as (select * from customer)\nselect id, price, tags, at from c order by id ;\n";
    let rows = shop.query(sql, &[], SECOND, MAX_BYTES).await.unwrap();
    let expected = json!([
        {"id": 1, "price": 9.90, "tags": ["a", "b"], "at": "2026-01-02T01:04:05+00:00"},
        {"id": 2, "price": null, "tags": [], "at": null},
    ]);
    assert_eq!(rows, expected);
    let commented = shop.query("select 1 as one -- really", &[], SECOND, MAX_BYTES).await.unwrap();
    assert_eq!(commented, json!([{"one": 1}]));
}

#[tokio::test]
async fn nothing_can_be_written_and_no_statement_added() {
    let shop = shop().await;
    create_writer(&shop).await;
    let attempts = [
        "delete from customer returning id",
        "with d as (delete from customer returning id) select * from d",
        "select 1) q; commit; delete from customer; select (select 1",
        "select 1) q; delete from customer --",
        "select set_config('transaction_read_only', 'off', true)",
        "select writes()",
        "select * from customer for update",
    ];
    for sql in attempts {
        let error = shop.query(sql, &[], SECOND, MAX_BYTES).await.unwrap_err();
        assert!(matches!(&error, QueryError::Database(_)), "{sql}: {error:?}");
        assert!(!error.is_transient(), "{sql}");
    }
    let injected = json!("'; delete from customer; --");
    assert_eq!(
        shop.query("select id from customer where name = $1", &[injected], SECOND, MAX_BYTES).await.unwrap(),
        json!([])
    );
    let left = shop.query("select count(*) as n from customer", &[], SECOND, MAX_BYTES).await.unwrap();
    assert_eq!(left, json!([{"n": 2}]));
}

/// A function that writes, for a query that looks harmless.
async fn create_writer(shop: &Shop) {
    let mut connection = PgConnection::connect(shop.database.url()).await.unwrap();
    let create = "create function writes() returns int language sql as 'delete from customer returning id'";
    sqlx::query(create).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn what_is_too_much_has_a_name() {
    let shop = shop().await;
    let rows = "select g from generate_series(1, $1) g";
    let full = shop.query(rows, &[json!(1000)], SECOND * 5, MAX_BYTES).await.unwrap();
    assert_eq!(full.as_array().map(Vec::len), Some(1000));
    let error = |sql: &'static str, args: Vec<Value>| {
        let shop = shop.clone();
        async move { shop.query(sql, &args, SECOND, MAX_BYTES).await.unwrap_err() }
    };
    assert!(matches!(error(rows, vec![json!(1001)]).await, QueryError::TooManyRows));
    for wide in ["select repeat('x', 5000000) as x", "select repeat('x', 1500000) as x from generate_series(1, 3)"] {
        assert!(matches!(error(wide, vec![]).await, QueryError::TooManyBytes(_)), "{wide}");
    }
    assert!(matches!(error("select pg_sleep(60)", vec![]).await, QueryError::TimedOut(_)));
    let count = error("select $1::int + $2::int as n", vec![json!(1)]).await;
    assert!(matches!(count, QueryError::ArgumentCount { wanted: 2, given: 1 }));
    let kind = error("select id from customer where id = $1", vec![json!("x")]).await;
    assert!(matches!(kind, QueryError::Database(_)) && !kind.is_transient());
    assert_eq!(shop.query("select 1 as one", &[], SECOND, MAX_BYTES).await.unwrap(), json!([{"one": 1}]));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_transient() {
    let nowhere = QueryDatabase::connect_lazy("postgres://postgres@127.0.0.1:1/none").unwrap();
    assert!(nowhere.query("select 1", &[], Duration::from_millis(100), MAX_BYTES).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_statement_is_done_once_for_its_key() {
    let shop = shop().await;
    let add = "insert into customer (id, name) values ($1, $2) returning id, name -- the new one";
    let first = shop.perform("a", add, &[json!(7), json!("eve")], SECOND).await.unwrap();
    assert_eq!(first, json!({"rowsAffected": 1, "rows": [{"id": 7, "name": "eve"}]}));
    assert_eq!(shop.perform("a", add, &[json!(7), json!("eve")], SECOND).await.unwrap(), first);
    assert_eq!(count(&shop, "name = 'eve'").await, 1);
    let raise = "update customer set score = coalesce(score, 0) + 1 where id = any($1);";
    let done = shop.perform("b", raise, &[json!([1, 2])], SECOND).await.unwrap();
    assert_eq!(done, json!({"rowsAffected": 2, "rows": []}));
    let with = "with old as (select id from customer where id = $1) delete from customer using old
        where customer.id = old.id";
    assert_eq!(shop.perform("c", with, &[json!(7)], SECOND).await.unwrap()["rowsAffected"], 1);
    assert_eq!(count(&shop, "name = 'eve'").await, 0);
    // Many at once, half of them under one key: 21 keys, so 21 times, and once before.
    let keys = (0..40).map(|n| if n % 2 == 0 { "same".to_owned() } else { format!("own-{n}") });
    let many = keys.map(|key| {
        let shop = &shop;
        async move { shop.perform(&key, raise, &[json!([2])], SECOND * 20).await }
    });
    let many = futures::future::join_all(many).await;
    assert!(many.iter().all(Result::is_ok), "{many:?}");
    assert_eq!(count(&shop, "id = 2 and score = 22").await, 1);
}

#[tokio::test]
async fn a_statement_that_fails_leaves_nothing() {
    let shop = shop().await;
    let error = async |sql: &str| shop.perform("k", sql, &[], SECOND).await.unwrap_err();
    let many = "insert into customer (id) select n from generate_series(100, 3000) n returning id";
    assert!(matches!(error(many).await, QueryError::TooManyRows));
    assert!(matches!(
        error("insert into customer (id) values (9) returning repeat('x', 300000)").await,
        QueryError::TooManyBytes(_)
    ));
    for refused in
        ["delete from customer; select 1", "drop table customer", "commit", "insert into nowhere values (1)", ""]
    {
        let error = error(refused).await;
        assert!(matches!(error, QueryError::Database(_)) && !error.is_transient(), "{refused}: {error:?}");
    }
    let slow = shop.perform("k", "select pg_sleep(60)", &[], SECOND / 10).await.unwrap_err();
    assert!(matches!(slow, QueryError::TimedOut(_)) && slow.is_transient());
    assert_eq!(count(&shop, "true").await, 2);
    // The key is still free.
    assert_eq!(shop.perform("k", "delete from customer where id = 1", &[], SECOND).await.unwrap()["rowsAffected"], 1);
}

#[tokio::test]
async fn a_role_that_may_not_make_the_table_is_told_what_to_run() {
    let shop = shop().await;
    let mut connection = PgConnection::connect(shop.database.url()).await.unwrap();
    sqlx::raw_sql(
        "create role clerk login; revoke create on schema public from public; grant all on customer to clerk",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let url = shop.database.url();
    let clerk = format!("{url}{}user=clerk", if url.contains('?') { '&' } else { '?' });
    let clerk = QueryDatabase::connect_lazy(&clerk).unwrap();
    let error = clerk.perform("k", "delete from customer", &[], SECOND).await.unwrap_err();
    assert!(error.to_string().contains("create table if not exists spine_effect"), "{error}");
    assert_eq!(count(&shop, "true").await, 2);
}

async fn count(shop: &Shop, condition: &str) -> i64 {
    let rows = shop
        .query(&format!("select count(*) as n from customer where {condition}"), &[], SECOND, MAX_BYTES)
        .await
        .unwrap();
    rows[0]["n"].as_i64().unwrap()
}
