//! Making documents current: all or nothing.

use std::collections::BTreeSet;

use serde_json::Value;
use spine_core::compatibility;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::change::{Applied, Change, Changing, Kind};
use super::manage;
use crate::{Store, StoreError, inbox, row};

/// An activity as it shall be.
#[derive(Clone, Debug)]
pub struct NewRevision {
    /// The activity's name.
    pub name: String,
    /// The hash of the document's canonical text.
    pub hash: String,
    /// The activity.
    pub document: Value,
}

/// An event type or a source as it shall be: only the last one counts, there are no revisions.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// Which of both.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The hash of the document's canonical text.
    pub hash: String,
    /// The document.
    pub document: Value,
}

/// The kinds without revisions, each with the statements that make one of them what it is.
struct Statements {
    current: &'static str,
    upsert: &'static str,
    others: &'static str,
}

const EVENT_TYPES: Statements = Statements {
    current: "select content_hash, document from event_type where name = $1",
    upsert: "insert into event_type (name, content_hash, document, updated_by) values ($1, $2, $3::json, $4)
        on conflict (name) do update set content_hash = excluded.content_hash,
            document = excluded.document, updated_by = excluded.updated_by, updated_at = now()",
    others: "select name from event_type where name <> all($1)",
};

const SOURCES: Statements = Statements {
    current: "select content_hash, document from event_source where name = $1",
    upsert: "insert into event_source (name, content_hash, document, updated_by) values ($1, $2, $3::json, $4)
        on conflict (name) do update set content_hash = excluded.content_hash,
            document = excluded.document, updated_by = excluded.updated_by, updated_at = now()",
    others: "select name from event_source where name <> all($1)",
};

/// How documents are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// What becomes of what is not among them.
    pub prune: Prune,
    /// Tell what would be done, and do nothing.
    pub dry_run: bool,
}

/// What becomes of activities, event types and sources that are not applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prune {
    /// They stay.
    #[default]
    Nothing,
    /// They are deleted.
    Everything,
    /// They are deleted, if they are among these; if one is not, nothing is done.
    Agreed(Vec<(Kind, String)>),
}

impl Store {
    /// Makes all of these current, or none: one transaction, serialised with every other change. The results
    /// stand in the order of the arguments, activities first, and after them what was pruned. Fails with
    /// [`StoreError::SameSource`] if two sources would have the same `source`, and with
    /// [`StoreError::Incompatible`] if a changed schema breaks what its event type promises.
    pub async fn apply(
        &self,
        activities: &[NewRevision],
        documents: &[NewDocument],
        by: &str,
        options: ApplyOptions,
    ) -> Result<Vec<Applied>, StoreError> {
        let named = activities.iter().map(|new| (Kind::Activity, new.name.as_str()));
        refuse_repeats(named.chain(documents.iter().map(|new| (new.kind, new.name.as_str()))))?;
        let mut changing = self.change(by, None).await?;
        for new in activities {
            apply_activity(&mut changing, new).await?;
        }
        for new in documents {
            apply_document(&mut changing, new).await?;
        }
        if options.prune != Prune::Nothing {
            let kept: Vec<String> = activities.iter().map(|new| new.name.clone()).collect();
            let others = "select name from activity where name <> all($1)";
            prune(&mut changing, Kind::Activity, others, &kept, &options.prune).await?;
            for (kind, statements) in [(Kind::EventType, EVENT_TYPES), (Kind::Source, SOURCES)] {
                let kept =
                    documents.iter().filter(|new| new.kind == kind).map(|new| new.name.clone()).collect::<Vec<_>>();
                prune(&mut changing, kind, statements.others, &kept, &options.prune).await?;
            }
        }
        refuse_same_source(changing.connection()).await?;
        if options.dry_run { changing.abandon().await } else { changing.commit().await }
    }
}

async fn prune(
    changing: &mut Changing,
    kind: Kind,
    others: &'static str,
    kept: &[String],
    agreed: &Prune,
) -> Result<(), StoreError> {
    let mut names: Vec<String> = sqlx::query_scalar(others).bind(kept).fetch_all(changing.connection()).await?;
    names.sort();
    for name in names {
        if let Prune::Agreed(agreed) = agreed
            && !agreed.contains(&(kind, name.clone()))
        {
            return Err(StoreError::NotAgreed { kind, name });
        }
        manage::delete(changing, kind, &name).await?;
    }
    Ok(())
}

async fn apply_activity(changing: &mut Changing, new: &NewRevision) -> Result<(), StoreError> {
    let by = changing.by();
    let (current, same, last) = standing(changing.connection(), new).await?;
    let mut applied = |revision: i32, change| {
        changing.note(Applied {
            kind: Kind::Activity,
            name: new.name.clone(),
            revision: Some(revision.unsigned_abs()),
            previous: current.map(i32::unsigned_abs),
            change,
        });
    };
    if let (Some(current), Some(same)) = (current, same)
        && current == same
    {
        applied(current, Change::Unchanged);
        return Ok(());
    }
    let revision = same.unwrap_or(last + 1);
    applied(revision, if current.is_none() { Change::Created } else { Change::Updated });
    if same.is_none() {
        insert_revision(changing.connection(), new, revision, &by).await?;
        inbox::register(changing.connection(), &new.name, &new.document).await?;
    }
    sqlx::query(
        "insert into activity (name, current_revision, updated_by) values ($1, $2, $3)
        on conflict (name) do update
        set current_revision = excluded.current_revision, updated_by = excluded.updated_by, updated_at = now()",
    )
    .bind(&new.name)
    .bind(revision)
    .bind(by)
    .execute(changing.connection())
    .await?;
    Ok(())
}

/// The current revision, the revision with the same content, and the last revision (0: there is none).
async fn standing(
    connection: &mut PgConnection,
    new: &NewRevision,
) -> Result<(Option<i32>, Option<i32>, i32), sqlx::Error> {
    sqlx::query_as(
        "select (select current_revision from activity where name = $1),
            (select revision from activity_revision where activity = $1 and content_hash = $2),
            (select coalesce(max(revision), 0) from activity_revision where activity = $1)",
    )
    .bind(&new.name)
    .bind(&new.hash)
    .fetch_one(connection)
    .await
}

async fn insert_revision(
    connection: &mut PgConnection,
    new: &NewRevision,
    revision: i32,
    by: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into activity_revision (activity, revision, content_hash, document, created_by)
        values ($1, $2, $3, $4::json, $5)",
    )
    .bind(&new.name)
    .bind(revision)
    .bind(&new.hash)
    .bind(row::text(&new.document)?)
    .bind(by)
    .execute(connection)
    .await?;
    Ok(())
}

async fn apply_document(changing: &mut Changing, new: &NewDocument) -> Result<(), StoreError> {
    let by = changing.by();
    let statements = if new.kind == Kind::Source { SOURCES } else { EVENT_TYPES };
    let current: Option<(String, Json<Value>)> =
        sqlx::query_as(statements.current).bind(&new.name).fetch_optional(changing.connection()).await?;
    let change = match &current {
        Some((hash, _)) if *hash == new.hash => Change::Unchanged,
        Some(_) => Change::Updated,
        None => Change::Created,
    };
    if let (Kind::EventType, Some((_, before))) = (new.kind, &current) {
        let problems = compatibility::check_change(before, &new.document);
        if !problems.is_empty() {
            return Err(StoreError::Incompatible { name: new.name.clone(), problems });
        }
    }
    if change != Change::Unchanged {
        sqlx::query(statements.upsert)
            .bind(&new.name)
            .bind(&new.hash)
            .bind(row::text(&new.document)?)
            .bind(by)
            .execute(changing.connection())
            .await?;
    }
    changing.note(Applied { kind: new.kind, name: new.name.clone(), revision: None, previous: None, change });
    Ok(())
}

/// Two documents for one source would each say who may send what, and only one could count.
async fn refuse_same_source(connection: &mut PgConnection) -> Result<(), StoreError> {
    let twice: Option<(String, Vec<String>)> = sqlx::query_as(
        r#"select document->'spec'->>'source', array_agg(name order by name collate "C")
        from event_source group by 1 having count(*) > 1 limit 1"#,
    )
    .fetch_optional(connection)
    .await?;
    twice.map_or(Ok(()), |(pattern, names)| Err(StoreError::SameSource { pattern, names: names.join(", ") }))
}

fn refuse_repeats<'a>(named: impl Iterator<Item = (Kind, &'a str)>) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for (kind, name) in named {
        if !seen.insert((kind.as_str(), name)) {
            return Err(StoreError::NamedTwice { kind: kind.as_str(), name: name.to_owned() });
        }
    }
    Ok(())
}
