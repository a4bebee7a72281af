//! Rule `forbid-unsafe`: pure files let the compiler promise it.

use crate::tidy::{Remark, Source, Tree};

/// Files that are pure. A file whose header calls it pure need not stand here.
const PURE: [&str; 4] =
    ["src/addr.rs", "src/error.rs", "src/stomp/options.rs", "src/stomp/record.rs"];

/// Crates without unsafe code, by their root.
const PURE_CRATES: [&str; 1] = ["xtask/src/main.rs"];

const ATTRIBUTE: &str = "#![forbid(unsafe_code)]";

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    let is_listed = PURE.contains(&source.path) || PURE_CRATES.contains(&source.path);
    let must = source.is_rust() && (is_listed || calls_itself_pure(source.text));
    if must && !source.lines().any(|(_, line)| line == ATTRIBUTE) {
        return vec![(1, format!("a pure file says `{ATTRIBUTE}`"))];
    }
    Vec::new()
}

/// True for a header such as `//! Floor 4, pure. ...`.
fn calls_itself_pure(text: &str) -> bool {
    let header = text.lines().next().unwrap_or("");
    header
        .strip_prefix("//! Floor ")
        .is_some_and(|rest| rest[1.min(rest.len())..].starts_with(", pure"))
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn listed_files_and_those_called_pure_must_forbid() {
        assert_eq!(lines(check, "src/error.rs", "//! Floor 0.\n"), [1]);
        assert_eq!(lines(check, "src/stomp/place.rs", "//! Floor 4, pure. Where.\n"), [1]);
        let good = "//! Floor 4, pure. Where.\n#![forbid(unsafe_code)]\n";
        assert!(lines(check, "src/stomp/place.rs", good).is_empty());
    }

    #[test]
    fn others_need_not() {
        assert!(lines(check, "src/vm/mod.rs", "//! Floor 2. No pure thing.\n").is_empty());
        assert!(lines(check, "docs/pure.md", "//! Floor 4, pure.\n").is_empty());
    }

    #[test]
    fn a_comment_is_no_attribute() {
        let text = "//! Floor 0.\n// #![forbid(unsafe_code)]\n";
        assert_eq!(lines(check, "src/error.rs", text), [1]);
    }
}
