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

/// A crime `tests/crimes/NAME.c` (`.cc`, `.cpp`, `.rs`) has its row in the list of verdicts. More
/// endings, as in `NAME.lib.c`, are further parts of the crime `NAME.c`.
pub(crate) fn check_crime(source: &Source<'_>, tree: &Tree) -> Vec<Remark> {
    let Some(inside) = source.path.strip_prefix("tests/crimes/") else { return Vec::new() };
    let file = inside.rsplit('/').next().unwrap_or(inside);
    let Some((name, endings)) = file.split_once('.') else { return Vec::new() };
    let ending = endings.rsplit('.').next().unwrap_or(endings);
    if !matches!(ending, "c" | "cc" | "cpp" | "rs") {
        return Vec::new();
    }
    let row = format!("\"{name}.{ending}\" = ");
    if tree.text(VERDICTS).is_some_and(|verdicts| verdicts.lines().any(|at| at.starts_with(&row))) {
        return Vec::new();
    }
    vec![(1, format!("write the verdict on {name}.{ending} into {VERDICTS}"))]
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
        let verdicts = (VERDICTS, "[end.overflow]\n\"double_free.c\" = {}\n\"over.cpp\" = {}\n");
        let found = |path: &str| lines_in(check_crime, path, &[(path, ""), verdicts]);
        assert!(found("tests/crimes/double_free.c").is_empty());
        assert!(found("tests/crimes/deep/over.cpp").is_empty());
        assert!(found("tests/crimes/double_free.lib.c").is_empty());
        assert_eq!(found("tests/crimes/double_free.rs"), [1]);
        assert_eq!(found("tests/crimes/free.c"), [1]);
        assert!(found("tests/crimes/readme.md").is_empty());
        assert_eq!(lines_in(check_crime, "tests/crimes/a.c", &[("tests/crimes/a.c", "")]), [1]);
    }
}
