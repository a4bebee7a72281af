//! Every row of the notes has its proof: docs/CHECKLIST.md is complete and what it names exists.

mod examples_support;

use examples_support::{expected, in_package};
use std::fs;
use std::ops::RangeInclusive;

/// The chapters, and which of their rows have a proof so far.
const CHAPTERS: [(&str, RangeInclusive<usize>); 6] = [
    ("000", 1..=3),
    ("001", 1..=14),
    ("002", 1..=13),
    ("003", 1..=9),
    ("004", 1..=8),
    ("004", 10..=12),
];

/// The rows of the page: number and proof.
fn rows() -> Vec<(String, String)> {
    let page = fs::read_to_string(in_package("docs/CHECKLIST.md")).expect("the page is committed");
    let cells = page.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let is_number = |word: &str| word.len() >= 5 && word.starts_with("00");
    cells
        .filter(|cells| cells.len() == 5 && is_number(cells[1]))
        .map(|cells| (cells[1].to_string(), cells[3].to_string()))
        .collect()
}

#[test]
fn no_row_is_missing() {
    let told: Vec<String> = rows().into_iter().map(|(number, _)| number).collect();
    let wanted: Vec<String> = CHAPTERS
        .iter()
        .flat_map(|(chapter, rows)| rows.clone().map(move |row| format!("{chapter}-{row}")))
        .collect();
    assert_eq!(told, wanted);
}

#[test]
fn every_row_is_proved() {
    for (number, proof) in rows() {
        let links: Vec<&str> =
            proof.split("](../").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(!links.is_empty(), "{number} has no proof");
        for file in links {
            let example = file.strip_prefix("examples/").and_then(|name| name.strip_suffix(".rs"));
            match example {
                Some(name) => assert!(has_heading(name, &number), "{name} does not tell {number}"),
                None => assert!(has_test(file, &proof), "{number}: {file} has no such test"),
            }
        }
    }
}

/// Whether a line of what the example says begins with the numbers of rows, this one among them.
fn has_heading(example: &str, number: &str) -> bool {
    assert!(in_package("examples").join(example).with_extension("rs").exists(), "{example}");
    let text = expected(example);
    let mut heads = text.lines().filter_map(|line| line.split_once(". ")).map(|(head, _)| head);
    heads.any(|head| head.split(", ").any(|told| told == number))
}

/// Whether the file has the test functions that the proof names.
fn has_test(file: &str, proof: &str) -> bool {
    let text = fs::read_to_string(in_package(file)).expect("the link is alive");
    let mut names = proof.split('`').skip(1).step_by(2).peekable();
    names.peek().is_some() && names.all(|name| text.contains(&format!("#[test]\nfn {name}(")))
}
