//! docs/PLATFORM.md tells of every verb: what is new in `src/vm` and not told there fails here.

mod examples_support;

use examples_support::in_package;
use std::fs;
use std::path::Path;

fn page() -> String {
    fs::read_to_string(in_package("docs/PLATFORM.md")).expect("the page is committed")
}

/// The texts of all Rust files in a folder.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is in the package") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            texts.push(fs::read_to_string(&path).expect("the file can be read"));
        }
    }
    texts
}

/// Names of public functions, in the blocks of a type if one is given, else outside of all blocks.
fn public_functions(text: &str, owner: Option<&str>) -> Vec<String> {
    let mut names = Vec::new();
    let mut block = None;
    for line in text.lines() {
        if let Some((_, head)) = line.split_once(' ').filter(|(word, _)| word.starts_with("impl")) {
            let name = head.split(" for ").last().unwrap_or(head);
            block = name.split(|c: char| !c.is_alphanumeric()).next();
        } else if line.starts_with('}') {
            block = None;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let function = words.iter().position(|&word| word == "fn");
        if let (Some(&"pub"), Some(at)) = (words.first(), function)
            && block == owner
            && let Some(name) = words.get(at + 1).and_then(|rest| rest.split(['(', '<']).next())
        {
            names.push(name.to_string());
        }
    }
    names
}

#[test]
fn every_verb_has_its_row() {
    let page = page();
    let told: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let sources = sources(&in_package("src/vm"));
    let mut missing = Vec::new();
    for owner in [Some("Reservation"), Some("Builder"), None] {
        let names: Vec<String> =
            sources.iter().flat_map(|text| public_functions(text, owner)).collect();
        assert!(!names.is_empty(), "the functions of {owner:?} are found");
        let is_told = |name: &str| told.iter().any(|word| word.trim_start_matches("vm::") == name);
        missing.extend(names.into_iter().filter(|name| !is_told(name)));
    }
    assert!(missing.is_empty(), "docs/PLATFORM.md does not tell of {missing:?}");
}

#[test]
fn every_operation_is_named() {
    let errors = fs::read_to_string(in_package("src/error.rs")).expect("the file can be read");
    let names: Vec<&str> = errors
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Op::")?.split_once(" => \""))
        .filter_map(|(_, name)| name.strip_suffix("\","))
        .collect();
    assert!(names.contains(&"reserve") && names.len() > 20, "the names are found: {names:?}");
    let page = page();
    let list = page.split_once("## The operations in errors").expect("the heading is there").1;
    let told: Vec<&str> = list.split(|c: char| !c.is_ascii_lowercase()).collect();
    let missing: Vec<&&str> = names.iter().filter(|name| !told.contains(name)).collect();
    assert!(missing.is_empty(), "docs/PLATFORM.md does not name {missing:?}");
}

#[test]
fn functions_are_found_where_they_are() {
    let text = "pub fn free(a: u8) {}\nimpl<T> Reservation {\n    pub const fn one(&self) {}\n    \
                fn hidden() {}\n}\nimpl Drop for Builder {\n    pub unsafe fn two<T>() {}\n}\n";
    assert_eq!(public_functions(text, None), ["free"]);
    assert_eq!(public_functions(text, Some("Reservation")), ["one"]);
    assert_eq!(public_functions(text, Some("Builder")), ["two"]);
}
