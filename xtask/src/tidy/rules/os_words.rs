//! Rule `os-words`: only `src/sys` knows an operating system.
//!
//! One exception: the lists of modules in [`LISTS`] may leave a whole module out everywhere but on
//! Linux. What is built at all knows no system.

use crate::tidy::source::{Token, closing, follows};
use crate::tidy::{Remark, Source, Tree};

/// Words of a `cfg` that tell systems apart. The processor (`target_arch`) is no such word.
const SYSTEMS: [&str; 7] =
    ["unix", "windows", "target_os", "target_family", "target_env", "target_vendor", "target_abi"];

/// Files that list modules, some of which are built on Linux alone.
const LISTS: [&str; 2] = ["src/lib.rs", "src/ds/mod.rs"];

const LINUX_ONLY: &str = "#[cfg(target_os = \"linux\")]";

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    if !source.path.starts_with("src/") || source.path.starts_with("src/sys/") {
        return Vec::new();
    }
    let tokens = source.tokens();
    let word_at = |position: usize| {
        let word = os_word(&tokens, position)?;
        if LISTS.contains(&source.path) && leaves_a_module_out(source, tokens[position].line) {
            return None;
        }
        Some((tokens[position].line, format!("move {word} behind the door, src/sys")))
    };
    (0..tokens.len()).filter_map(word_at).collect()
}

/// True when line `number` is exactly [`LINUX_ONLY`] and the next one declares a module.
fn leaves_a_module_out(source: &Source<'_>, number: usize) -> bool {
    let mut lines = source.lines().skip(number - 1).map(|(_, line)| line);
    let (attribute, item) = (lines.next(), lines.next().unwrap_or(""));
    let declares = item.ends_with(';') && item.split_whitespace().rev().nth(1) == Some("mod");
    attribute == Some(LINUX_ONLY) && declares
}

fn os_word(tokens: &[Token<'_>], position: usize) -> Option<&'static str> {
    match tokens[position].text {
        "libc" => Some("`libc`"),
        "extern" if follows(tokens, position + 1, &["\"", "\"", "{"]) => Some("the `extern` block"),
        "asm" | "global_asm" | "naked_asm" if follows(tokens, position + 1, &["!"]) => {
            Some("the assembly")
        }
        "std" if follows(tokens, position + 1, &["::", "os"]) => Some("`std::os`"),
        "cfg" | "cfg_attr" if tells_systems(tokens, position) => {
            Some("the `cfg` that tells systems apart")
        }
        _ => None,
    }
}

/// True when the condition of the `cfg`, `cfg!` or `cfg_attr` at `position` names a system.
fn tells_systems(tokens: &[Token<'_>], position: usize) -> bool {
    let open = position + 1 + usize::from(follows(tokens, position + 1, &["!"]));
    follows(tokens, open, &["("])
        && tokens[open..=closing(tokens, open)].iter().any(|token| SYSTEMS.contains(&token.text))
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        lines(check, "src/vm/mod.rs", text)
    }

    #[test]
    fn words_of_a_system_are_found() {
        assert_eq!(found("x\nlet a = libc::getpid();"), [2]);
        assert_eq!(found("unsafe extern \"C\" { fn f(); }"), [1]);
        assert_eq!(found("extern \"system\" { fn f(); }"), [1]);
        assert_eq!(found("core::arch::asm!(\"nop\");\nglobal_asm!(\"nop\");"), [1, 2]);
        assert_eq!(found("#[cfg(unix)]\nfn f() {}"), [1]);
        assert_eq!(found("#[cfg(all(test, not(target_os = \"linux\")))]"), [1]);
        assert_eq!(found("if cfg!(windows) {}\n#[cfg_attr(unix, path = \"a\")]"), [1, 2]);
        assert_eq!(found("use std::os::fd::AsFd;"), [1]);
    }

    #[test]
    fn other_words_are_not() {
        assert!(found("#[cfg(test)]\n#[cfg(target_arch = \"x86_64\")]").is_empty());
        assert!(found("extern \"C\" fn handler(_: i32) {}\nextern crate alloc;").is_empty());
        assert!(found("// libc::getpid, cfg(unix)\nlet a = \"libc::x\";").is_empty());
    }

    #[test]
    fn lists_may_leave_a_module_out_everywhere_but_on_linux() {
        let found = |path: &str, text: &str| lines(check, path, text);
        let good = "mod a;\n#[cfg(target_os = \"linux\")]\npub(crate) mod b;\n";
        for list in LISTS {
            assert!(found(list, good).is_empty(), "{list}");
        }
        assert_eq!(found("src/vm/mod.rs", good), [2]);
        for bad in [
            "#[cfg(target_os = \"macos\")]\nmod b;",
            "#[cfg(not(target_os = \"linux\"))]\nmod b;",
            "#[cfg(unix)]\nmod b;",
            "#[cfg(target_os = \"linux\")]\npub use b::c;",
            "#[cfg(target_os = \"linux\")]\nfn mod_c() {}",
            "#[cfg(target_os = \"linux\")]\nmod b { }",
            "#[cfg(target_os = \"linux\")]",
        ] {
            assert_eq!(found("src/lib.rs", bad), [1], "{bad}");
        }
    }

    #[test]
    fn the_door_and_other_crates_may_know() {
        assert!(lines(check, "src/sys/linux/raw.rs", "libc::getpid()").is_empty());
        assert!(lines(check, "crates/cli/src/main.rs", "use std::os::fd;").is_empty());
    }
}
