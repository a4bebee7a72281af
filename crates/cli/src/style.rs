//! Colour and the characters of pictures.
#![forbid(unsafe_code)]

use crate::args::Color;
use std::fmt::{self, Display};
use std::io::IsTerminal;

/// How text may look where it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Escape sequences for colour are wanted.
    pub(crate) color: bool,
    /// The terminal shows more than ASCII.
    pub(crate) unicode: bool,
}

/// What is to stand out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ink {
    /// The crime.
    Red,
    /// The block.
    Green,
    /// What the eye should find first.
    Bold,
    /// What it may skip.
    Dim,
    /// What is not finished.
    Yellow,
    /// What is better than usual.
    Cyan,
}

impl Style {
    /// For standard error, as the user asked and as the environment allows.
    pub(crate) fn of_standard_error(choice: Color) -> Style {
        Style::of(choice, || std::io::stderr().is_terminal())
    }

    /// The same for standard output.
    pub(crate) fn of_standard_output(choice: Color) -> Style {
        Style::of(choice, || std::io::stdout().is_terminal())
    }

    fn of(choice: Color, is_terminal: impl Fn() -> bool) -> Style {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let color = match choice {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let is_dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
                !is_set("NO_COLOR") && !is_dumb && is_terminal()
            }
        };
        // The first of these that is set decides, as in setlocale.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(|&name| is_set(name));
        let locale = locale.and_then(|name| std::env::var(name).ok()).unwrap_or_default();
        Style { color, unicode: is_utf8(&locale) }
    }

    /// `text` in `ink`, if there is colour.
    pub(crate) fn paint<T: Display>(self, ink: Ink, text: T) -> Painted<T> {
        Painted { ink: self.color.then_some(ink), text }
    }
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A text with its colour.
pub(crate) struct Painted<T> {
    ink: Option<Ink>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ink) = self.ink else { return self.text.fmt(out) };
        let code = match ink {
            Ink::Red => "1;31",
            Ink::Green => "32",
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Yellow => "33",
            Ink::Cyan => "36",
        };
        write!(out, "\x1b[{code}m{}\x1b[0m", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_when_wanted() {
        let with = |color| Style { color, unicode: false }.paint(Ink::Bold, "x").to_string();
        assert_eq!(with(false), "x");
        assert_eq!(with(true), "\x1b[1mx\x1b[0m");
    }

    #[test]
    fn locales() {
        assert!(is_utf8("ko_KR.UTF-8") && is_utf8("C.utf8"));
        assert!(!is_utf8("C") && !is_utf8("de_DE.ISO-8859-1") && !is_utf8(""));
    }
}
