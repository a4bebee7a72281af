//! Rules `expected-output` and `verdict`: what runs in tests has an answer to be compared with.

use crate::tidy::{Remark, Source, Tree};

const VERDICTS: &str = "tests/crimes/verdicts.toml";

/// An example `examples/NAME.rs` (or `examples/NAME/main.rs`) has its output in
/// `tests/expected/NAME.*`.
pub(crate) fn check_example(source: &Source<'_>, tree: &Tree) -> Vec<Remark> {
    let Some(inside) = source.path.strip_prefix("examples/") else { return Vec::new() };
    let stem = inside.strip_suffix("/main.rs").or(inside.strip_suffix(".rs"));
    match stem {
        Some(name)
            if !name.contains('/') && !tree.has_prefix(&format!("tests/expected/{name}.")) =>
        {
            vec![(1, format!("put what it prints into tests/expected/{name}.txt"))]
        }
        _ => Vec::new(),
    }
}

/// A crime `tests/crimes/NAME.c` (`.cc`, `.cpp`, `.rs`) is named in the list of verdicts.
pub(crate) fn check_crime(source: &Source<'_>, tree: &Tree) -> Vec<Remark> {
    let Some(inside) = source.path.strip_prefix("tests/crimes/") else { return Vec::new() };
    let file = inside.rsplit('/').next().unwrap_or(inside);
    let Some((name, "c" | "cc" | "cpp" | "rs")) = file.rsplit_once('.') else { return Vec::new() };
    if tree.text(VERDICTS).is_some_and(|verdicts| names(verdicts, name)) {
        return Vec::new();
    }
    vec![(1, format!("write the verdict on `{name}` into {VERDICTS}"))]
}

/// True when `name` stands in `text` as a word of its own.
fn names(text: &str, name: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::lines_in;
    use super::*;

    #[test]
    fn an_example_has_an_expected_output() {
        let expected = ("tests/expected/page_states.txt", "");
        let good = [("examples/page_states.rs", ""), expected];
        assert!(lines_in(check_example, "examples/page_states.rs", &good).is_empty());
        let bad = [("examples/page.rs", ""), expected];
        assert_eq!(lines_in(check_example, "examples/page.rs", &bad), [1]);
        let folder = [("examples/page/main.rs", ""), ("examples/page/part.rs", ""), expected];
        assert_eq!(lines_in(check_example, "examples/page/main.rs", &folder), [1]);
        assert!(lines_in(check_example, "examples/page/part.rs", &folder).is_empty());
    }

    #[test]
    fn a_crime_has_a_verdict() {
        let verdicts = (VERDICTS, "[double_free]\n[over-c]\nname = \"over\"\n");
        let found = |path: &str| lines_in(check_crime, path, &[(path, ""), verdicts]);
        assert!(found("tests/crimes/double_free.c").is_empty());
        assert!(found("tests/crimes/deep/over.cpp").is_empty());
        assert_eq!(found("tests/crimes/free.rs"), [1]);
        assert_eq!(found("tests/crimes/over_more.rs"), [1]);
        assert!(found("tests/crimes/readme.md").is_empty());
        assert_eq!(lines_in(check_crime, "tests/crimes/a.c", &[("tests/crimes/a.c", "")]), [1]);
    }
}
