//! The files of the project: every path, and the text of those that are text.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Names of what holds no source of ours.
const SKIPPED: [&str; 2] = [".git", "target"];

/// Breaks every rule on purpose.
const CANARY: &str = "xtask/canary";

/// Endings of the files whose text the rules look at.
const TEXT_ENDINGS: &[&str] = &[
    ".rs",
    ".md",
    ".toml",
    ".sh",
    ".c",
    ".h",
    ".cc",
    ".cpp",
    ".hpp",
    ".py",
    ".pl",
    ".lua",
    ".yml",
    ".txt",
    "Cargo.lock",
    ".ci/run",
];

/// Paths relative to the root, with `/` between the parts, and their text where it is looked at.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the tree under `root`.
    pub(crate) fn read(root: &Path) -> io::Result<Tree> {
        let mut tree = Tree::default();
        tree.read_directory(root, "")?;
        Ok(tree)
    }

    fn read_directory(&mut self, root: &Path, directory: &str) -> io::Result<()> {
        for entry in root.join(directory).read_dir()? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = join(directory, &name);
            if SKIPPED.contains(&name.as_str()) || path == CANARY || name.ends_with(".tmp") {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.read_directory(root, &path)?;
            } else if kind.is_file() {
                let text = is_text(&path).then(|| std::fs::read(entry.path())).transpose()?;
                let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    /// A tree made of `(path, text)` pairs.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|&(path, text)| (path.into(), Some(text.into())));
        Tree { files: files.collect() }
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// The files whose text is looked at, in the order of their paths.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text of the file at `path`, if it is one whose text is looked at.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// True for a file, and for a directory that holds one.
    pub(crate) fn has(&self, path: &str) -> bool {
        let directory = join(path, "");
        path.is_empty() || self.files.contains_key(path) || self.has_prefix(&directory)
    }

    /// True when some file's path starts with `prefix`.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        let next = self.files.range(prefix.to_string()..).next();
        next.is_some_and(|(path, _)| path.starts_with(prefix))
    }
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_string() } else { format!("{directory}/{name}") }
}

fn is_text(path: &str) -> bool {
    TEXT_ENDINGS.iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_directories_and_prefixes_are_found() {
        let tree = Tree::of(&[("src/vm/mod.rs", ""), ("src/vm.md", "")]);
        for path in ["src/vm/mod.rs", "src/vm", "src", ""] {
            assert!(tree.has(path), "{path}");
        }
        for path in ["src/v", "src/vm/mod", "tests"] {
            assert!(!tree.has(path), "{path}");
        }
        assert!(tree.has_prefix("src/vm."));
        assert!(!tree.has_prefix("src/vn"));
    }

    #[test]
    fn the_real_tree_is_read_without_what_cargo_builds() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tree = Tree::read(&root).expect("the tree is readable");
        assert!(tree.text("xtask/src/tidy/tree.rs").is_some_and(|text| text.contains("fn read")));
        assert!(!tree.has_prefix("target/") && !tree.has_prefix("xtask/canary/"));
    }
}
