//! Prints data to stdout: a table for people, JSON or YAML for tools.

use std::io::Write;

use anyhow::Context as _;
use clap::ValueEnum;
use comfy_table::Table;
use comfy_table::presets;
use serde::Serialize;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// Prints `data`, or for people what `table` makes of it.
pub(crate) fn print<T: Serialize>(format: Format, data: &T, table: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => table(data),
        Format::Json => serde_json::to_string_pretty(data)?,
        Format::Yaml => serde_norway::to_string(data)?,
    };
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()) {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("print to stdout"),
    }
}

/// A table with these columns.
pub(crate) fn table<R: IntoIterator<Item = String>>(header: &[&str], rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        // What stands in a cell may come from an event: it must not steer the terminal.
        table.add_row(row.into_iter().map(|cell| clip(&cell, usize::MAX)).collect::<Vec<_>>());
    }
    let text = table.to_string();
    text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A time as people read it: `2026-11-23 10:15:00`, UTC.
pub(crate) fn when(time: time::OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    format!("{} {:02}:{:02}:{:02}", time.date(), time.hour(), time.minute(), time.second())
}

/// A span of time as people read it: `1.234 s`, `2m05s`, `3h00m10s`, `2d04h00m00s`.
pub(crate) fn span(span: time::Duration) -> String {
    let seconds = span.whole_seconds();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match () {
        () if seconds < 60 => format!("{:.3} s", span.as_seconds_f64()),
        () if seconds < 3600 => format!("{minutes}m{:02}s", seconds % 60),
        () if days == 0 => format!("{hours}h{minutes:02}m{:02}s", seconds % 60),
        () => format!("{days}d{hours:02}h{minutes:02}m{:02}s", seconds % 60),
    }
}

/// A text on one line, cut after so many characters, without what a terminal would obey.
pub(crate) fn clip(text: &str, most: usize) -> String {
    let mut plain = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut clipped: String = plain.by_ref().take(most).collect();
    if plain.next().is_some() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn a_cell_does_not_steer_the_terminal() {
        let text = table(&["title"], [["a\nb\u{1b}[31mred".to_owned()]]);
        assert_eq!(text, "TITLE\na\u{fffd}b\u{fffd}[31mred");
    }

    #[test]
    fn spans_are_as_fine_as_they_are_short() {
        let check =
            |milliseconds: i64, expected: &str| assert_eq!(span(Duration::milliseconds(milliseconds)), expected);
        check(0, "0.000 s");
        check(59_999, "59.999 s");
        check(125_000, "2m05s");
        check(10_810_000, "3h00m10s");
        check(187_200_000, "2d04h00m00s");
    }

    #[test]
    fn a_text_is_cut_and_harmless() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü!", 3), "äöü…");
        assert_eq!(clip("a\u{1b}[31m\nb", 10), "a\u{fffd}[31m\u{fffd}b");
    }
}
