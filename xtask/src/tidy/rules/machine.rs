//! Rule `machine`: nothing in the tree tells on which machine it was made.

use crate::tidy::{Remark, Source, Tree};

/// Beginnings of paths that exist on one machine only. Put together here, so that this file passes.
const PATHS: [&str; 3] = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "tmp/target")];

/// What replaces or adds a registry in a Cargo file.
const REGISTRIES: [&str; 4] = ["[source.", "[registries", "replace-with", "sparse+"];

/// Where Cargo.lock says that crates come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    let is_cargo = source.path.ends_with(".toml") || source.path.ends_with("Cargo.lock");
    let remarks = source.lines().filter_map(|(number, line)| {
        let advice = if let Some(path) = PATHS.iter().find(|path| begins_path(line, path)) {
            format!("`{path}` exists on one machine only; say it relative or ask the system")
        } else if is_cargo && names_registry(line) {
            "crates come from crates.io; leave other registries to the user's settings".to_string()
        } else {
            return None;
        };
        Some((number, advice))
    });
    remarks.collect()
}

/// True when a path in `line` begins with `start`, and does not merely contain it.
fn begins_path(line: &str, start: &str) -> bool {
    let is_inner = |character: char| character.is_alphanumeric() || "._-/}~*".contains(character);
    line.match_indices(start).any(|(at, _)| !line[..at].chars().next_back().is_some_and(is_inner))
}

fn names_registry(line: &str) -> bool {
    let line = line.trim_start();
    let foreign = line.strip_prefix("source = ").is_some_and(|place| !place.contains(CRATES_IO));
    foreign || REGISTRIES.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn paths_of_one_machine_are_found() {
        for path in PATHS {
            assert_eq!(lines(check, "docs/a.md", &format!("x\nsee `{path}x`\n")), [2], "{path}");
        }
    }

    #[test]
    fn inner_parts_of_paths_are_not() {
        let path = PATHS[0];
        assert!(
            lines(check, "docs/a.md", &format!("src{path}x, $HOME{path}, ..{path}\n")).is_empty()
        );
    }

    #[test]
    fn crates_come_from_the_usual_place() {
        let usual = format!("source = \"{CRATES_IO}\"\n");
        assert!(lines(check, "Cargo.lock", &usual).is_empty());
        assert_eq!(lines(check, "Cargo.lock", "source = \"registry+https://a.example\"\n"), [1]);
        assert_eq!(lines(check, ".cargo/config.toml", "[source.mine]\n"), [1]);
        assert!(lines(check, "docs/a.md", "[source.mine]\n").is_empty());
    }
}
