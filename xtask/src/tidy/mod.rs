//! The checks of `cargo xtask tidy`: one pure function per rule, each in a file with its own tests.
//!
//! A rule looks at one [`Source`] and, where it must, at its neighbours in the [`Tree`]. The tree
//! is read once; the findings stream out file by file.

mod lex;
mod rules;
mod source;
mod tree;

pub(crate) use source::Source;
pub(crate) use tree::Tree;

use std::fmt;

/// One broken rule at one place, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

/// What a rule says about one line; [`findings`] adds the path and the rule's name.
pub(crate) type Remark = (usize, String);

/// A rule: its name in findings, and its pure check of one file.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) check: fn(&Source<'_>, &Tree) -> Vec<Remark>,
}

/// All findings of all rules, in the order of the paths.
pub(crate) fn findings(tree: &Tree) -> impl Iterator<Item = Finding> {
    tree.texts().flat_map(|(path, text)| {
        let source = Source::new(path, text);
        let finding = |rule: &Rule, (line, advice): Remark| Finding {
            path: path.to_string(),
            line,
            rule: rule.name,
            advice,
        };
        rules::ALL
            .iter()
            .flat_map(|rule| {
                (rule.check)(&source, tree).into_iter().map(|remark| finding(rule, remark))
            })
            .collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn tree_at(relative: &str) -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
        Tree::read(&root).expect("the tree is readable")
    }

    #[test]
    fn the_tree_is_tidy() {
        let found: Vec<String> =
            findings(&tree_at("..")).map(|finding| finding.to_string()).collect();
        assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
    }

    /// Tests the tester: a tree that breaks every rule must not pass a single one.
    #[test]
    fn the_canary_fails_every_rule() {
        let found: Vec<Finding> = findings(&tree_at("canary")).collect();
        for rule in rules::ALL {
            let name = rule.name;
            assert!(found.iter().any(|finding| finding.rule == name), "{name} let it pass");
        }
    }

    #[test]
    fn a_finding_says_where_which_and_what() {
        let finding = Finding {
            path: "src/vm/mod.rs".into(),
            line: 7,
            rule: "shape",
            advice: "break the line".into(),
        };
        assert_eq!(finding.to_string(), "src/vm/mod.rs:7: shape: break the line");
    }
}
