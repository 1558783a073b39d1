//! `spine config show`: every setting, its value and where it comes from.

use crate::args::Global;
use crate::connect;
use crate::output;

pub(crate) fn show(global: &Global) -> anyhow::Result<()> {
    let entries = connect::config(global)?.entries();
    output::print(global.output, &entries, |entries| {
        output::table(
            &["key", "value", "from"],
            entries.iter().map(|entry| [entry.key.clone(), entry.value.to_string(), entry.origin.clone()]),
        )
    })
}
