//! The rules. To add one: a file with a `check`, its tests, a row in [`ALL`], and a line in the
//! canary that breaks it.

mod artefacts;
mod floors;
mod forbid;
mod links;
mod machine;
mod markers;
mod os_words;
mod safety;
mod shape;
mod words;

use super::Rule;

/// Every rule, by the name it has in findings.
pub(crate) const ALL: &[Rule] = &[
    Rule { name: "floors", check: floors::check },
    Rule { name: "os-words", check: os_words::check },
    Rule { name: "safety", check: safety::check },
    Rule { name: "shape", check: shape::check },
    Rule { name: "links", check: links::check },
    Rule { name: "forbid-unsafe", check: forbid::check },
    Rule { name: "expected-output", check: artefacts::check_example },
    Rule { name: "verdict", check: artefacts::check_crime },
    Rule { name: "markers", check: markers::check },
    Rule { name: "machine", check: machine::check },
    Rule { name: "words", check: words::check },
];

/// Runs one rule on one file that stands alone: the lines it remarks on.
#[cfg(test)]
fn lines(
    check: fn(&super::Source<'_>, &super::Tree) -> Vec<super::Remark>,
    path: &str,
    text: &str,
) -> Vec<usize> {
    lines_in(check, path, &[(path, text)])
}

/// Runs one rule on the file at `path` of a tree made of `files`.
#[cfg(test)]
fn lines_in(
    check: fn(&super::Source<'_>, &super::Tree) -> Vec<super::Remark>,
    path: &str,
    files: &[(&str, &str)],
) -> Vec<usize> {
    let tree = super::Tree::of(files);
    let text = tree.text(path).expect("the file is in the tree");
    check(&super::Source::new(path, text), &tree).into_iter().map(|(line, _)| line).collect()
}
