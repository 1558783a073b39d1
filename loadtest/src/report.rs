//! What is printed: a table for people, JSON for tools.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets;
use serde::Serialize;

/// All figures of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
}

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    value: f64,
    unit: &'static str,
    /// What it is compared with, and the value divided by that.
    ratio: Option<(&'static str, f64)>,
}

impl Row {
    pub(crate) fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, ratio: None }
    }

    pub(crate) fn against(mut self, what: &'static str, other: f64) -> Self {
        self.ratio = Some((what, self.value / other));
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["NAME", "VALUE", "UNIT", "RATIO"]);
        for row in &self.rows {
            let ratio = row.ratio.map(|(what, ratio)| format!("{ratio:.2} of {what}")).unwrap_or_default();
            table.add_row([row.name.to_owned(), format!("{:.1}", row.value), row.unit.to_owned(), ratio]);
        }
        table.fmt(f)
    }
}
