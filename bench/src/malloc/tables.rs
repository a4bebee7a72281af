//! The tables of `malloc`: each figure relative to one malloc, and geometric means.

use super::cells::{Cell, Figure, PEAK, PROCESSOR, WALL};
use super::peers::{BASE, Peer};
use crate::results::{Table, seconds};
use crate::statistics::geometric_mean;

/// The cells of some pieces of work, each under every peer, in the order of the peers.
pub(crate) struct Grid<'a> {
    pub(crate) peers: &'a [Peer],
    pub(crate) cells: &'a [Cell],
}

/// What is taken of a cell.
type Value = fn(&Cell) -> Option<f64>;

/// How the figure of the base is shown.
type Shown = fn(f64) -> String;

impl Grid<'_> {
    /// The column that all ratios are to: mimalloc 3, or the first.
    pub(crate) fn base(&self) -> usize {
        self.peers.iter().position(|peer| peer.name == BASE).unwrap_or(0)
    }

    /// Processor time, peak of memory and wall time, with a headline each.
    pub(crate) fn markdown(&self) -> String {
        let base = self.peers[self.base()].name;
        let parts: [(&str, Figure, Shown); 3] = [
            ("Processor time, in the program and in the kernel", PROCESSOR, seconds),
            ("Peak of resident memory", PEAK, mebibytes),
            ("Wall time", WALL, seconds),
        ];
        let part = |(title, figure, shown): (&str, Figure, Shown)| {
            format!("\n{title}, relative to {base}\n\n{}", self.table(figure, shown).markdown())
        };
        parts.map(part).concat()
    }

    fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.peers.len())
    }

    fn table(&self, figure: Figure, shown: Shown) -> Table {
        let base = self.base();
        let names = self.peers.iter().map(|peer| peer.name);
        let mut table = Table::new(["work", "of base"].into_iter().chain(names));
        for row in self.rows() {
            let of_base = row[base].median(figure);
            let cells = row.iter().map(|cell| match (cell.median(figure), of_base) {
                (Some(own), Some(of_base)) => ratio(own / of_base),
                (None, _) => cell.failure().unwrap_or_else(|| "-".to_string()),
                _ => "-".to_string(),
            });
            let first = [row[0].work.clone(), of_base.map_or("-".to_string(), shown)];
            table.row(first.into_iter().chain(cells));
        }
        if self.rows().count() > 1 {
            let means = (0..self.peers.len()).map(|peer| self.mean(peer, |c| c.median(figure)));
            let first = ["geometric mean".to_string(), "-".to_string()];
            table.row(first.into_iter().chain(means));
        }
        table
    }

    /// The geometric mean of a peer's ratios; with the number of rows if some are missing.
    fn mean(&self, peer: usize, of: impl Fn(&Cell) -> Option<f64>) -> String {
        let base = self.base();
        let ratio_of = |row: &[Cell]| Some(of(&row[peer])? / of(&row[base])?);
        let ratios: Vec<f64> = self.rows().filter_map(ratio_of).collect();
        let count = self.rows().count();
        match geometric_mean(&ratios) {
            Some(mean) if ratios.len() == count => ratio(mean),
            Some(mean) => format!("{} ({} of {count})", ratio(mean), ratios.len()),
            None => "-".to_string(),
        }
    }
}

/// The geometric means of each group and of all, for those groups that were measured.
pub(crate) fn summary(groups: &[(&str, Grid<'_>)]) -> String {
    let measured: Vec<_> = groups.iter().filter(|(_, grid)| !grid.cells.is_empty()).collect();
    let Some((_, first)) = measured.first() else { return String::new() };
    let peers = first.peers;
    let names = peers.iter().map(|peer| peer.name);
    let mut table = Table::new(["geometric mean of the ratios"].into_iter().chain(names));
    let all: Vec<Cell> = measured.iter().flat_map(|(_, grid)| grid.cells).cloned().collect();
    let all = ("all", Grid { peers, cells: &all });
    let is_several = measured.len() > 1;
    let figures: [(&str, Value); 4] = [
        ("processor", |cell| cell.median(PROCESSOR)),
        ("processor, least of the rounds", |cell| cell.least(PROCESSOR)),
        ("peak memory", |cell| cell.median(PEAK)),
        ("wall", |cell| cell.median(WALL)),
    ];
    for (title, value) in figures {
        for (name, grid) in measured.iter().copied().chain(is_several.then_some(&all)) {
            let means = (0..peers.len()).map(|peer| grid.mean(peer, value));
            table.row([format!("{title}: {name}")].into_iter().chain(means));
        }
    }
    format!("\n{}", table.markdown())
}

/// A ratio with two figures behind the point.
pub(crate) fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// Bytes in units of 2^20.
pub(crate) fn mebibytes(len: f64) -> String {
    format!("{:.1} MiB", len / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{End, Run};

    fn cell(work: &str, peer: &'static str, cpu_seconds: f64, end: End) -> Cell {
        let run = Run { seconds: 1.0, cpu_seconds, peak_rss: 1 << 20, minor_faults: 0, end };
        let (work, runs) = (work.to_string(), vec![run]);
        Cell { work, ops: None, peer, runs, same_output: true }
    }

    #[test]
    fn ratios_are_to_the_base_and_what_failed_is_in_no_mean() {
        let peers = ["glibc", BASE].map(Peer::plain);
        let cells = [
            cell("a", "glibc", 1.0, End::Exit(0)),
            cell("a", BASE, 4.0, End::Exit(0)),
            cell("b", "glibc", 1.0, End::Exit(0)),
            cell("b", BASE, 1.0, End::Exit(0)),
            cell("c", "glibc", 1.0, End::Exit(7)),
            cell("c", BASE, 1.0, End::Exit(0)),
        ];
        let table = Grid { peers: &peers, cells: &cells }.table(PROCESSOR, seconds).markdown();
        let expected = "\
| work           | of base |         glibc |  mi3 |
| -------------- | ------: | ------------: | ---: |
| a              |  4.00 s |          0.25 | 1.00 |
| b              |  1.00 s |          1.00 | 1.00 |
| c              |  1.00 s |        exit 7 | 1.00 |
| geometric mean |       - | 0.50 (2 of 3) | 1.00 |
";
        assert_eq!(table, expected);
    }
}
