//! Tables for people and files for machines.

use crate::Result;
use crate::tools::root;
use serde::Serialize;
use std::fmt::Write;
use std::fs;

/// A table of text with a line of names.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new<S: ToString>(names: impl IntoIterator<Item = S>) -> Self {
        Table { rows: vec![names.into_iter().map(|name| name.to_string()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row<S: ToString>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }

    /// The table as markdown, in columns of even width: the first to the left, numbers to the
    /// right.
    pub(crate) fn markdown(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].len()).max();
        let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0).max(3)).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            line(&mut text, cells);
            if number == 0 {
                let rule = |(column, width): (usize, &usize)| match column {
                    0 => "-".repeat(*width),
                    _ => format!("{}:", "-".repeat(width - 1)),
                };
                line(&mut text, widths.iter().enumerate().map(rule));
            }
        }
        text
    }
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    writeln!(text, "| {} |", cells.join(" | ")).expect("a String takes every line");
}

/// A ratio as people read it: `2.4x`, `37x`.
pub(crate) fn ratio(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}x") } else { format!("{value:.0}x") }
}

/// Bytes as whole megabytes (10^6).
pub(crate) fn megabytes(len: u64) -> String {
    format!("{} MB", (len + 500_000) / 1_000_000)
}

/// Nanoseconds in the unit that fits: `12.3 ns`, `1.50 us`, `24.9 ms`.
pub(crate) fn nanoseconds(value: f64) -> String {
    match value {
        ..1e3 => format!("{value:.1} ns"),
        1e3..1e6 => format!("{:.2} us", value / 1e3),
        _ => format!("{:.1} ms", value / 1e6),
    }
}

/// Seconds with two figures behind the point.
pub(crate) fn seconds(value: f64) -> String {
    format!("{value:.2} s")
}

/// Prints the text of a measurement, and writes it and its data if it has a name.
pub(crate) fn publish(name: Option<&str>, text: &str, data: &impl Serialize) -> Result<()> {
    println!("{text}");
    let Some(name) = name else {
        eprintln!("a part of the measurement: no result file (give it a name with --name)");
        return Ok(());
    };
    let folder = root().join("bench/results");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{name}.md")), text)?;
    let data = serde_json::to_string_pretty(data)? + "\n";
    fs::write(folder.join(format!("{name}.json")), data)?;
    eprintln!("written: bench/results/{name}.md and {name}.json");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_even() {
        let mut table = Table::new(["program", "time"]);
        table.row(["jq", "12x"]);
        let expected = "| program | time |\n| ------- | ---: |\n| jq      |  12x |\n";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(ratio(2.44), "2.4x");
        assert_eq!(ratio(37.4), "37x");
        assert_eq!(megabytes(2_400_000), "2 MB");
        assert_eq!(seconds(1.236), "1.24 s");
        assert_eq!(nanoseconds(12.34), "12.3 ns");
        assert_eq!(nanoseconds(1500.0), "1.50 us");
        assert_eq!(nanoseconds(24.9e6), "24.9 ms");
    }
}
