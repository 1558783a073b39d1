//! `spine get`: lists what the registry holds.

use spine_store::{DocumentRow, Kind};

use crate::args::{Get, Global};
use crate::commands::kind;
use crate::{connect, output};

pub(crate) async fn run(global: &Global, options: &Get) -> anyhow::Result<()> {
    let kind = kind::named(&options.kind)?;
    let store = connect::store(&connect::config(global)?).await?;
    match kind {
        Kind::Activity => output::print(global.output, &store.list_activities().await?, |rows| {
            output::table(
                &["name", "revision", "enabled", "updated", "by"],
                rows.iter().map(|row| {
                    [
                        row.name.clone(),
                        row.revision.to_string(),
                        row.enabled.to_string(),
                        output::when(row.updated_at),
                        row.updated_by.clone(),
                    ]
                }),
            )
        }),
        Kind::EventType => output::print(global.output, &store.list_event_types().await?, |rows| table(rows)),
        Kind::Source => output::print(global.output, &store.list_sources().await?, |rows| table(rows)),
    }
}

/// Event types or sources, as people read them.
fn table(rows: &[DocumentRow]) -> String {
    let rows = rows.iter().map(|row| [row.name.clone(), output::when(row.updated_at), row.updated_by.clone()]);
    output::table(&["name", "updated", "by"], rows)
}
