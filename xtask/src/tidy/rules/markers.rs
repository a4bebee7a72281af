//! Rule `markers`: nothing is left over from the work.

use crate::tidy::source::follows;
use crate::tidy::{Remark, Source, Tree};

/// Macros that stand for work not done, or print what only the author wants to see.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Words that mark a place for later.
const WORDS: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let tokens = source.tokens();
    for (position, token) in tokens.iter().enumerate() {
        if MACROS.contains(&token.text) && follows(&tokens, position + 1, &["!"]) {
            remarks.push((token.line, format!("finish it: `{}!` is left over", token.text)));
        }
    }
    let mut look = |line: usize, text: &str| {
        let mut words = text.split(|character: char| !character.is_alphanumeric());
        if let Some(word) = words.find(|word| WORDS.contains(word)) {
            remarks.push((line, format!("do it or write an issue: {word} is left over")));
        }
    };
    if source.is_rust() {
        source.comments().iter().for_each(|(line, text)| look(*line, text));
    } else {
        source.lines().for_each(|(line, text)| look(line, text));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn macros_and_words_are_found() {
        assert_eq!(lines(check, "src/a.rs", "f();\ntodo!();\nlet x = dbg!(y);"), [2, 3]);
        for word in WORDS {
            assert_eq!(lines(check, "src/a.rs", &format!("// {word}: later\n")), [1]);
            assert_eq!(lines(check, "docs/a.md", &format!("\n{word}\n")), [2]);
        }
    }

    #[test]
    fn innocent_words_are_not() {
        assert!(lines(check, "src/a.rs", "let todo = \"FIXME dbg!\"; // method\n").is_empty());
        assert!(lines(check, "scripts/a.sh", "mktemp -d name.XXXXXX\n").is_empty());
    }
}
