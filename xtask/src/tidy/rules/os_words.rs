//! Rule `os-words`: only `src/sys` knows an operating system.

use crate::tidy::source::{Token, closing, follows};
use crate::tidy::{Remark, Source, Tree};

/// Words of a `cfg` that tell systems apart. The processor (`target_arch`) is no such word.
const SYSTEMS: [&str; 7] =
    ["unix", "windows", "target_os", "target_family", "target_env", "target_vendor", "target_abi"];

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    if !source.path.starts_with("src/") || source.path.starts_with("src/sys/") {
        return Vec::new();
    }
    let tokens = source.tokens();
    let word_at = |position: usize| {
        let word = os_word(&tokens, position)?;
        Some((tokens[position].line, format!("move {word} behind the door, src/sys")))
    };
    (0..tokens.len()).filter_map(word_at).collect()
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
    fn the_door_and_other_crates_may_know() {
        assert!(lines(check, "src/sys/linux/raw.rs", "libc::getpid()").is_empty());
        assert!(lines(check, "crates/cli/src/main.rs", "use std::os::fd;").is_empty());
    }
}
