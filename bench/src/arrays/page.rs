//! The page to read: tables and cells.

use super::case::{Case, Figure, Goal};
use crate::results::{Table, megabytes, nanoseconds, ratio};

/// Which columns a table has besides the time that counts and the goal.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    /// The time that does not count, and its name.
    pub(super) other: (&'static str, Figure),
    /// The peak above the payload, and the faults.
    pub(super) memory: bool,
}

/// A row before it is one: the array, and its cells.
type Row<'a> = (&'a str, Vec<String>);

/// The table of a work, ours first. `figure` is the time that counts, named `unit`; `more` adds
/// columns.
pub(super) fn table<'a>(
    cases: &'a [Case],
    work: &str,
    figure: Figure,
    unit: &'a str,
    columns: Columns,
    more: impl FnOnce(&mut Vec<&'a str>, &mut Vec<Row<'a>>),
) -> String {
    let (other_name, other) = columns.other;
    let mut names = vec!["array", unit, "least", other_name, "ours / it", "goal", "reached"];
    if columns.memory {
        names.extend(["peak - payload", "faults"]);
    }
    let cases: Vec<&Case> = cases.iter().filter(|case| case.work == work).collect();
    let ours = cases.first().filter(|case| super::is_ours(case.array));
    let mut rows: Vec<Row> = Vec::new();
    for case in &cases {
        let ratio = ours.filter(|ours| ours.array != case.array);
        let ratio = ratio.and_then(|ours| ours.times(case, figure));
        let (goal, reached) = goal(case, ratio);
        let mut cells = vec![
            time_or(case, case.median(figure)),
            time(case.least(figure)),
            time(case.median(other)),
            times(ratio),
            goal,
            reached,
        ];
        if columns.memory {
            cells.push(peak(case));
            cells.push(whole(case.median(|found| found.faults as f64)));
        }
        rows.push((case.array, cells));
    }
    more(&mut names, &mut rows);
    let mut table = Table::new(names);
    for (array, cells) in rows {
        table.row([array.to_string()].into_iter().chain(cells));
    }
    table.markdown()
}

/// The case of an array at a work.
pub(super) fn find<'a>(cases: &'a [Case], work: &str, array: &str) -> Option<&'a Case> {
    cases.iter().find(|case| case.work == work && case.array == array)
}

/// The goal of a case and whether it is reached, when its ratio is `times`.
pub(super) fn goal(case: &Case, times: Option<f64>) -> (String, String) {
    let none = || "-".to_string();
    let (goal, reached) = match case.goal {
        Goal::Ratio(most) => (format!("{most:.2}x"), times.map(|times| times <= most)),
        Goal::PeakOverPayload(most) => {
            let peak = case.peak_over_payload();
            (format!("peak + {} MiB", most >> 20), peak.map(|peak| peak <= most as f64))
        }
        Goal::None => return (none(), none()),
    };
    (goal, reached.map_or_else(none, |reached| if reached { "yes" } else { "no" }.to_string()))
}

/// A time, or why there is none.
pub(super) fn time_or(case: &Case, value: Option<f64>) -> String {
    value.map_or_else(|| case.excuse(), |_| time(value))
}

/// A time: two places below 10 ns, where arrays differ by less than one.
pub(super) fn time(value: Option<f64>) -> String {
    match value {
        None => "-".to_string(),
        Some(value) if value.is_nan() => "-".to_string(),
        Some(value) if value < 9.995 => format!("{value:.2} ns"),
        Some(value) => nanoseconds(value),
    }
}

/// A ratio near 1, or far from it.
pub(super) fn times(value: Option<f64>) -> String {
    match value {
        None => "-".to_string(),
        Some(value) if value < 0.0995 => format!("{value:.3}x"),
        Some(value) if value < 9.95 => format!("{value:.2}x"),
        Some(value) => ratio(value),
    }
}

/// A number without places.
pub(super) fn whole(value: Option<f64>) -> String {
    match value {
        Some(value) if !value.is_nan() => format!("{value:.0}"),
        _ => "-".to_string(),
    }
}

/// What moved of an array that is one piece.
pub(super) fn moved(case: Option<&Case>) -> String {
    let moved = |case: &Case| case.median(|found| found.moved.map_or(f64::NAN, |len| len as f64));
    match case.and_then(moved) {
        Some(len) if !len.is_nan() => megabytes(len as u64),
        _ => "-".to_string(),
    }
}

fn peak(case: &Case) -> String {
    let mib = |len: f64| format!("{:.1} MiB", len / f64::from(1 << 20));
    case.peak_over_payload().map_or("-".to_string(), mib)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::case::{Found, PROCESSOR, WALL};

    #[test]
    fn a_goal_is_reached_by_the_median_of_the_ratios() {
        let case = |array, goal, times: [f64; 3]| {
            let found = times.map(|cpu| Found { cpu, wall: 2.0 * cpu, ..Found::default() });
            Case { goal, found: found.to_vec(), ..Case::new("push", "1", array) }
        };
        let cases = [
            case(super::super::OURS, Goal::PeakOverPayload(4 << 20), [2.0, 2.0, 9.0]),
            case("Vec", Goal::Ratio(0.25), [8.0, 10.0, 10.0]),
            Case { wrapper: None, ..case("absent", Goal::None, [0.0; 3]) },
        ];
        let mut cases = cases;
        cases[2].found.clear();
        let columns = Columns { other: ("wall", WALL), memory: false };
        let table = table(&cases, "1", PROCESSOR, "ns", columns, |_, _| {});
        let expected = "\
| array     |            ns |   least |    wall | ours / it |         goal | reached |
| --------- | ------------: | ------: | ------: | --------: | -----------: | ------: |
| StableVec |       2.00 ns | 2.00 ns | 4.00 ns |         - | peak + 4 MiB |     yes |
| Vec       |       10.0 ns | 8.00 ns | 20.0 ns |     0.25x |        0.25x |     yes |
| absent    | not installed |       - |       - |         - |            - |       - |
";
        assert_eq!(table, expected);
    }
}
