//! Rule `floors`: a file of the library uses lower floors only, and says which floor it is.
//!
//! Equal floors never use each other, so that each can be understood, and can work, alone.

use crate::tidy::source::{Token, closing, follows, is_name};
use crate::tidy::{Remark, Source, Tree};

/// The floor of every module of the library.
const FLOORS: [(&str, u8); 13] = [
    ("addr", 0),
    ("error", 0),
    ("ds", 0),
    // The tests' way to start processes, which uses nothing of the library.
    ("start", 0),
    ("sys", 1),
    ("vm", 2),
    ("fault", 3),
    ("array", 4),
    ("heap", 4),
    ("section", 4),
    ("stomp", 4),
    ("global", 5),
    ("win32", 5),
];

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|&(_, floor)| floor)
}

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    let Some(path) = module_path(source) else { return Vec::new() };
    let module = path[0];
    let Some(own) = floor(module) else {
        return vec![(1, format!("`{module}` has no floor; give it one in floors.rs"))];
    };
    let header = format!("//! Floor {own}");
    let is_headed = source.is_trial()
        || source.text.strip_prefix(&header).is_some_and(|rest| rest.starts_with(['.', ',']));
    let headless = (!is_headed).then(|| (1, format!("begin the file with `{header}.`")));
    let tokens = source.tokens();
    let used = used_modules(&tokens, path.len());
    let upward = used.into_iter().filter_map(|name| match floor(name.text) {
        _ if name.text == module => None,
        Some(other) if other < own => None,
        Some(other) => {
            let advice = format!("floor {own} must not use `{}`, floor {other}", name.text);
            Some((name.line, advice))
        }
        None => {
            Some((name.line, format!("`{}` names no floor; name the module it is in", name.text)))
        }
    });
    headless.into_iter().chain(upward).collect()
}

/// The path of the module that a file of the library is; `None` for lib.rs and other files.
fn module_path<'a>(source: &Source<'a>) -> Option<Vec<&'a str>> {
    let inside = source.path.strip_prefix("src/")?.strip_suffix(".rs")?;
    if inside == "lib" {
        return None;
    }
    Some(inside.strip_suffix("/mod").unwrap_or(inside).split('/').collect())
}

/// The names that stand right behind the root of the crate: `crate::x`, `super::x` from the top
/// module, and every `x` of `crate::{x, ..}`.
fn used_modules<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<Token<'a>> {
    let mut used = Vec::new();
    let mut braces = Vec::new(); // true for the brace of an inline module
    let mut position = 0;
    while position < tokens.len() {
        let inline = braces.iter().filter(|&&is_module| is_module).count();
        match tokens[position].text {
            "{" => braces.push(position >= 2 && tokens[position - 2].text == "mod"),
            "}" => drop(braces.pop()),
            "crate" => used.extend(names_behind(tokens, position)),
            "super" => {
                let mut ups = 1;
                while follows(tokens, position + 1, &["::", "super"]) {
                    ups += 1;
                    position += 2;
                }
                if ups == depth + inline {
                    used.extend(names_behind(tokens, position));
                }
            }
            _ => {}
        }
        position += 1;
    }
    used
}

/// The names that follow the path at `position`: one, or the first of each entry of a group.
fn names_behind<'a>(tokens: &[Token<'a>], position: usize) -> Vec<Token<'a>> {
    if !follows(tokens, position + 1, &["::"]) {
        return Vec::new();
    }
    let Some(next) = tokens.get(position + 2) else { return Vec::new() };
    if next.text != "{" {
        return vec![*next];
    }
    let end = closing(tokens, position + 2);
    let mut names = Vec::new();
    let mut at = position + 3;
    while at < end {
        match tokens[at].text {
            "{" => at = closing(tokens, at),
            text if is_name(text) && matches!(tokens[at - 1].text, "{" | ",") => {
                names.push(tokens[at]);
            }
            _ => {}
        }
        at += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(path: &str, body: &str) -> Vec<usize> {
        let floor = floor(module_path(&Source::new(path, "")).expect("a library file")[0]);
        lines(check, path, &format!("//! Floor {}.\n{body}", floor.expect("a floor")))
    }

    #[test]
    fn down_is_allowed() {
        let body = "use crate::error::Error;\nuse crate::{sys, addr::{self, Len}};\nuse super::x;";
        assert!(found("src/vm/query.rs", body).is_empty());
        assert!(found("src/vm/mod.rs", "use crate::vm::query; use super::sys::info;").is_empty());
        assert!(found("src/vm/mod.rs", "// crate::heap\nlet a = \"crate::heap\";").is_empty());
    }

    #[test]
    fn up_and_sideways_are_not() {
        assert_eq!(found("src/sys/mod.rs", "use crate::vm::Reservation;"), [2]);
        assert_eq!(found("src/stomp/mod.rs", "use crate::{\n error::Error,\n heap::Heap};"), [4]);
        assert_eq!(found("src/addr.rs", "fn f(e: crate::error::Error) {}"), [2]);
        assert_eq!(found("src/vm/mod.rs", "fn f() { $crate::global::f() }"), [2]);
    }

    #[test]
    fn super_climbs_to_the_root() {
        assert_eq!(found("src/vm/mod.rs", "use super::stomp::Stomp;"), [2]);
        assert_eq!(found("src/vm/query.rs", "use super::super::stomp::Stomp;"), [2]);
        assert_eq!(found("src/vm/mod.rs", "mod tests {\n use super::super::heap::x; }"), [3]);
        assert!(found("src/vm/mod.rs", "mod tests { use super::stomp_like; }").is_empty());
    }

    #[test]
    fn a_name_must_say_its_module() {
        assert_eq!(found("src/vm/mod.rs", "use crate::Error;"), [2]);
    }

    #[test]
    fn the_header_tells_the_floor() {
        assert_eq!(lines(check, "src/vm/mod.rs", "//! Floor 3.\n"), [1]);
        assert_eq!(lines(check, "src/vm/mod.rs", "use core::fmt;\n"), [1]);
        assert!(lines(check, "src/vm/mod.rs", "//! Floor 2, uses 0 and 1.\n").is_empty());
        assert!(lines(check, "src/vm/tests.rs", "use super::*;\n").is_empty());
        assert_eq!(lines(check, "src/vm/tests.rs", "use crate::heap;\n"), [1]);
        assert_eq!(lines(check, "src/other.rs", "//! Floor 2.\n"), [1]);
        assert!(lines(check, "src/lib.rs", "use crate::heap;\n").is_empty());
    }
}
